"""What apt and dpkg say becomes an inventory: pending, security, origin, whose it is, held, broken, in the way."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.planning.updates import apt
from managedvm.planning.updates.inventory import Covered, NotCovered, Package, Source
from managedvm.planning.updates.report import ReportError, Section
from tests.examples import examples

SECURITY = "https://deb.debian.org/debian-security bookworm-security/main amd64 Packages"
MAIN = "https://deb.debian.org/debian bookworm/main amd64 Packages"
LOCAL = "file:/srv/repository ./ Packages"
STATUS = "/var/lib/dpkg/status"

# As apt 2.6.1 of Debian 12 wrote it, but for the mirror's name.
SOURCES = f"""Package files:
 100 {STATUS}
     release a=now
 500 {SECURITY}
     release v=12,o=Debian,a=oldstable-security,n=bookworm-security,l=Debian-Security,c=main,b=amd64
     origin deb.debian.org
 500 {MAIN}
     release v=12.15,o=Debian,a=oldstable,n=bookworm,l=Debian,c=main,b=amd64
     origin deb.debian.org
 500 {LOCAL}
     release o=Lab,c=
Pinned packages:
     nginx -> 1.22.1-9 with priority 1001
"""
TZDATA = f"""tzdata:
  Installed: 2025b-0+deb12u2
  Candidate: 2026f-0+deb12u1
  Version table:
     2026f-0+deb12u1 500
        500 {MAIN}
     2026b-0+deb12u1 500
        500 {SECURITY}
 *** 2025b-0+deb12u2 100
        100 {STATUS}
     2025b-0+deb12u1 500
        500 {MAIN}
"""
OWN = f"""own-tool:
  Installed: 1.0
  Candidate: 1.0
  Version table:
 *** 1.0 100
        100 {STATUS}
"""
DEMO = f"""demo:
  Installed: 1.0
  Candidate: 2.0
  Package pin: 2.0
  Version table:
     2.0 990 (phased 20%)
        990 {LOCAL}
 *** 1.0 100
        100 {STATUS}
"""
DEBIAN = Source("Debian", "bookworm")


def report(policy, installed, **sections):
    """Return a report of a guest in which all is well but for what the test says."""
    found = {
        "os-release": "ID=debian\nVERSION_ID=12\n",
        "refresh": "",
        "architecture": "amd64\n",
        "installed": installed,
        "holds": "",
        "sources": SOURCES,
        "policy": policy,
        "interrupted": "",
        "conflicts": "",
        "reboot": "",
    }
    return {name: Section(0, text) for name, text in (found | sections).items()}


def only(policy, installed, allowed=apt.ORIGINS, **sections):
    (package,) = apt.read(report(policy, installed, **sections), allowed).packages
    return package


def test_a_security_fault_that_an_older_version_repaired_counts_still():
    found = only(TZDATA, "ii \ttzdata\t2025b-0+deb12u2\n")
    assert found == Package("tzdata", "2025b-0+deb12u2", "2026f-0+deb12u1", (DEBIAN,), is_security=True)
    assert found.is_pending


def test_what_is_already_installed_is_not_pending_and_no_security_update():
    current = TZDATA.replace("2026f-0+deb12u1 500", "2026f-0+deb12u1 100").replace(
        " *** 2025b-0+deb12u2", "     2025b-0+deb12u2"
    )
    found = only(current, "ii \ttzdata\t2026f-0+deb12u1\n")
    assert (found.is_pending, found.is_security) == (False, False)


def test_what_is_in_no_repository_is_the_customers():
    found = only(OWN, "ii \town-tool\t1.0\n")
    assert found.scope == NotCovered("it is in no repository: somebody installed it by hand")


def test_what_comes_from_another_origin_is_the_customers_until_it_is_allowed():
    installed = "ii \tdemo\t1.0\n"
    assert only(DEMO, installed).scope == NotCovered("it comes from Lab")
    allowed = only(DEMO, installed, allowed={"Debian", "Lab"})
    assert (allowed.scope, allowed.phased) == (Covered(), 20)
    inventory = apt.read(
        report(DEMO + OWN + TZDATA, f"{installed}ii \town-tool\t1.0\nii \ttzdata\t2025b-0+deb12u2\n")
    )
    assert [p.name for p in inventory.pending] == ["tzdata"]
    assert [p.name for p in inventory.not_covered] == ["demo", "own-tool"]


def test_an_older_candidate_is_no_update():
    pinned = TZDATA.replace("Candidate: 2026f-0+deb12u1", "Candidate: 2025b-0+deb12u1")
    assert not only(pinned, "ii \ttzdata\t2025b-0+deb12u2\n").is_pending


@pytest.mark.parametrize("name", ["tzdata", "tzdata:amd64"])
def test_a_held_package_is_told_and_not_pending(name):
    inventory = apt.read(report(TZDATA, f"hi \t{name}\t2025b-0+deb12u2\n", holds=f"{name}\n"))
    assert (inventory.pending, [p.name for p in inventory.held]) == ((), ["tzdata"])
    assert inventory.broken == ()


@pytest.mark.parametrize("status", ["iU ", "iF ", "iH ", "iHR", "it ", "iW "])
def test_a_package_that_is_not_whole_is_told(status):
    inventory = apt.read(report(TZDATA, f"{status}\ttzdata\t2025b-0+deb12u2\n"))
    assert inventory.broken == (f"tzdata is {status.strip()}",)


def test_what_was_removed_but_for_its_configuration_is_not_installed():
    assert apt.read(report(OWN, "rc \town-tool\t1.0\n")).packages == ()


def test_what_is_in_the_way_is_told():
    sections = report(
        OWN,
        "ii \town-tool\t1.0\n",
        interrupted="/var/lib/dpkg/updates/0001\n",
        conflicts="apt-daily-upgrade.timer\n",
        reboot="reboot-required\n",
    )
    found = apt.read(sections)
    assert "dpkg was interrupted" in found.broken[0]
    assert (found.conflicts, found.needs_reboot) == (("apt-daily-upgrade.timer",), True)
    assert found.is_current
    assert not apt.read({**sections, "refresh": Section(100, "")}).is_current


@pytest.mark.parametrize("missing", ["installed", "policy", "sources", "architecture"])
def test_without_what_decides_nothing_is_said(missing):
    whole = report(OWN, "ii \town-tool\t1.0\n")
    for broken in ({k: v for k, v in whole.items() if k != missing}, whole | {missing: Section(100, "")}):
        with pytest.raises(ReportError, match=missing):
            apt.read(broken)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (OWN.replace("Version table", "Versionstabelle"), "not understood"),
        (OWN.replace("own-tool:", "other:"), "says nothing of own-tool"),
        (DEMO.replace(LOCAL, "http://nowhere ./ Packages").replace("demo", "own-tool"), "names no release"),
    ],
    ids=["another language", "another package", "an unknown source"],
)
def test_what_is_not_understood_is_an_error_and_no_silence(policy, words):
    with pytest.raises(ReportError, match=words):
        apt.read(report(policy, "ii \town-tool\t1.0\n"))


FILES = {
    SECURITY: Source("Debian", "bookworm-security", is_security=True),
    MAIN: DEBIAN,
    LOCAL: Source("Lab"),
}
WORDS = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,10}", fullmatch=True)


@st.composite
def packages(draw):
    """A package with its versions, newest first, each with its sources, and which of them is installed."""
    versions = draw(st.lists(WORDS, min_size=1, max_size=5, unique=True))
    at = draw(st.integers(0, len(versions) - 1))
    sources = draw(
        st.lists(
            st.lists(st.sampled_from(list(FILES)), unique=True, max_size=3),
            min_size=len(versions),
            max_size=len(versions),
        )
    )
    return draw(WORDS), list(zip(versions, sources, strict=True)), at


def stanza(name, versions, at):
    rows = "".join(
        f" {'***' if row == at else '   '} {version} 500\n"
        + "".join(f"        500 {file}\n" for file in [*files, *([STATUS] if row == at else [])])
        for row, (version, files) in enumerate(versions)
    )
    return f"{name}:\n  Installed: {versions[at][0]}\n  Candidate: {versions[0][0]}\n  Version table:\n{rows}"


@examples(150)
@given(st.lists(packages(), max_size=6, unique_by=lambda p: p[0]))
def test_whatever_apt_knows_is_told_once_and_whole(known):
    policy = "".join(stanza(*package) for package in known)
    installed = "".join(f"ii \t{name}\t{versions[at][0]}\n" for name, versions, at in known)
    found = apt.read(report(policy, installed))
    assert [p.name for p in found.packages] == [name for name, _, _ in known]
    for package, (_, versions, at) in zip(found.packages, known, strict=True):
        newer = {file for _, files in versions[:at] for file in files}
        assert package.candidate == versions[0][0]
        assert package.is_security is (SECURITY in newer)
        assert package.sources == tuple(FILES[file] for file in versions[0][1])
        every = {file for _, files in versions for file in files}
        deciding = set(versions[0][1]) or every
        assert isinstance(package.scope, Covered) is bool(deciding & {SECURITY, MAIN})
    assert set(found.pending) == {p for p in found.packages if p.is_pending and p.scope == Covered()}
    assert all(p == replace(p) for p in found.packages)
