"""A password is in its Secret and nowhere else: not in a log at DEBUG, an Event, a status or a metric."""

import base64
import json
import secrets
import urllib.request
import uuid

import pytest

from lab import wait_until
from lab.install import NAMESPACE
from managedvm.api.kinds import KINDS
from tests.api.bodies import custom
from tests.api.server import assert_done
from tests.world.simulated import keep_credentials
from tests.world.stage import PATIENCE, Stage

pytestmark = pytest.mark.lab

HEAD, TAIL = secrets.token_hex(8), secrets.token_hex(8)
CANARY = f"{HEAD}<&>\"'\\é%20 {TAIL}"
"""Its middle is written differently in XML, JSON, URLs and Python, its ends are the same everywhere."""


def shapes(secret):
    """Return what gives a secret away: its ends, however the rest is written, and the whole as a Secret holds it."""
    ends = (HEAD, TAIL) if secret == CANARY else (secret,)
    return {*(end.encode() for end in ends), base64.b64encode(secret.encode())}


def everything_told(stage, replica):
    """Return all that the operator has said to anybody, by where it was said."""
    metrics = f"http://127.0.0.1:{replica.health_port}/metrics"
    with urllib.request.urlopen(metrics, timeout=10) as answer:
        told = {"metrics": answer.read()}
    told["log"] = replica.log.read_bytes()
    events = stage.api.ask("GET", "/apis/events.k8s.io/v1/events")
    assert_done(events)
    told["events"] = json.dumps(events.body).encode()
    for kind in KINDS:
        found = stage.api.list(custom(kind.KIND.kind, "", None, {}))
        told[kind.KIND.plural] = json.dumps(found).encode()
    return told


@pytest.fixture
def strange(stage, kube, simulator):
    """A vCenter whose Secret holds a password that is wrong, and easily mangled; and a way to write another."""
    name = f"vcenter-{uuid.uuid4().hex[:8]}"

    def write(password):
        keep_credentials(kube, name, simulator, password=password, username=f"user-of-{name}")

    write(CANARY)
    server = {"server": f"127.0.0.1:{simulator.port}", "credentialsSecretRef": {"name": name}}
    body = custom("VCenter", name, None, {**server, "maximumMode": "Enforce", "grants": []})
    assert_done(stage.api.create(body))
    yield Stage(stage.api, simulator.admin, name), write
    assert_done(stage.api.delete(body))
    kube.delete("secret", name, namespace=NAMESPACE)


def test_a_secret_is_not_sent_to_a_server_that_it_is_not_for(stage, kube, simulator):
    name = f"vcenter-{uuid.uuid4().hex[:8]}"
    keep_credentials(kube, name, simulator, server="vcenter.example")
    server = f"127.0.0.1:{simulator.port}"
    body = custom("VCenter", name, None, {"server": server, "credentialsSecretRef": {"name": name}})
    assert_done(stage.api.create(body))
    here = Stage(stage.api, simulator.admin, name)
    try:
        said = here.until("Connected", status="False", reason="CredentialsMissing")
        assert f"is not for {server}, so nothing of it is sent there" in said["message"]
        keep_credentials(kube, name, simulator, server=f"vcenter.example {server}")
        here.until("Connected", seconds=60, status="True")
    finally:
        assert_done(stage.api.delete(body))
        kube.delete("secret", name, namespace=NAMESPACE)


def test_no_password_is_told_whatever_goes_wrong(party, strange, replica, lab):
    refused, write = strange
    refused.until("Connected", status="False", reason="InvalidCredentials")
    # Of a folder that is granted to nobody nothing would be said, not even that its vCenter cannot be seen.
    refused.allow(grants=[{"namespace": party.namespace, "folder": "/Berlin/vm/kunde-a"}])
    vm = party.vm(vm={"vCenterRef": {"name": refused.name}, "inventoryPath": "/Berlin/vm/kunde-a/web-01"})
    vm.until("VMFound", status="Unknown", reason="VCenterUnreachable")
    refused.vcenter.fault("drop-response", method="Login", count=1)
    write(f"{CANARY}-2")
    party.stage.vcenter.fault("expire-sessions")
    party.vm("web-02").settled()
    wait_until(lambda: logged(replica, refused.name, "did not answer"), "the lost answer", seconds=PATIENCE)
    refused.until("Connected", status="False", reason="InvalidCredentials")

    told = everything_told(party.stage, replica)

    assert b'"level": "DEBUG"' in told["log"], "the operator does not log at DEBUG, so this proves little"
    for place in ("log", "events", "vcenters", "managedvms"):
        assert refused.name.encode() in told[place], f"nothing was said in {place}"
    for secret in (CANARY, lab.vcenter_password):
        out = {place for place, text in told.items() for shape in shapes(secret) if shape in text}
        assert out == set()


def logged(replica, *words):
    """Say whether there is a line with all these words."""
    return any(all(word in line for word in words) for line in replica.log.read_text().splitlines())
