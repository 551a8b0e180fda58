"""The report of a guest is read whole or not at all, whatever its programs have said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.planning.updates.report import ReportError, Section, needed, said, sections, system_of
from tests.examples import examples

NAMES = st.from_regex(r"[a-z][a-z-]{0,9}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.just("section policy 0 3\nabc\n")


def written(found):
    """Return a report as updates.sh writes it."""
    return b"".join(
        b"section %b %d %d\n%b\n" % (name.encode(), section.exit_code, len(text), text)
        for name, section in found.items()
        for text in (section.text.encode(),)
    )


REPORTS = st.dictionaries(NAMES, st.builds(Section, st.integers(0, 255), TEXTS), max_size=5)


@examples(100)
@given(REPORTS)
def test_what_a_program_says_is_never_taken_for_a_section(found):
    assert sections(written(found)) == found


@examples(100)
@given(REPORTS.filter(bool), st.data())
def test_a_report_that_is_cut_off_is_none(found, data):
    whole = written(found)
    borders = {0}
    for name in found:
        borders.add(max(borders) + len(written({name: found[name]})))
    cut = data.draw(st.integers(1, len(whole) - 1).filter(lambda at: at not in borders))
    with pytest.raises(ReportError):
        sections(whole[:cut])


def test_what_is_missing_or_failed_is_said():
    report = {"one": Section(1, "x"), "two": Section(0, "a\n\nb\n")}
    with pytest.raises(ReportError, match="one"):
        needed(report, "one")
    with pytest.raises(ReportError, match="three"):
        needed(report, "three")
    assert (said(report, "two"), said(report, "three")) == (("a", "b"), ())


def test_the_system_is_what_os_release_says():
    text = 'PRETTY_NAME="Debian GNU/Linux 12"\nVERSION_ID="12"\nID=debian\n'
    assert system_of({"os-release": Section(0, text)}) == ("debian", "12")
    with pytest.raises(ReportError):
        system_of({"os-release": Section(0, "NAME=x\n")})
