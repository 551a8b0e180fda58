"""Which directory is a lab's, which ports it takes, what of it is started."""

import socket

import pytest

from lab import facts, lifecycle
from lab.errors import LabError
from lab.lifecycle import free_ports


def test_free_ports_differ_and_can_be_listened_on():
    ports = free_ports(6)
    assert len(set(ports)) == 6
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_free_ports_lie_below_those_of_outgoing_connections():
    assert all(20_000 <= port < 30_000 for port in free_ports(6))


def test_a_directory_that_no_lab_wrote_is_left_alone(tmp_path):
    treasure = tmp_path / "thesis.tex"
    treasure.write_text("years of work")
    with pytest.raises(LabError, match="not a lab's"):
        lifecycle._clear(tmp_path)
    assert treasure.read_text() == "years of work"


def test_an_old_labs_directory_is_emptied_but_for_its_lock(paper_lab):
    facts.save(paper_lab)
    (paper_lab.directory / "etcd").mkdir()
    (paper_lab.directory / "etcd" / "db").write_text("old")
    (paper_lab.directory / "lock").touch()
    lifecycle._clear(paper_lab.directory)
    assert [path.name for path in paper_lab.directory.iterdir()] == ["lock"]


def test_a_lab_of_which_nothing_lives_does_not_run(paper_lab):
    facts.save(paper_lab)
    assert lifecycle.running(paper_lab.directory) is None
    assert not lifecycle.down(paper_lab.directory)


def test_taking_down_what_never_was_is_no_error(tmp_path):
    assert not lifecycle.down(tmp_path / "never")


def test_a_daemon_that_the_lab_has_not_is_a_clear_error(paper_lab):
    with pytest.raises(LabError, match="this lab has no scheduler"):
        lifecycle.stop(paper_lab, "scheduler")
