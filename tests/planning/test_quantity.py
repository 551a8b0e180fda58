"""Sizes: what Kubernetes writes is read exactly, and what is no whole size is refused by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.planning.quantity import (
    LARGEST,
    MEBIBYTE,
    NotASizeError,
    format_bytes,
    format_mebibytes,
    parse_bytes,
    parse_mebibytes,
)
from tests.examples import examples

deterministic = examples(100)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8Gi", 8_589_934_592),
        ("512Mi", 536_870_912),
        ("1Ti", 1_099_511_627_776),
        ("1.5Gi", 1_610_612_736),
        ("500M", 500_000_000),
        ("2k", 2_000),
        ("1Ki", 1_024),
        ("1048576", 1_048_576),
        ("1E", 10**18),
        ("1E3", 1_000),
        ("2.5e9", 2_500_000_000),
        ("0", 0),
        ("9223372036854775807", LARGEST),
    ],
)
def test_a_quantity_is_an_exact_number_of_bytes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Gi",
        "8 Gi",
        "8GB",
        "8gi",
        "8K",
        "-8Gi",
        "+8Gi",
        "100m",
        "1,5Gi",
        "0x10",
        "8Gi\n",
        "1e",
        "1e999",
        "\u0668Gi",
    ],
)
def test_what_is_no_size_is_refused_by_name(text):
    with pytest.raises(NotASizeError, match="is not a size") as refusal:
        parse_bytes(text)
    assert repr(text) in str(refusal.value)


def test_a_part_of_a_byte_is_refused():
    with pytest.raises(NotASizeError, match=r"'0\.1Ki' is not a whole number of bytes"):
        parse_bytes("0.1Ki")


@pytest.mark.parametrize("text", ["8Ei", "9223372036854775808", "1e99"])
def test_more_than_kubernetes_can_tell_is_refused(text):
    with pytest.raises(NotASizeError, match=f"'{text}' is more than 9223372036854775807 bytes"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "mebibytes"), [("8Gi", 8192), ("512Mi", 512), ("0.5Gi", 512), ("1048576", 1)]
)
def test_memory_is_counted_in_mebibytes(text, mebibytes):
    assert parse_mebibytes(text) == mebibytes


@pytest.mark.parametrize("text", ["500M", "1023Ki", "1.0001Gi"])
def test_a_part_of_a_mebibyte_is_never_rounded_away(text):
    with pytest.raises(NotASizeError, match=f"'{text}' is not a whole number of"):
        parse_mebibytes(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (8 << 30, "8Gi"),
        (1536 * MEBIBYTE, "1536Mi"),
        (1024, "1Ki"),
        (1000, "1000"),
        (0, "0"),
        (1 << 60, "1Ei"),
    ],
)
def test_a_size_is_written_in_the_largest_unit_that_divides_it(size, text):
    assert format_bytes(size) == text


def test_mebibytes_are_written_the_same_way():
    assert (format_mebibytes(8192), format_mebibytes(1536)) == ("8Gi", "1536Mi")


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match="-1 bytes is negative"):
        format_bytes(-1)


@deterministic
@given(st.integers(0, LARGEST))
def test_a_size_survives_being_written_and_read(size):
    assert parse_bytes(format_bytes(size)) == size


@deterministic
@given(st.integers(0, LARGEST // MEBIBYTE))
def test_mebibytes_survive_being_written_and_read(mebibytes):
    assert parse_mebibytes(format_mebibytes(mebibytes)) == mebibytes
