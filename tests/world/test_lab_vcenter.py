"""The lab's vCenter: its users, its trust, and that a restart finds the same VMs at the same address."""

import ssl
from contextlib import contextmanager

import pytest
from pyVmomi import SoapStubAdapter, vim
from pyVmomi.VmomiSupport import newestVersions

import lab as world
from lab.facts import ADMINISTRATOR_USER, OPERATOR_USER, READONLY_USER

pytestmark = pytest.mark.lab


@contextmanager
def session(lab, user, password=None, authority=None):
    trust = ssl.create_default_context(cafile=str(authority or lab.vcenter_ca))
    version = newestVersions.GetName("vim")
    stub = SoapStubAdapter(host="127.0.0.1", port=lab.ports["vcenter"], version=version, sslContext=trust)
    try:
        content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        content.sessionManager.Login(user, password or lab.passwords[user], None)
        yield content
        content.sessionManager.Logout()
    finally:
        stub.DropConnections()


def instance_uuids(lab):
    with session(lab, READONLY_USER) as content:
        view = content.viewManager.CreateContainerView(
            content.rootFolder, [vim.VirtualMachine], recursive=True
        )
        return {vm.name: vm.config.instanceUuid for vm in view.view}


@pytest.mark.parametrize("user", [ADMINISTRATOR_USER, OPERATOR_USER, READONLY_USER])
def test_each_user_of_the_lab_can_log_in(lab, user):
    with session(lab, user) as content:
        assert content.sessionManager.currentSession.userName == user


def test_a_wrong_password_is_refused(lab):
    with pytest.raises(vim.fault.InvalidLogin), session(lab, OPERATOR_USER, password="wrong"):
        pytest.fail("a wrong password was let in")


def test_the_vcenter_is_not_trusted_by_the_clusters_authority(lab):
    if not lab.own_control_plane:
        pytest.skip("the cluster is the user's own, its authority is not known here")
    cluster = lab.certificates("kubernetes") / "ca.crt"
    with pytest.raises(ssl.SSLCertVerificationError), session(lab, OPERATOR_USER, authority=cluster):
        pytest.fail("a foreign authority was trusted")


def test_the_vms_of_the_inventory_are_there_for_clients_too(lab, vcenter):
    assert {"kunde-a/web-01", "kunde-b/app-01"} <= set(vcenter.vms())
    assert {"web-01", "app-01"} <= set(instance_uuids(lab))


def test_a_restart_keeps_address_and_identity(lab):
    before = instance_uuids(lab)
    world.restart(lab, "vcenter")
    after = instance_uuids(lab)
    assert {name: after[name] for name in before if name in after} == before


def test_a_change_behind_our_back_is_seen_by_clients(lab, vcenter):
    vcenter.vm("kunde-a/web-01", heartbeat="red")
    with session(lab, READONLY_USER) as content:
        vm = content.searchIndex.FindByInventoryPath("/Berlin/vm/kunde-a/web-01")
        assert str(vm.guestHeartbeatStatus) == "red"
    vcenter.vm("kunde-a/web-01", heartbeat="green")


def test_a_fault_strikes_and_is_cleared(lab, vcenter):
    vcenter.fault("reject", method="CreateContainerView", fault="NoPermission", count=1)
    with session(lab, READONLY_USER) as content, pytest.raises(vim.fault.NoPermission):
        content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], recursive=True)
    vcenter.clear_faults()
    assert instance_uuids(lab)
