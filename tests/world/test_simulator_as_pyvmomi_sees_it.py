"""The vCenter simulator, read by the library that the operator reads a vCenter with: pyVmomi and its plain stub."""

import contextlib
import json
import ssl
import subprocess

import pytest
from pyVmomi import SoapStubAdapter, vim, vmodl
from pyVmomi.VmomiSupport import newestVersions

from lab import pki, provision
from lab.polling import wait_until
from lab.vcenter_admin import VCenterAdmin

pytestmark = pytest.mark.lab

WEB = "kunde-a/web-01"
USERS = [
    {"name": "boss", "password": "canary-boss", "role": "Administrator"},
    {"name": "reader", "password": "canary-reader", "role": "ReadOnly"},
]
INVENTORY = {
    "datacenter": "Berlin",
    "clusters": [{"name": "cluster-1", "hosts": 2}],
    "vms": [
        {
            "path": WEB,
            "cluster": "cluster-1",
            "cpus": 2,
            "memoryMiB": 4096,
            "disks": [{"sizeGiB": 40}],
            "cpuHotAdd": True,
        }
    ],
}
PATHS = [
    "name",
    "parent",
    "config.instanceUuid",
    "config.changeVersion",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "config.hardware.device",
    "config.cpuHotAddEnabled",
    "config.memoryHotAddEnabled",
    "config.hotPlugMemoryIncrementSize",
    "config.hotPlugMemoryLimit",
    "config.extraConfig",
    "config.template",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.host",
    "guest.toolsRunningStatus",
    "guestHeartbeatStatus",
    "runtime.dasVmProtection",
    "recentTask",
]
COLLECTOR = vmodl.query.PropertyCollector


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    """A simulator of this module alone, as its ready file describes it, with its certificate authority."""
    directory = tmp_path_factory.mktemp("vcenter")
    authority = pki.new_authority(directory, "test-vcenter")
    authority.server("server", hosts=("127.0.0.1",))
    (directory / "users.json").write_text(json.dumps({"users": USERS}))
    (directory / "inventory.json").write_text(json.dumps(INVENTORY))
    ready = directory / "ready.json"
    files = {
        "tls-cert": "server.crt",
        "tls-key": "server.key",
        "users": "users.json",
        "inventory": "inventory.json",
    }
    arguments = [f"--{flag}={directory / name}" for flag, name in {**files, "ready-file": ready.name}.items()]
    process = subprocess.Popen([provision.vcenter(), *arguments])  # noqa: S603 - our own simulator
    try:
        wait_until(ready.exists, "the simulator to serve", seconds=60)
        yield {**json.loads(ready.read_bytes()), "ca": authority.bundle}
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0


@pytest.fixture
def admin(simulator):
    """The hand behind the simulator; the troubles that a test leaves are cleared."""
    hand = VCenterAdmin(simulator["admin"])
    yield hand
    hand.clear_faults()


@contextlib.contextmanager
def session(simulator, user="boss"):
    trust = ssl.create_default_context(cafile=str(simulator["ca"]))
    port = int(simulator["url"].rpartition(":")[2].partition("/")[0])
    version = newestVersions.GetName("vim")
    stub = SoapStubAdapter(host="127.0.0.1", port=port, version=version, sslContext=trust)
    try:
        content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        content.sessionManager.Login(user, f"canary-{user}", None)
        yield content
    finally:
        stub.DropConnections()


@pytest.fixture
def boss(simulator):
    with session(simulator) as content:
        yield content


@pytest.fixture
def vm(boss):
    return boss.searchIndex.FindByInventoryPath(f"/Berlin/vm/{WEB}")


def outcome(task):
    """Return None for success, else the class of the task's fault."""
    wait_until(lambda: task.info.state in {"success", "error"}, f"the end of {task}", seconds=10)
    info = task.info
    return None if info.state == "success" else type(info.error)


class Stream:
    """One property collector with one filter, over a container view or over one object."""

    def __init__(self, content, kinds, one=None):
        self.collector = content.propertyCollector.CreatePropertyCollector()
        self.version = ""
        if one is not None:
            spec = COLLECTOR.ObjectSpec(obj=one)
        else:
            view = content.viewManager.CreateContainerView(content.rootFolder, list(kinds), recursive=True)
            step = COLLECTOR.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
            spec = COLLECTOR.ObjectSpec(obj=view, skip=True, selectSet=[step])
        sets = [COLLECTOR.PropertySpec(type=kind, pathSet=paths) for kind, paths in kinds.items()]
        filters = COLLECTOR.FilterSpec(objectSet=[spec], propSet=sets)
        self.collector.CreateFilter(filters, partialUpdates=False)

    def changes(self):
        """Return what changed since the last call, at once or within two seconds: {object: {path: value}}."""
        options = COLLECTOR.WaitOptions(maxWaitSeconds=2)
        update = self.collector.WaitForUpdatesEx(self.version, options)
        if update is None:
            return {}
        self.version = update.version
        objects = [found for filtered in update.filterSet for found in filtered.objectSet]
        return {found.obj: {change.name: change.val for change in found.changeSet} for found in objects}

    def until(self, wanted):
        """Wait for a change that is wanted, and return it."""
        while changed := self.changes():
            for found, values in changed.items():
                if wanted(values):
                    return found, values
        pytest.fail("it was not streamed")


def test_whole_objects_can_be_read_and_what_is_unset_is_none(vm):
    assert vm.runtime.powerState == "poweredOn"
    assert vm.summary.config.name == "web-01"
    assert vm.config.hardware.numCPU >= 1
    assert (vm.snapshot, vm.resourceConfig, vm.alarmActionsEnabled) == (None, None, None)


def test_every_property_the_operator_streams_arrives_and_its_changes_too(boss, vm, admin):
    kinds = {
        vim.VirtualMachine: PATHS,
        vim.ClusterComputeResource: ["name", "host", "configurationEx"],
        vim.Folder: ["name", "parent", "childEntity"],
    }
    stream = Stream(boss, kinds)
    first = stream.changes()
    assert set(PATHS) - set(first[vm]) == {
        "config.extraConfig",
        "config.hotPlugMemoryIncrementSize",
        "config.hotPlugMemoryLimit",
    }
    option = vim.option.OptionValue(key="color", value="blue")
    assert outcome(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=4, extraConfig=[option]))) is None
    _, values = stream.until(lambda values: "config.hardware.numCPU" in values)
    assert values["config.hardware.numCPU"] == 4
    assert [(found.key, found.value) for found in values["config.extraConfig"]] == [("color", "blue")]
    admin.vm(WEB, heartbeat="red")
    stream.until(lambda values: values.get("guestHeartbeatStatus") == "red")
    admin.cluster("cluster-1", enabled=False)
    stream.until(lambda values: "configurationEx" in values)
    admin.cluster("cluster-1", enabled=True)
    admin.vm(WEB, heartbeat="green", cpus=2)


def test_an_override_is_removed_by_the_reference_that_pyvmomi_sends(vm):
    cluster = vm.runtime.host.parent
    monitoring = vim.cluster.VmToolsMonitoringSettings(enabled=True, failureInterval=30, maxFailureWindow=-1)
    settings = vim.cluster.DasVmSettings(restartPriority="high", vmToolsMonitoringSettings=monitoring)
    added = vim.cluster.DasVmConfigInfo(key=vm, dasSettings=settings)

    def change(**spec):
        one = vim.cluster.ConfigSpecEx(dasVmConfigSpec=[vim.cluster.DasVmConfigSpec(**spec)])
        return outcome(cluster.ReconfigureComputeResource_Task(one, modify=True))

    assert change(operation="add", info=added) is None
    (override,) = cluster.configurationEx.dasVmConfig
    assert override.dasSettings.vmToolsMonitoringSettings.maxFailureWindow == -1
    assert change(operation="remove", removeKey=vm) is None
    assert change(operation="remove", removeKey=vm) is vmodl.fault.InvalidArgument
    assert list(cluster.configurationEx.dasVmConfig) == []


def test_the_events_of_ha_are_streamed_as_their_own_classes(boss, vm, admin):
    filters = vim.event.EventFilterSpec(eventTypeId=["VmDasBeingResetEvent", "VmMaxRestartCountReached"])
    history = boss.eventManager.CreateCollectorForEvents(filters)
    stream = Stream(boss, {vim.event.EventHistoryCollector: ["latestPage"]}, one=history)
    stream.changes()
    admin.ha_restart(WEB, kind="screenshot")
    admin.ha_restart(WEB, kind="maxReached")
    _, values = stream.until(lambda values: len(values["latestPage"]) == 2)
    newest, oldest = values["latestPage"]
    assert isinstance(newest, vim.event.VmMaxRestartCountReached)
    assert isinstance(oldest, vim.event.VmDasBeingResetWithScreenshotEvent)
    assert newest.key > oldest.key
    assert newest.vm.vm == vm
    history.ResetCollector()
    assert [event.key for event in history.ReadNextEvents(10)] == [oldest.key, newest.key]
    history.DestroyCollector()


def test_a_stale_version_and_zero_cpus_are_refused(vm):
    stale = vim.vm.ConfigSpec(changeVersion="yesterday", numCPUs=4)
    assert outcome(vm.ReconfigVM_Task(stale)) is vim.fault.ConcurrentAccess
    assert outcome(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=0))) is vmodl.fault.InvalidArgument


def test_a_task_is_seen_running_and_then_done(vm, admin):
    admin.fault("slow-task", method="ReconfigVM_Task", seconds=0.5, count=1)
    task = vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="slow"))
    wait_until(lambda: task.info.state == "running" and task.info.progress, "progress", seconds=5)
    assert task in vm.recentTask
    assert outcome(task) is None
    assert task.info.completeTime > task.info.startTime


def test_a_response_that_was_dropped_had_its_effect(vm, admin):
    admin.fault("drop-response", method="ReconfigVM_Task", count=1)
    with pytest.raises(Exception, match=r"."):
        vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=6))
    wait_until(lambda: admin.vm(WEB)["cpus"] == 6, "the effect", seconds=5)
    assert [entry["outcome"] for entry in admin.calls()["mutations"] if entry["method"] == "ReconfigVM_Task"][
        -1
    ] == "success"


def test_a_reader_changes_nothing_and_is_told_what_is_missing(simulator):
    with session(simulator, "reader") as content:
        vm = content.searchIndex.FindByInventoryPath(f"/Berlin/vm/{WEB}")
        with pytest.raises(vim.fault.NoPermission) as refused:
            vm.PowerOffVM_Task()
        assert refused.value.privilegeId == "VirtualMachine.Interact.PowerOff"
        assert refused.value.object == vm


def test_a_wrong_password_an_unknown_property_and_an_ended_session_are_their_own_faults(simulator, boss):
    with pytest.raises(vmodl.query.InvalidProperty):
        Stream(boss, {vim.VirtualMachine: ["config.hardware.numCpus"]})
    with session(simulator, "reader") as content:
        with pytest.raises(vim.fault.InvalidLogin):
            content.sessionManager.Login("boss", "guess", None)
        boss.sessionManager.TerminateSession([content.sessionManager.currentSession.key])
        with pytest.raises(vim.fault.NotAuthenticated):
            assert content.rootFolder.childEntity
