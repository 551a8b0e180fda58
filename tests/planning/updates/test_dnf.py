"""What dnf says becomes an inventory: pending, security, repository, whose it is, locked, broken, in the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.planning.updates import dnf
from managedvm.planning.updates.inventory import Covered, NotCovered, Package, Source
from managedvm.planning.updates.report import ReportError, Section
from tests.examples import examples

# As dnf 4.14 wrote it over a repository of the test's own; no machine of the RHEL family was at hand.
RECORDED = {
    "os-release": 'ID="rhel"\nVERSION_ID="9.4"\n',
    "refresh": "",
    "installed": "bash-like\tnoarch\t0:1.0-1\n\nby-hand\tnoarch\t0:1.0-1\n\nforeign\tnoarch\t0:1.0-1\n\n"
    "held\tnoarch\t0:1.0-1\n\nquiet\tnoarch\t0:1.0-1\n\n",
    "upgrades": "bash-like\tnoarch\t0:3.0-1\tbaseos\n\nforeign\tnoarch\t0:2.0-1\tother\n\n"
    "held\tnoarch\t0:2.0-1\tbaseos\n\nquiet\tnoarch\t0:1.1-1\tbaseos\n\n",
    "available": "bash-like\tnoarch\tbaseos\n\nforeign\tnoarch\tother\n\nheld\tnoarch\tbaseos\n\nquiet\tnoarch\tbaseos\n\n",
    "advisories": "LAB-2026:1 Important/Sec. bash-like-2.0-1.noarch\n",
    "locks": "held-0:1.0-1.*\n",
    "check": "",
    "conflicts": "",
    "restarts": "",
}


def report(**sections):
    return {name: Section(0, text) for name, text in (RECORDED | sections).items()}


def by_name(inventory):
    return {package.name: package for package in inventory.packages}


def test_a_recorded_report_is_read_as_it_was_meant():
    inventory = dnf.read(report())
    found = by_name(inventory)
    security = Source("baseos", is_security=True)
    assert found["bash-like"] == Package("bash-like", "1.0-1", "3.0-1", (security,), is_security=True)
    assert found["by-hand"].scope == NotCovered("it is in no repository: somebody installed it by hand")
    assert found["foreign"].scope == NotCovered("it comes from other")
    assert [p.name for p in inventory.pending] == ["bash-like", "quiet"]
    assert [p.name for p in inventory.held] == ["held"]
    assert not found["quiet"].is_security
    assert (inventory.system, inventory.broken, inventory.conflicts) == ("rhel 9.4", (), ())
    assert (inventory.needs_reboot, inventory.is_current) == (False, True)


@pytest.mark.parametrize(
    ("repository", "is_ours"),
    [
        ("baseos", True),
        ("rhel-9-for-x86_64-appstream-rpms", True),
        ("rhui-rhel-9-for-x86_64-baseos-rhui-rpms", True),
        ("epel", False),
        ("baseos-of-somebody", False),
    ],
)
def test_the_repositories_of_the_system_are_ours_and_no_others(repository, is_ours):
    found = by_name(dnf.read(report(upgrades=f"quiet\tnoarch\t0:1.1-1\t{repository}\n")))
    assert (found["quiet"].scope == Covered()) is is_ours


def test_what_is_in_the_way_is_told():
    sections = report(
        conflicts="dnf-automatic.timer\n", restarts="Reboot is required to fully utilize these updates.\n"
    )
    sections["check"] = Section(1, "held-1.0-1.noarch has missing requires of nothing\n")
    sections["refresh"] = Section(1, "")
    found = dnf.read(sections)
    assert found.broken == ("held-1.0-1.noarch has missing requires of nothing",)
    assert (found.conflicts, found.needs_reboot, found.is_current) == (("dnf-automatic.timer",), True, False)


def test_without_the_plugins_nothing_is_locked_and_no_reboot_is_told():
    sections = report() | {"locks": Section(1, ""), "restarts": Section(1, "")}
    found = dnf.read(sections)
    assert (found.held, found.needs_reboot) == ((), False)


@pytest.mark.parametrize(
    "sections",
    [
        {"installed": "bash-like 1.0-1\n"},
        {"upgrades": "quiet\tnoarch\t0:1.1-1\n"},
        {"available": "quiet\t\tbaseos\n"},
        {"advisories": "Name Type Severity Package Issued\n"},
    ],
)
def test_what_is_not_understood_is_an_error_and_no_silence(sections):
    with pytest.raises(ReportError, match="not understood"):
        dnf.read(report(**sections))


@pytest.mark.parametrize("missing", ["installed", "upgrades", "available", "advisories"])
def test_without_what_decides_nothing_is_said(missing):
    with pytest.raises(ReportError, match=missing):
        dnf.read(report() | {missing: Section(1, "")})


NAMES = st.from_regex(r"[a-z][a-z0-9+-]{0,8}[a-z]", fullmatch=True)
VERSIONS = st.from_regex(r"[0-9]{1,2}\.[0-9a-z]{1,3}", fullmatch=True)
ARCHES = st.sampled_from(["x86_64", "noarch"])


@examples(100)
@given(
    st.lists(
        st.tuples(NAMES, ARCHES, VERSIONS, VERSIONS, st.integers(0, 2), st.booleans(), st.booleans()),
        unique_by=lambda row: row[0],
        max_size=6,
    )
)
def test_whatever_dnf_knows_is_told_once_and_whole(known):
    pending = [row for row in known if row[5]]
    sections = report(
        installed="".join(f"{n}\t{a}\t{e}:{v}-1.el9\n" for n, a, v, _, e, _, _ in known),
        upgrades="".join(f"{n}\t{a}\t{e}:{w}-2.el9\tbaseos\n" for n, a, _, w, e, _, _ in pending),
        available="".join(f"{n}\t{a}\tbaseos\n" for n, a, *_ in known),
        advisories="".join(
            f"RHSA-2026:1 Moderate/Sec.  {n}-{f'{e}:' if e else ''}{w}-2.el9.{a}\n"
            for n, a, _, w, e, _, is_security in pending
            if is_security
        ),
        locks="",
    )
    found = dnf.read(sections)
    assert [p.name for p in found.packages] == [row[0] for row in known]
    assert [p.name for p in found.pending] == [row[0] for row in pending]
    assert [p.is_security for p in found.pending] == [row[6] for row in pending]
