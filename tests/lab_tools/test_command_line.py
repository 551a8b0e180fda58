"""What is typed reaches the lab."""

import pytest

import lab
from lab.__main__ import parser


@pytest.fixture
def wishes(monkeypatch, paper_lab):
    """What `up` was asked for, in place of starting it."""
    asked = {}

    def up(**wish):
        asked.update(wish)
        return paper_lab

    monkeypatch.setattr(lab, "up", up)
    return asked


def run(*arguments):
    parsed = parser().parse_args(arguments)
    return parsed.run(parsed)


def test_up_starts_the_demos_world_with_our_product(wishes):
    run("up")
    assert (wishes["with_vcenter"], wishes["with_product"]) == (True, True)
    assert "fleet" not in wishes["inventory"]
    assert len(wishes["inventory"]["vms"]) == 7


def test_a_fleet_is_added_to_the_inventory(wishes):
    run("up", "--fleet", "1000")
    assert wishes["inventory"]["fleet"]["count"] == 1000


def test_what_is_not_wanted_is_left_out(wishes):
    run("up", "--without-vcenter", "--without-product", "--without-guests")
    assert (wishes["with_vcenter"], wishes["with_product"]) == (False, False)
    assert not any("guest" in vm for vm in wishes["inventory"]["vms"])


def test_status_of_what_never_was_is_a_failure(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MANAGEDVM_LAB_DIR", str(tmp_path / "never"))
    assert run("status") == 1
    assert "no lab here" in capsys.readouterr().out


def test_a_daemon_of_no_lab_cannot_be_restarted(monkeypatch, tmp_path):
    monkeypatch.setenv("MANAGEDVM_LAB_DIR", str(tmp_path / "never"))
    with pytest.raises(lab.LabError, match="`python -m lab up` first"):
        run("restart", "apiserver")
