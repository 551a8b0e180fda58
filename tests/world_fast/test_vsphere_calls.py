"""What a call to vCenter asks for, and what its failure means: without a vCenter."""

import json
import ssl
from http.client import RemoteDisconnected

import pytest
from pydantic import SecretStr
from pyVmomi import vim, vmodl

from lab.simulator import OPERATOR_ROLE
from managedvm.errors import (
    BusyError,
    InvalidCredentialsError,
    ManagedVMError,
    NoPermissionError,
    NotActiveError,
    RefusedError,
    StaleError,
    TlsNotTrustedError,
    UnknownOutcomeError,
    UnreachableError,
)
from managedvm.planning.actions import (
    ConfigureClusterHighAvailability,
    OverrideHighAvailability,
    Reconfigure,
)
from managedvm.planning.clauses import Clause
from managedvm.planning.observed import HaSettings
from managedvm.world.vsphere.connection import Server, Session, guarded
from managedvm.world.vsphere.faults import error_of_connection, error_of_fault
from managedvm.world.vsphere.privileges import role
from managedvm.world.vsphere.soap import NotSentError, tls_context
from managedvm.world.vsphere.specs import cluster_spec, override_spec, reconfigure_spec
from managedvm.world.vsphere.stream import StreamTiming

GIB = 1 << 30
SECRET = "canary-of-the-fast-tests"


def no_permission():
    vm = vim.VirtualMachine("vm-7", None)
    return vim.fault.NoPermission(object=vm, privilegeId="VirtualMachine.Interact.PowerOn")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (vim.fault.NotAuthenticated(privilegeId="x"), UnreachableError),
        (no_permission(), NoPermissionError),
        (vim.fault.TaskInProgress(), BusyError),
        (vim.fault.ConcurrentAccess(), StaleError),
        (vim.fault.InvalidPowerState(), StaleError),
        (vim.fault.ToolsUnavailable(), StaleError),
        (vmodl.fault.ManagedObjectNotFound(), StaleError),
        (vmodl.fault.InvalidArgument(invalidProperty="numCPUs"), RefusedError),
        (vim.fault.MemoryHotPlugNotSupported(), RefusedError),
        (vim.fault.InvalidDeviceSpec(), RefusedError),
        (vmodl.fault.SystemError(), UnknownOutcomeError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_each_fault_says_who_must_act(fault, error):
    assert type(error_of_fault(fault, ordered=True)) is error


def test_a_server_that_fails_inside_a_read_has_changed_nothing():
    assert type(error_of_fault(vmodl.fault.SystemError(), ordered=False)) is UnreachableError


def test_a_missing_privilege_is_named_with_its_object():
    error = error_of_fault(no_permission(), ordered=True)
    assert (error.privilege, error.target) == ("VirtualMachine.Interact.PowerOn", "vm-7")
    assert "VirtualMachine.Interact.PowerOn on VirtualMachine vm-7" in str(error)


def test_a_privilege_named_only_in_the_newer_list_is_found():
    missing = vim.fault.NoPermission.EntityPrivileges(
        entity=vim.ClusterComputeResource("domain-1", None), privilegeIds=["Host.Inventory.EditCluster"]
    )
    error = error_of_fault(vim.fault.NoPermission(missingPrivileges=[missing]), ordered=True)
    assert (error.privilege, error.target) == ("Host.Inventory.EditCluster", "domain-1")


def test_an_untrusted_certificate_is_not_taken_for_a_lost_network():
    untrusted = ssl.SSLCertVerificationError()
    untrusted.verify_message = "self-signed certificate"
    assert type(error_of_connection(untrusted)) is TlsNotTrustedError
    assert type(error_of_connection(ConnectionRefusedError(111, "Connection refused"))) is UnreachableError


def test_a_certificate_authority_that_is_no_certificate_is_told():
    with pytest.raises(TlsNotTrustedError):
        tls_context("-----BEGIN NONSENSE-----")


def test_certificate_and_host_name_are_verified():
    context = tls_context(None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (RemoteDisconnected("gone"), UnknownOutcomeError),
        (TimeoutError("too late"), UnknownOutcomeError),
        (KeyError("an unknown type"), UnknownOutcomeError),
        (NotSentError(UnreachableError("refused")), UnreachableError),
        (StaleError("ours already"), StaleError),
    ],
)
def test_an_order_without_an_answer_is_unknown_only_if_it_was_sent(raised, error):
    def call():
        raise raised

    with pytest.raises(error):
        guarded(call, ordered=True)


def test_a_bug_is_not_taken_for_trouble_with_the_network():
    def call():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guarded(call, ordered=True)


class FakeContent:
    """A vCenter that counts logins, and can refuse them."""

    def __init__(self, refuses=None):
        self.logins = self.logouts = 0
        self.refuses = refuses
        self.sessionManager = self

    def Login(self, user, password, _locale):  # noqa: N802 - vSphere's name
        self.logins += 1
        if self.refuses:
            raise self.refuses
        assert password == SECRET
        return vim.UserSession(userName=user)

    def Logout(self):  # noqa: N802 - vSphere's name
        self.logouts += 1


@pytest.fixture
def content(monkeypatch):
    made = FakeContent()
    monkeypatch.setattr(vim.ServiceInstance, "RetrieveContent", lambda _self: made, raising=False)
    monkeypatch.setattr(vim.ServiceInstance, "CurrentTime", lambda _self: made.asked.append(1), raising=False)
    made.asked = []
    return made


def session(now=lambda: 0.0):
    return Session(Server("vcenter.example", "operator", SecretStr(SECRET)), 1.0, now)


class Call:
    """A call that fails as told before it succeeds."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.sent = 0

    def __call__(self):
        self.sent += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


LOST = vim.fault.NotAuthenticated


def test_a_read_is_repeated_once_after_a_new_login(content):
    call = Call(LOST())
    assert session().read(call) == "done"
    assert (call.sent, content.logins) == (2, 2)


def test_a_read_is_not_repeated_for_ever(content):
    call = Call(LOST(), LOST())
    with pytest.raises(UnreachableError):
        session().read(call)
    assert (call.sent, content.logins) == (2, 2)


def test_an_order_is_never_repeated_and_the_next_one_logs_in_first(content):
    one, call = session(), Call(LOST())
    with pytest.raises(UnreachableError):
        one.order(call, lambda: True)
    assert (call.sent, content.logins) == (1, 1)
    assert one.order(call, lambda: True) == "done"
    assert (call.sent, content.logins) == (2, 2)


@pytest.mark.usefixtures("content")
def test_an_order_is_not_sent_without_leave():
    call = Call()
    with pytest.raises(NotActiveError):
        session().order(call, lambda: False)
    assert call.sent == 0


def test_leave_is_asked_after_everything_that_takes_time(content):
    now = [0.0]
    one = session(lambda: now[0])
    one.order(Call(), lambda: True)
    assert content.asked == []
    now[0] = 301.0
    asked_before_leave = []
    one.order(Call(), lambda: asked_before_leave.append(len(content.asked)) or True)
    assert asked_before_leave == [1]


def test_a_session_is_ended_before_it_is_renewed(content):
    one = session()
    one.renew()
    one.renew()
    assert (content.logins, content.logouts) == (2, 1)
    one.close()
    one.close()
    assert content.logouts == 2


@pytest.mark.parametrize("refusal", [vim.fault.InvalidLogin(), RuntimeError(f"password={SECRET!r}")])
def test_a_failed_login_tells_no_password(content, refusal):
    content.refuses = refusal
    with pytest.raises(ManagedVMError) as failure:
        session().read(Call())
    assert SECRET not in str(failure.value)
    assert failure.value.__suppress_context__


def test_an_override_names_what_is_wanted_and_nothing_else():
    settings = HaSettings(restart_priority="high", max_failures=3, cluster_settings=False)
    change, added = override_spec(
        (
            OverrideHighAvailability("domain-1", "vm-1", settings, exists=True),
            OverrideHighAvailability("domain-1", "vm-2", settings, exists=False),
        ),
        None,
    ).dasVmConfigSpec
    tools = change.info.dasSettings.vmToolsMonitoringSettings
    assert (change.operation, change.info.dasSettings.restartPriority) == ("edit", "high")
    assert (tools.maxFailures, tools.clusterSettings, tools.failureInterval, tools.vmMonitoring) == (
        3,
        False,
        None,
        None,
    )
    assert added.operation == "add"


def test_a_cluster_spec_never_turns_ha_off():
    spec = cluster_spec(
        ConfigureClusterHighAvailability("domain-1", options={"das.iostatsInterval": "120"})
    ).dasConfig
    assert (spec.enabled, spec.hostMonitoring, spec.vmMonitoring) == (None, None, None)
    assert [(option.key, option.value) for option in spec.option] == [("das.iostatsInterval", "120")]


def disk(key, capacity):
    return vim.vm.device.VirtualDisk(key=key, capacityInBytes=capacity, capacityInKB=capacity // 1024)


def reconfiguration(**changes):
    return Reconfigure("vm-1", "version-1", Clause.CHANGE_BY_EFFORT, **changes)


def test_a_reconfiguration_carries_its_precondition_and_only_its_changes():
    spec = reconfigure_spec(reconfiguration(memory_mib=2048, notes={"managedvm.x": "y"}), [])
    assert (spec.changeVersion, spec.memoryMB, spec.numCPUs) == ("version-1", 2048, None)
    assert [(note.key, note.value) for note in spec.extraConfig] == [("managedvm.x", "y")]
    assert list(spec.deviceChange) == []


def test_a_grown_disk_is_sent_whole_with_its_new_size():
    spec = reconfigure_spec(reconfiguration(disks={2001: 3 * GIB}), [disk(2000, GIB), disk(2001, 2 * GIB)])
    (change,) = spec.deviceChange
    assert (change.operation, change.device.key) == ("edit", 2001)
    assert (change.device.capacityInBytes, change.device.capacityInKB) == (3 * GIB, 3 << 20)


def test_a_disk_is_never_shrunk():
    with pytest.raises(RefusedError):
        reconfigure_spec(reconfiguration(disks={2000: GIB - 1}), [disk(2000, GIB)])


def test_a_disk_that_is_gone_is_stale():
    with pytest.raises(StaleError):
        reconfigure_spec(reconfiguration(disks={2000: GIB}), [])


def test_the_shipped_role_is_the_one_of_the_table():
    assert OPERATOR_ROLE.read_text() == role()
    assert json.loads(role())["name"] == "ManagedVMOperator"


def test_retries_grow_to_a_limit_and_a_locked_account_is_not_provoked():
    timing = StreamTiming()
    pauses = [timing.pause(UnreachableError("x"), failures, "berlin") for failures in range(12)]
    assert pauses[0] <= 0.5
    assert all(pause <= 30 for pause in pauses)
    assert pauses[-1] >= 15
    assert timing.pause(InvalidCredentialsError("x"), 0, "berlin") == 300


def test_the_stream_rests_after_work_so_that_a_storm_leaves_the_processor_to_others():
    timing = StreamTiming()
    assert timing.rest(0.01) == pytest.approx(0.03)
    assert timing.rest(5.0) == timing.longest_rest_seconds
