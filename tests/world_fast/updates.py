"""Pages of an update stream written by hand, as a vCenter would send them."""

from datetime import UTC, datetime

from managedvm.world.vsphere.changes import changes_of
from managedvm.world.vsphere.pages import parse

_ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>
<WaitForUpdatesExResponse xmlns="urn:vim25">{returned}</WaitForUpdatesExResponse></soapenv:Body></soapenv:Envelope>"""


def envelope(*updates, version="1", truncated=False):
    """The answer that carries these updates; an empty one without any."""
    if not updates:
        return _ENVELOPE.format(returned="").encode()
    more = "<truncated>true</truncated>" if truncated else ""
    found = f"<filterSet><filter type='PropertyFilter'>f</filter>{''.join(updates)}</filterSet>"
    return _ENVELOPE.format(
        returned=f"<returnval><version>{version}</version>{found}{more}</returnval>"
    ).encode()


def update(kind, what, moref, **values):
    """One update of an object. Double underscores in the names stand for dots, None for a property that became unset."""
    changes = "".join(_change(name.replace("__", "."), value) for name, value in values.items())
    return f'<objectSet><kind>{kind}</kind><obj type="{what}">{moref}</obj>{changes}</objectSet>'


def _change(name, value):
    val = "" if value is None else value if str(value).startswith("<val") else f"<val>{value}</val>"
    return f"<changeSet><name>{name}</name><op>assign</op>{val}</changeSet>"


def changes(*updates):
    """What the loop is handed of these updates."""
    return changes_of(parse(envelope(*updates)))


def folder(moref, name, parent, what="Folder"):
    """A folder that enters."""
    return update("enter", what, moref, name=name, parent=parent)


def vm(moref, name, parent="group-a", kind="enter", **values):
    """A VM that enters, with the least that it has."""
    facts = {
        "config__instanceUuid": f"uuid-of-{moref}",
        "runtime__powerState": "poweredOn",
        "runtime__host": "host-1",
        "guestHeartbeatStatus": "green",
        **values,
    }
    return update(kind, "VirtualMachine", moref, name=name, parent=parent, **facts)


TREE = (
    folder("dc", "Berlin", "root", what="Datacenter"),
    folder("group-v", "vm", "dc"),
    folder("group-a", "kunde-a", "group-v"),
    folder("group-b", "kunde-b", "group-v"),
)
"""/Berlin/vm/kunde-a and /Berlin/vm/kunde-b."""

HOSTS = (
    update("enter", "HostSystem", "host-1", parent="domain-1"),
    update("enter", "HostSystem", "host-2", parent="domain-1"),
    update("enter", "HostSystem", "host-3", parent="domain-2"),
)


def cluster(moref, name="cluster", *, overrides="", options="", kind="enter"):
    """A cluster that enters, with HA on."""
    das = f"<dasConfig><enabled>true</enabled><vmMonitoring>vmMonitoringOnly</vmMonitoring>{options}</dasConfig>"
    value = f'<val xsi:type="ClusterConfigInfoEx">{das}{overrides}</val>'
    return update(kind, "ClusterComputeResource", moref, name=name, configurationEx=value)


def override(vm_moref, priority):
    """One VM's override in a cluster."""
    settings = f"<dasSettings><restartPriority>{priority}</restartPriority></dasSettings>"
    return f'<dasVmConfig><key type="VirtualMachine">{vm_moref}</key>{settings}</dasVmConfig>'


NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLUSTERS = (cluster("domain-1", "one"), cluster("domain-2", "two"))


class Told(list):
    """What the inventory told, and the time by its clock."""

    now = NOON

    def take(self, vms, clusters, health):
        self.append((vms, clusters, health))

    @property
    def vms(self):
        """The VMs that were told last."""
        return self[-1][0]


def fill(inventory, *updates, vcenter="vc-1"):
    inventory.begin_fill(vcenter, "root")
    inventory.apply(changes(*TREE, *HOSTS, *CLUSTERS, *updates))
    inventory.end_fill("vCenter 8")
