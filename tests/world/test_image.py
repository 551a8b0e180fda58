"""The image, as a cluster would run it: no root, no writable disk, no capability, nothing inside that is not needed."""

import base64
import json
import os
import tomllib
import uuid
from urllib.parse import urlsplit

import pytest
import yaml

import managedvm
from lab import image as built
from lab import operator, wait_until
from lab.daemons import answers
from lab.install import NAMESPACE
from lab.lifecycle import free_ports
from lab.paths import ROOT

pytestmark = pytest.mark.lab

USER = 10001
GRACE_SECONDS = 30
MOST_OWN_MB = 250
ACCOUNT_FILES = "/var/run/secrets/kubernetes.io/serviceaccount"
ALL_OF_THE_PACKAGE = """
import json, managedvm, pathlib
root = pathlib.Path(managedvm.__file__).parent
files = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.suffix != ".pyc"]
print(json.dumps(sorted(files)))
"""
ALL_DISTRIBUTIONS = """
import importlib.metadata, json
print(json.dumps(sorted(d.name.lower().replace("_", "-") for d in importlib.metadata.distributions())))
"""


@pytest.fixture(scope="module")
def image():
    """The image of the sources as they are."""
    reason = built.obstacle()
    if reason is not None:
        pytest.skip(reason)
    return built.build()


def python(image, program, **env):
    return image.run("-c", program, entrypoint="/opt/managedvm/bin/python", env=env)


def test_the_image_says_its_version(image):
    assert image.run("version") == managedvm.__version__


def test_the_image_tells_the_reasons_that_the_documentation_lists(image):
    told = [line for line in image.run("reasons").splitlines() if line.startswith("| `")]

    assert told
    assert [line for line in told if line not in (ROOT / "docs" / "reasons.md").read_text()] == []


def test_the_program_is_not_root_and_can_write_nothing_but_tmp(image):
    program = """
import os, pathlib
print(os.getuid(), os.getgid())
pathlib.Path("/tmp/written").touch()
for place in ("/written", "/opt/managedvm/written", "/home/written"):
    try:
        pathlib.Path(place).touch()
    except OSError as error:
        print(error.strerror)
"""

    assert python(image, program).splitlines() == [f"{USER} {USER}", *["Read-only file system"] * 3]


def test_the_image_asks_for_its_user_by_number(image):
    # A node can prove `runAsNonRoot` of a number only.
    assert image.podman("image", "inspect", "--format={{.Config.User}}", image.name) == f"{USER}:{USER}"


def test_time_zones_come_with_the_image_and_not_with_its_base(image):
    program = "from zoneinfo import ZoneInfo; print(ZoneInfo('Europe/Berlin').key)"

    assert python(image, program, PYTHONTZPATH="/nonexistent") == "Europe/Berlin"


def locked(*, everywhere):
    """Return the names that the lock says the package needs: on every machine, or on any."""
    packages = {p["name"]: p for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    found, ahead = set(), ["managedvm"]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            needs = packages[name].get("dependencies", [])
            ahead += [need["name"] for need in needs if not (everywhere and "marker" in need)]
    return found


def test_just_the_locked_dependencies_are_inside(image):
    inside = set(json.loads(python(image, ALL_DISTRIBUTIONS)))

    assert locked(everywhere=True) <= inside <= locked(everywhere=False)


def test_nothing_of_the_lab_is_inside(image):
    package = ROOT / "operator" / "managedvm"
    ours = [p for p in package.rglob("*") if p.is_file() and p.suffix != ".pyc"]
    absent = "import importlib.util as u; print([n for n in ('lab', 'tests', 'bench') if u.find_spec(n)])"

    assert json.loads(python(image, ALL_OF_THE_PACKAGE)) == sorted(str(p.relative_to(package)) for p in ours)
    assert python(image, absent) == "[]"


def test_the_image_adds_no_more_than_it_must(image):
    assert image.own_bytes() / 1e6 < MOST_OWN_MB


def as_in_a_pod(lab, replica):
    """Return how a pod finds its cluster: variables of the kubelet, and the files that our Deployment projects."""
    kubeconfig = yaml.safe_load(replica.kubeconfig.read_text())
    authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    api = urlsplit(lab.api_url)
    return (
        {"KUBERNETES_SERVICE_HOST": api.hostname, "KUBERNETES_SERVICE_PORT": str(api.port)},
        {
            f"{ACCOUNT_FILES}/token": kubeconfig["users"][0]["user"]["token"],
            f"{ACCOUNT_FILES}/ca.crt": base64.b64decode(authority).decode(),
            f"{ACCOUNT_FILES}/namespace": NAMESPACE,
        },
    )


def with_a_kubeconfig(_lab, replica):
    """Return how a container outside of a cluster finds it."""
    return {"KUBECONFIG": "/kubeconfig"}, {"/kubeconfig": replica.kubeconfig.read_text()}


@pytest.fixture
def container(image, tmp_path):
    """A container's name; `files` of a start are handed to the image's user. It is removed afterwards."""
    name = f"managedvm-{uuid.uuid4().hex[:12]}"

    def start(env, files):
        mounts = {}
        for number, (target, text) in enumerate(files.items()):
            source = tmp_path / str(number)
            source.write_text(text)
            os.chown(source, USER, USER)
            source.chmod(0o400)
            mounts[source] = target
        image.start(name, "run", env=env, files=mounts)
        return name

    yield start
    image.remove(name)


@pytest.mark.parametrize("access", [as_in_a_pod, with_a_kubeconfig])
def test_the_operator_runs_and_ends_in_its_container(image, container, lab, access):
    port, webhook = free_ports(2)
    env, files = access(lab, operator.replica(lab, 9))
    own = {"MANAGEDVM_HEALTH_PORT": str(port), "MANAGEDVM_HEALTH_ADDRESS": "127.0.0.1"}
    own["MANAGEDVM_WEBHOOK_PORT"] = str(webhook)

    name = container({**env, **own}, files)

    def serves(path):
        assert image.runs(name), image.logs(name)
        return answers(f"http://127.0.0.1:{port}/{path}")

    for path in ("healthz", "readyz"):
        wait_until(lambda path=path: serves(path), f"200 from /{path}", seconds=60, every=0.2)
    assert image.stop(name, grace_seconds=GRACE_SECONDS) == 0
    assert "CRITICAL" not in image.logs(name)
