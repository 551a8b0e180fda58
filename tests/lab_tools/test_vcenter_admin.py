"""The admin client speaks the simulator's endpoint, and hands its refusals on."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from lab.vcenter_admin import VCenterAdmin, VCenterAdminError


@pytest.fixture
def endpoint():
    """An endpoint that notes every call and refuses what concerns "nobody"."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            calls.append((self.command, self.path, json.loads(body) if body else None))
            refused = "nobody" in self.path
            content = json.dumps({"error": "no such VM"} if refused else {"cpus": 2}).encode()
            self.send_response(404 if refused else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names that http.server asks for

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield VCenterAdmin(f"http://127.0.0.1:{server.server_port}"), calls
        server.shutdown()
        thread.join()


def test_a_changed_vm_is_seen_in_the_same_answer_so_it_may_be_renamed_or_moved(endpoint):
    admin, calls = endpoint
    assert admin.vm("kunde-a/web-01", heartbeat="red") == {"cpus": 2}
    assert calls == [
        ("POST", "/vm?path=kunde-a%2Fweb-01", {"heartbeat": "red"}),
    ]


def test_a_vm_is_only_looked_at_when_nothing_is_to_change(endpoint):
    admin, calls = endpoint
    admin.vm("kunde-a/web-01")
    assert [method for method, _, _ in calls] == ["GET"]


def test_faults_are_set_and_cleared(endpoint):
    admin, calls = endpoint
    admin.fault("drop-response", method="ReconfigVM_Task", count=1)
    admin.clear_faults()
    assert calls == [
        ("POST", "/fault", {"kind": "drop-response", "method": "ReconfigVM_Task", "count": 1}),
        ("DELETE", "/fault", None),
    ]


def test_a_refusal_is_an_error_with_the_simulators_words(endpoint):
    admin, _ = endpoint
    with pytest.raises(VCenterAdminError, match=r"404.*no such VM"):
        admin.delete_vm("kunde-a/nobody")
