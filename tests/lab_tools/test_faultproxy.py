"""The fault proxy does what its faults say, and nothing else: what it forwards arrives once and unchanged."""

import json
import ssl
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab import faults, wait_until
from lab.calls import KUBERNETES, VSPHERE, Reader
from lab.facts import Lab
from lab.faultproxy import FaultProxy
from lab.faults import Crash, Moment
from lab.pki import new_authority

VMS = "/apis/managedvm.dev/v1alpha1/namespaces/a/managedvms"
REQUESTS = "/apis/managedvm.dev/v1alpha1/namespaces/a/changerequests"
RECONFIGURE = b"""<soapenv:Envelope><soapenv:Body><ReconfigVM_Task xmlns="urn:vim25">
<_this type="VirtualMachine">vm-7</_this></ReconfigVM_Task></soapenv:Body></soapenv:Envelope>"""
OVERRIDE = b"""<soapenv:Envelope><soapenv:Body><ReconfigureComputeResource_Task xmlns="urn:vim25">
<_this type="ClusterComputeResource">domain-c1</_this><spec><dasVmConfigSpec><info>
<key xsi:type="ManagedObjectReference" type="VirtualMachine">vm-7</key></info></dasVmConfigSpec></spec>
</ReconfigureComputeResource_Task></soapenv:Body></soapenv:Envelope>"""


class Server(ThreadingHTTPServer):
    """An API server that remembers what it was asked, and whose watches tell three events."""

    daemon_threads = True

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.asked: list[tuple[str, str, bytes]] = []

    def handle_error(self, request, client_address) -> None:
        """Say nothing of connections that a test has broken."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, body))
        self.send_response(200)
        if "watch=true" in self.path:
            self.send_header("Connection", "close")
            self.end_headers()
            for kind in ("ADDED", "DELETED", "BOOKMARK"):
                self.wfile.write(json.dumps({"type": kind}).encode() + b"\n")
            return
        said = json.dumps({"number": len(self.server.asked)}).encode()
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815 - the names by which http.server finds them

    def log_message(self, *_args) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lab")
    lab = Lab(directory, directory, "c", ("apiserver",), {}, {})
    authority = new_authority(lab.certificates("kubernetes"), "test")
    authority.server("apiserver", hosts=("127.0.0.1",))
    return lab


@pytest.fixture
def server(facts):
    trust = facts.certificates("kubernetes")
    made = Server(trust / "apiserver.crt", trust / "apiserver.key")
    facts.ports["apiserver"] = made.server_port
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def proxy(facts, server):  # noqa: ARG001 - its port is in the facts
    with FaultProxy(facts) as made:
        yield made


@pytest.fixture
def ask(facts, proxy):
    """Send a request through the proxy; returns its answer, None where the connection broke."""
    door = proxy.to_api_server("one")
    context = ssl.create_default_context(cafile=str(facts.certificates("kubernetes") / "ca.crt"))

    def asked(method, path, body=None):
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(door.url + path, data=content, method=method)  # noqa: S310 - our own proxy
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310 - as above
                return answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code
        except OSError:
            return None

    asked.door = door
    return asked


def change(name="web-01"):
    return {"metadata": {"name": f"op-{name}"}, "spec": {"managedVMRef": {"name": name}}}


def test_what_changes_something_is_numbered_and_told_by_its_managed_vm(proxy, ask):
    ask("GET", f"{VMS}/web-01")
    ask("POST", REQUESTS, change())
    ask("PATCH", f"{REQUESTS}/op-web-01/status", {})
    ask("PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/x", {})
    ask("POST", "/apis/events.k8s.io/v1/namespaces/a/events", {"metadata": {"name": "e"}})
    ask("PATCH", f"{VMS}/web-02/status", {})
    assert [(call.number, call.what, call.about) for call in proxy.calls] == [
        (1, "POST changerequests", "a/web-01"),
        (2, "PATCH changerequests/status", "a/web-01"),
        (3, "PATCH managedvms/status", "a/web-02"),
    ]


def test_a_record_of_work_and_a_claim_are_told_by_their_managed_vm():
    reader = Reader()
    read = reader.read
    read(KUBERNETES, "POST", REQUESTS, json.dumps(change()).encode())
    work = {"metadata": {"name": "w"}, "spec": {"changeRequestRef": {"name": "op-web-01"}}}
    path = REQUESTS.replace("changerequests", "workentries")
    assert read(KUBERNETES, "POST", path, json.dumps(work).encode()).about == "a/web-01"
    claim = {"metadata": {"name": "vm-x"}, "spec": {"owner": {"namespace": "b", "name": "db"}}}
    path = "/apis/managedvm.dev/v1alpha1/vmclaims"
    assert read(KUBERNETES, "POST", path, json.dumps(claim).encode()).about == "b/db"
    assert read(KUBERNETES, "DELETE", f"{path}/vm-x", b"{}").about == "b/db"


def test_an_order_to_vcenter_is_told_by_its_vm_and_an_override_by_the_vm_it_is_for():
    reader = Reader()
    assert reader.read(VSPHERE, "POST", "/sdk", RECONFIGURE).about == "vm-7"
    reader.know("vm-7", "a/web-01")
    order = reader.read(VSPHERE, "POST", "/sdk", OVERRIDE)
    assert (order.what, order.about, order.changes) == ("ReconfigureComputeResource_Task", "a/web-01", True)
    waiting = reader.read(
        VSPHERE, "POST", "/sdk", RECONFIGURE.replace(b"ReconfigVM_Task", b"WaitForUpdatesEx")
    )
    assert not waiting.changes


@pytest.mark.parametrize(
    ("fault", "answer", "arrived"),
    [
        (faults.lost_before, None, 0),
        (faults.lost_after, None, 1),
        (faults.doubled, b'{"number": 2}', 2),
        (faults.doubled_unseen, b'{"number": 1}', 2),
        (faults.refused_before(503), 503, 0),
        (faults.refused_after(500), 500, 1),
        (faults.late(0.01, Moment.BEFORE), b'{"number": 1}', 1),
        (faults.late(0.01, Moment.AFTER_EFFECT), b'{"number": 1}', 1),
    ],
)
def test_a_fault_strikes_the_request_it_is_meant_for_and_no_other(  # noqa: PLR0917 - as many fixtures
    proxy, server, ask, fault, answer, arrived
):
    rule = proxy.inject(lambda call: call.changes, fault, nth=2)
    ask("POST", REQUESTS, change())
    server.asked.clear()
    assert ask("POST", REQUESTS, change("web-02")) == answer
    assert len(server.asked) == arrived
    assert [call.about for call in rule.struck] == ["a/web-02"]
    server.asked.clear()
    assert ask("POST", REQUESTS, change("web-03")) == b'{"number": 1}'


def test_a_watch_streams_through_and_a_hidden_event_does_not(proxy, ask):
    proxy.hides = lambda event: event["type"] == "DELETED"
    kinds = [json.loads(line)["type"] for line in ask("GET", f"{VMS}?watch=true").splitlines()]
    assert kinds == ["ADDED", "BOOKMARK"]


def test_a_watch_can_be_told_that_it_is_too_old(proxy, ask):
    proxy.inject(lambda call: call.is_watch, faults.too_old)
    (event,) = ask("GET", f"{VMS}?watch=true").splitlines()
    assert json.loads(event)["object"]["code"] == 410


def test_a_closed_door_lets_nothing_through_until_it_is_opened(proxy, server, ask):
    proxy.close(ask.door)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, "GET", f"{VMS}/web-01")
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        assert server.asked == []
        proxy.open(ask.door)
        assert waiting.result(timeout=10) == b'{"number": 1}'


def test_a_crash_holds_each_request_at_its_moment_and_kills_once_all_answers_are_out(proxy, server, ask):
    seen = []
    crash = Crash(proxy, lambda: seen.append(len(server.asked)))
    with ThreadPoolExecutor() as pool:
        answers = []
        for name, moment in zip(("one", "two", "three"), Moment, strict=True):
            crash.join(lambda call, about=f"a/{name}": call.about == about, 1, moment)
            answers.append(pool.submit(ask, "POST", REQUESTS, change(name)))
        wait_until(lambda: None not in crash.held, "all to be held", seconds=10)
        assert not any(answer.done() for answer in answers)
        crash.strike()
        assert [answer.result(timeout=10) is None for answer in answers] == [True, True, False]
    assert seen == [2]
    assert sorted(json.loads(body)["metadata"]["name"] for _, _, body in server.asked) == [
        "op-three",
        "op-two",
    ]


def test_a_point_that_nobody_comes_to_is_given_up(proxy, ask):
    crash = Crash(proxy, lambda: None)
    crash.join(lambda call: call.about == "a/nobody", 1, Moment.BEFORE)
    crash.strike()
    assert crash.held == [None]
    assert ask("POST", REQUESTS, change("nobody")) == b'{"number": 1}'
