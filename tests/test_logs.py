"""Secrets never reach a log line."""

import io
import json
import logging

import pytest

from managedvm import logs


@pytest.fixture
def lines(monkeypatch):
    """Return a logger and what it has written, with the process's own redaction."""
    monkeypatch.setattr(logs.redaction, "_secrets", set())
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.configure("DEBUG")
    out = io.StringIO()
    root.handlers[0].setStream(out)
    yield logging.getLogger("managedvm.test"), out
    root.handlers[:] = before
    root.setLevel(level)


def test_a_registered_secret_is_blotted_out_of_message_argument_field_and_trace(lines):
    log, out = lines
    logs.redaction.register("hunter22")

    log.warning("password hunter22")
    log.warning("password %s", "hunter22")
    log.warning("password", extra={"detail": "it is hunter22"})
    try:
        int("hunter22")
    except ValueError:
        log.exception("failed")

    assert "hunter22" not in out.getvalue()
    assert out.getvalue().count("[secret]") >= 4


def test_a_secret_is_blotted_out_as_json_and_python_write_it_too(lines):
    log, out = lines
    logs.redaction.register('pass"word\\1')

    log.warning('it is pass"word\\1')
    log.warning("it is %r", 'pass"word\\1')

    assert "word" not in out.getvalue()


def test_a_line_is_json_with_time_level_and_logger(lines):
    log, out = lines

    log.info("hello %s", "there")

    line = json.loads(out.getvalue())
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "managedvm.test", "hello there")


def test_a_short_secret_does_not_blot_out_ordinary_words(lines):
    log, out = lines
    logs.redaction.register("vm")

    log.info("the vm runs")

    assert "the vm runs" in out.getvalue()


def test_kopf_never_logs_bodies(lines):
    assert not logging.getLogger("kopf.objects").isEnabledFor(logging.DEBUG)
    assert lines
