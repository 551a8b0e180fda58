"""A replica of the operator is started, killed, halted and started again; here a stand-in is what runs."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from lab import lifecycle, processes
from lab import operator as lab_operator
from lab.errors import LabError
from lab.lifecycle import free_ports
from lab.operator import Operator
from lab.polling import wait_until

_STAND_IN = """
import http.server, os, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
print(sys.argv[1], os.environ["KUBECONFIG"], "HOSTNAME" in os.environ, flush=True)
if os.environ.get("BROKEN"):
    sys.exit("no such vCenter")
http.server.HTTPServer(("127.0.0.1", int(os.environ["MANAGEDVM_HEALTH_PORT"])), Health).serve_forever()
"""


@pytest.fixture
def operator(paper_lab, tmp_path, monkeypatch):
    package = tmp_path / "source" / "managedvm"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(_STAND_IN)
    monkeypatch.setenv("HOSTNAME", "a variable of the caller's shell")
    ports = free_ports(2)
    settings = {"PYTHONPATH": str(package.parent)}
    replica = Operator(paper_lab, "operator-1", tmp_path / "kubeconfig", *ports, settings)
    yield replica
    replica.kill()


def test_a_started_operator_is_healthy_and_logs(operator):
    operator.start()
    assert operator.alive
    assert operator.healthy()
    assert operator.log.name == "operator-1.log"
    assert operator.log.read_text().split() == ["run", str(operator.kubeconfig), "False"]


def test_a_killed_operator_is_gone_at_once_and_can_be_started_again(operator):
    operator.start()
    first = operator.pid
    assert operator.kill()
    assert operator.pid is None
    assert not operator.healthy()
    operator.start()
    assert operator.pid not in (None, first)


def test_a_restarted_operator_is_another_process_at_the_same_place(operator):
    operator.start()
    first = operator.pid
    operator.restart()
    assert operator.pid != first
    assert operator.healthy()


def test_starting_an_operator_that_lives_leaves_it_alone(operator):
    operator.start()
    first = operator.pid
    operator.start()
    assert operator.pid == first


def test_a_halted_operator_lives_but_does_not_answer_until_it_goes_on(operator):
    operator.start()
    assert operator.freeze()
    wait_until(lambda: _state(operator.pid) == "T", "the halt", seconds=5)
    assert operator.alive
    assert operator.thaw()
    wait_until(operator.healthy, "the operator to go on", seconds=5)


def _state(pid):
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - a file of /proc
        return stat.read().rpartition(")")[2].split()[0]


def test_an_operator_that_ends_while_starting_shows_its_log(operator):
    broken = replace(operator, settings={**operator.settings, "BROKEN": "yes"})
    with pytest.raises(LabError, match=r"operator-1 ended:(?s:.*)no such vCenter"):
        broken.start()


def test_down_ends_operators_too(operator):
    operator.start()
    pid = operator.pid
    assert lifecycle.down(operator.lab.directory)
    assert processes.identify(pid) is None


def test_a_replica_is_found_again_at_its_port(paper_lab, monkeypatch):
    cluster = SimpleNamespace(token=lambda *_, **__: "a-token")
    monkeypatch.setattr(lab_operator.kube, "admin", lambda _: cluster)
    monkeypatch.setattr(lab_operator, "current_cluster", lambda _: {"server": "https://127.0.0.1:1"})
    first, again, second = (lab_operator.replica(paper_lab, number) for number in (1, 1, 2))
    assert first == again
    assert (second.name, second.health_port == first.health_port) == ("operator-2", False)
    assert "a-token" in first.kubeconfig.read_text()
    assert first.kubeconfig.stat().st_mode & 0o077 == 0


def test_an_operator_that_was_never_started_cannot_be_ended(operator):
    assert operator.pid is None
    assert not operator.stop()
    assert not operator.kill()
    assert not operator.freeze()
