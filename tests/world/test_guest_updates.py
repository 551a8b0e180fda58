"""What there is to update in a real guest: its own apt, its distributor's repository, and one of ours."""

import pytest

from lab.guests import host
from managedvm.planning.jobs import Running
from managedvm.planning.updates.inventory import Covered, NotCovered
from managedvm.world.guests import updates
from tests.world.guesthand import Hand, a_job, real_machine, until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(host.obstacle() is not None, reason=host.obstacle() or ""),
]

BUILD = r"""
set -e
mkdir -p /srv/repository && cd /srv/repository
build() {
    mkdir -p "/tmp/$1-$2/DEBIAN"
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: lab\nDescription: lab\n' "$1" "$2" \
        > "/tmp/$1-$2/DEBIAN/control"
    [ -z "${3:-}" ] || { printf '#!/bin/sh\n%s\n' "$3" > "/tmp/$1-$2/DEBIAN/postinst"; chmod 755 "/tmp/$1-$2/DEBIAN/postinst"; }
    dpkg-deb --root-owner-group --build "/tmp/$1-$2" "$4" > /dev/null
}
build shop 1.0 '' /tmp/shop.deb; dpkg --install /tmp/shop.deb > /dev/null
build shop 2.0 '' /srv/repository/
build by-hand 1.0 '' /tmp/by-hand.deb; dpkg --install /tmp/by-hand.deb > /dev/null
build sick 1.0 'exit 1' /tmp/sick.deb; dpkg --install /tmp/sick.deb > /dev/null 2>&1 || true
apt-ftparchive packages . > Packages
apt-ftparchive -o APT::FTPArchive::Release::Origin=Lab release . > Release
echo 'deb [trusted=yes] file:/srv/repository ./' > /etc/apt/sources.list.d/lab.list
touch /run/reboot-required
echo 'APT::Periodic::Unattended-Upgrade "1";' > /etc/apt/apt.conf.d/20auto-upgrades
systemctl --quiet enable apt-daily-upgrade.timer
"""


@pytest.fixture(scope="module")
def machine(lab):
    """The path of a VM of this module alone that has a real inside."""
    with real_machine(lab, diskMiB=1024) as path:
        yield path


@pytest.fixture
async def hand(lab, machine):
    hand = Hand(lab, machine)
    await hand.tools_answer()
    yield hand
    hand.close()


async def inventory(hand, *more):
    job_id = a_job()
    await updates.ask(hand.executor, hand.guest, job_id)
    allowed = {"Debian", "Ubuntu", *more}
    return await until(
        lambda: updates.answer(hand.executor, hand.guest, job_id, allowed),
        lambda seen: not isinstance(seen, Running),
        seconds=240,
    )


async def test_a_guest_tells_what_there_is_to_update_and_whose_it_is(hand):
    before = await inventory(hand)
    assert before.is_current
    assert before.system.startswith(("debian", "ubuntu"))
    assert (before.broken, before.conflicts, before.not_covered) == ((), (), ())
    assert {"apt", "bash", "nginx-light"} <= {p.name for p in before.packages}

    built = await hand.run("sh", "-c", BUILD)
    assert built.exit_code == 0, built.output
    after = await inventory(hand)
    found = {p.name: p for p in after.packages}
    assert found["shop"].scope == NotCovered("it comes from Lab")
    assert (found["shop"].installed, found["shop"].candidate) == ("1.0", "2.0")
    assert isinstance(found["by-hand"].scope, NotCovered)
    assert after.pending == before.pending
    assert after.broken == ("sick is iF",)
    assert after.needs_reboot
    assert "apt-daily-upgrade.timer" in after.conflicts

    allowed = await inventory(hand, "Lab")
    assert next(p for p in allowed.pending if p.name == "shop").scope == Covered()
    assert (await hand.run("apt-mark", "hold", "shop")).exit_code == 0
    held = await inventory(hand, "Lab")
    assert [p.name for p in held.held] == ["shop"]
    assert "shop" not in {p.name for p in held.pending}


async def test_lists_that_cannot_be_fetched_are_told(hand):
    broken = "echo 'deb http://127.0.0.1:9/debian nowhere main' > /etc/apt/sources.list.d/nowhere.list"
    await hand.run("sh", "-c", broken)
    found = await inventory(hand)
    assert not found.is_current
    assert found.packages
    await hand.run("rm", "/etc/apt/sources.list.d/nowhere.list")
