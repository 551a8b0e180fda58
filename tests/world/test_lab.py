"""The lab is a real world: RBAC refuses, garbage is collected, a crash loses nothing, an end leaves nothing."""

import pytest

import lab as world
from lab import audit as audit_log
from lab import kube as kubectl
from lab import processes
from lab.errors import LabError
from lab.kubeconfig import current_cluster, with_token
from lab.polling import wait_until

pytestmark = pytest.mark.lab


def config_map(name, namespace, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "data": {"key": "value"},
    }


def pids(lab):
    return {name: process.pid for name in lab.daemons if (process := lab.process(name))}


def test_a_stranger_is_refused_by_rbac(kube, namespace):
    stranger = kube.impersonate("stranger", "system:authenticated")
    refused = stranger.run("get", "secrets", f"--namespace={namespace}", check=False)
    assert refused.returncode == 1
    assert "forbidden" in refused.stderr
    assert not stranger.can_i("create", "configmaps", namespace=namespace)


def test_a_role_binding_gives_exactly_what_it_says(kube, namespace):
    where = f"--namespace={namespace}"
    kube.run("create", "role", "reader", "--verb=get", "--resource=configmaps", where)
    kube.run("create", "rolebinding", "reader", "--role=reader", "--user=reader", where)
    reader = kube.impersonate("reader", "system:authenticated")
    assert reader.can_i("get", "configmaps", namespace=namespace)
    assert not reader.can_i("list", "configmaps", namespace=namespace)


def test_a_made_up_token_lets_nobody_in(lab, tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(with_token(current_cluster(lab.kubeconfig), "made-up", user="nobody"))
    refused = kubectl.Kube(lab.kubectl, path, tmp_path).run("get", "namespaces", check=False)
    assert refused.returncode == 1
    assert "You must be logged in" in refused.stderr


def test_the_api_server_is_of_the_pinned_version_and_serves_the_policies_we_use(kube):
    served = kube.run("api-resources", "--api-group=admissionregistration.k8s.io", "--output=name").stdout
    assert {"validatingadmissionpolicies", "mutatingadmissionpolicies"} <= {
        line.partition(".")[0] for line in served.splitlines()
    }
    assert '"gitVersion": "v1.37' in kube.run("get", "--raw", "/version").stdout


def test_deleting_an_owner_collects_what_it_owns(kube, namespace):
    kube.create(config_map("owner", namespace))
    uid = kube.get("configmap", "owner", namespace=namespace)["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    kube.create(config_map("owned", namespace, ownerReferences=[reference]))
    kube.delete("configmap", "owner", namespace=namespace)
    wait_until(
        lambda: not kube.exists("configmap", "owned", namespace=namespace), "garbage collection", seconds=60
    )


def test_a_deleted_namespace_goes_with_everything_in_it(kube, namespace):
    kube.create(config_map("inside", namespace))
    kube.delete("namespace", namespace)
    assert not kube.exists("namespace", namespace)


def test_a_service_account_acts_by_a_token_that_was_asked_for(kube, lab, namespace, tmp_path):
    kube.run("create", "serviceaccount", "robot", f"--namespace={namespace}")
    path = tmp_path / "robot.kubeconfig"
    token = kube.token("robot", namespace=namespace, duration="10m")
    path.write_text(with_token(current_cluster(lab.kubeconfig), token, user="robot"))
    robot = kubectl.Kube(lab.kubectl, path, tmp_path)
    said = robot.run("auth", "whoami", "--output=jsonpath={.status.userInfo.username}").stdout
    assert said == f"system:serviceaccount:{namespace}:robot"


def test_a_pod_that_a_restricted_namespace_forbids_is_refused(kube, namespace):
    kube.run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": namespace},
        "spec": {"containers": [{"name": "root", "image": "x"}]},
    }
    refused = kube.create(pod, check=False)
    assert refused.returncode == 1
    assert 'violates PodSecurity "restricted:latest"' in refused.stderr


def test_the_audit_log_tells_who_wrote_what_and_who_was_refused(kube, audit, namespace):
    mark = audit.mark()
    kube.create(config_map("seen", namespace))
    kube.impersonate("stranger", "system:authenticated").run(
        "get", "secrets", "--namespace=default", check=False
    )
    audit.settle(kube)
    entries = list(audit.entries(mark))
    (written,) = [entry for entry in entries if entry.name == "seen"]
    assert (written.verb, written.namespace, written.name, written.code) == ("create", namespace, "seen", 201)
    assert written.user == "lab-admin"
    (refused,) = [entry for entry in entries if entry.user == "stranger" and entry.resource == "secrets"]
    assert refused.refused
    assert refused.real_user == "lab-admin"


def test_up_twice_is_the_same_lab(second_lab):
    before = pids(second_lab)
    again = world.up(directory=second_lab.directory, with_vcenter=False, with_product=False)
    assert again == second_lab
    assert pids(again) == before


def test_the_files_of_a_lab_are_for_their_owner_alone(second_lab):
    assert second_lab.directory.stat().st_mode & 0o077 == 0
    secret = [second_lab.kubeconfig, second_lab.env_file, *second_lab.certificates("kubernetes").iterdir()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)


@pytest.mark.parametrize("end", [world.stop, world.kill], ids=["after a shutdown", "after a crash"])
def test_the_api_server_comes_back_on_its_port_with_its_data(second_lab, end):
    cluster = kubectl.admin(second_lab)
    name = f"kept-{end.__name__}"
    cluster.create(config_map(name, "default"))
    assert end(second_lab, "apiserver")
    assert second_lab.process("apiserver") is None
    assert cluster.run("get", "namespaces", check=False).returncode == 1
    world.start(second_lab, "apiserver")
    assert cluster.exists("configmap", name, namespace="default")


def test_up_completes_a_lab_of_which_a_part_crashed(second_lab):
    cluster = kubectl.admin(second_lab)
    cluster.create(config_map("survives", "default"))
    etcd = pids(second_lab)["etcd"]
    world.kill(second_lab, "controller-manager")
    world.kill(second_lab, "apiserver")
    assert world.running(second_lab.directory) is None
    world.up(directory=second_lab.directory, with_vcenter=False, with_product=False)
    assert world.running(second_lab.directory) == second_lab
    assert pids(second_lab)["etcd"] == etcd
    assert cluster.exists("configmap", "survives", namespace="default")


def test_a_daemon_that_cannot_start_shows_the_end_of_its_log(second_lab):
    broken = second_lab.directory / "audit-policy.yaml"
    policy = broken.read_bytes()
    world.stop(second_lab, "apiserver")
    broken.write_text("no policy")
    with pytest.raises(LabError, match=r"apiserver ended:(?s:.*)audit"):
        world.start(second_lab, "apiserver")
    broken.write_bytes(policy)
    world.start(second_lab, "apiserver")


def test_after_everything_crashed_up_begins_anew(second_lab):
    kubectl.admin(second_lab).create(config_map("of-the-old-world", "default"))
    for name in second_lab.daemons:
        world.kill(second_lab, name)
    fresh = world.up(directory=second_lab.directory, with_vcenter=False, with_product=False)
    assert not kubectl.admin(fresh).exists("configmap", "of-the-old-world", namespace="default")
    assert world.down(fresh.directory)


def test_down_twice_leaves_nothing_running(second_lab):
    lab = world.up(directory=second_lab.directory, with_vcenter=False, with_product=False)
    lived = pids(lab)
    assert set(lived) == {"etcd", "apiserver", "controller-manager"}
    assert world.down(lab.directory)
    assert all(processes.identify(pid) is None for pid in lived.values())
    assert not world.down(lab.directory)
    assert world.running(lab.directory) is None


def test_a_users_cluster_is_used_only_when_it_is_named(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("MANAGEDVM_LAB_KUBECONFIG", str(lab.kubeconfig))
    named = world.up(directory=tmp_path / "named", with_vcenter=False, with_product=False)
    try:
        assert named.daemons == ()
        assert kubectl.admin(named).exists("namespace", "default")
        with pytest.raises(LabError, match="audit"):
            audit_log.of(named)
    finally:
        world.down(named.directory)
    assert lab.process("apiserver") is not None
