"""What the guests of the lab are made from is read from this machine, and each lack is a sentence."""

from pathlib import Path

import pytest

from lab.guests import host, image, mirror, settings
from lab.guests.mirror import Mirror, Suite
from lab.guests.podman import Podman

LISTING = """\
http://mirror.example/debian|bookworm|main|Debian|amd64
http://mirror.example/debian|bookworm|contrib|Debian|amd64
http://mirror.example/debian|bookworm|main|Debian|i386
http://mirror.example/debian|bookworm-updates|main|Debian|amd64
http://mirror.example/security|bookworm-security|main|Debian|amd64
http://mirror.example/debian|trixie|main|Debian|amd64
http://third.example/docker|bookworm|stable|Docker|amd64
"""
SUITES = (
    Suite("http://mirror.example/debian", "bookworm", ("main", "contrib")),
    Suite("http://mirror.example/debian", "bookworm-updates", ("main",)),
    Suite("http://mirror.example/security", "bookworm-security", ("main",)),
)
MIRROR = Mirror("bookworm", "amd64", SUITES, ())


def test_a_guest_has_the_suites_of_this_machines_release_and_no_third_partys():
    assert mirror.suites_of(LISTING, "bookworm", "debian", "amd64") == SUITES


def test_the_release_itself_is_what_a_guest_is_made_from():
    assert MIRROR.base == SUITES[0]
    assert MIRROR.sources().splitlines()[0] == "deb http://mirror.example/debian bookworm main contrib"


def test_a_proxy_of_apt_is_the_guests_too_and_direct_is_none():
    dump = 'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::https::Proxy "DIRECT";\n'
    found = Mirror("bookworm", "amd64", SUITES, mirror.proxies_of(dump))
    assert found.environment() == {"http_proxy": "http://proxy.example:3128"}
    assert found.apt_configuration() == 'Acquire::http::Proxy "http://proxy.example:3128";\n'


def test_another_mirror_is_another_image():
    other = Mirror("bookworm", "amd64", SUITES[:1], ())
    assert image.key(MIRROR) == image.key(Mirror("bookworm", "amd64", SUITES, ()))
    assert image.key(MIRROR) != image.key(other)


def test_mounts_are_undone_from_the_deepest():
    table = (
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        "2 1 7:0 / /home/x/labs/a/root rw - ext4 /dev/loop0 rw\n"
        "3 2 0:5 / /home/x/labs/a/root/run rw - tmpfs tmpfs rw\n"
        "4 1 7:1 / /home/x/labs/ab/root rw - ext4 /dev/loop1 rw\n"
        "5 1 7:2 / /home/x/labs/a/with\\040space rw - ext4 /dev/loop2 rw\n"
    )
    assert settings.mounts_below(Path("/home/x/labs/a"), table) == [
        Path("/home/x/labs/a/with space"),
        Path("/home/x/labs/a/root/run"),
        Path("/home/x/labs/a/root"),
    ]


def test_podman_keeps_to_directories_of_the_lab(tmp_path):
    podman = Podman(tmp_path / "podman", tmp_path / "run", "0123456789ab")
    podman.configure()
    files = [Path(path) for path in podman.environment().values()]
    assert all(path.is_relative_to(tmp_path) for path in files)
    paths = [line.split('"')[1] for path in files for line in path.read_text().splitlines() if '= "/' in line]
    assert len(paths) == 4
    assert all(Path(path).is_relative_to(tmp_path) for path in paths)


def test_two_labs_share_no_container_and_no_disk(tmp_path):
    one, other = settings.engine(tmp_path / "one"), settings.engine(tmp_path / "other")
    assert one.directory != other.directory
    assert one.run != other.run
    assert one.subnet != other.subnet
    assert one.network()["network_interface"] != other.network()["network_interface"]


def test_cleaning_up_after_a_lab_without_guests_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings.clean(tmp_path / "lab")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"geteuid": lambda: 1000}, "root"),
        ({"memory_controller": lambda: None}, "memory"),
        ({"program": lambda _: None}, "apt"),
    ],
    ids=["not root", "no memory limit", "no apt"],
)
def test_a_machine_that_cannot_have_guests_says_why(monkeypatch, changes, word):
    monkeypatch.setattr(host.os, "geteuid", lambda: 0)
    monkeypatch.setattr(host.Path, "exists", lambda _: True)
    monkeypatch.setattr(host.Path, "is_dir", lambda _: True)
    monkeypatch.setattr(host, "memory_controller", lambda: Path("/sys/fs/cgroup"))
    for name, value in changes.items():
        monkeypatch.setattr(host.os if name == "geteuid" else host, name, value)
    assert word in (host.obstacle() or "")


def test_a_lab_without_guests_says_so_and_goes_on(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(host, "obstacle", lambda: "guests need root")
    assert settings.prepare(tmp_path) is None
    assert "no guests: guests need root" in capsys.readouterr().out
