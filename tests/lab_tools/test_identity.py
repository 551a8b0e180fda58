"""What a lab is known by: its facts, its environment, its certificates and kubeconfigs."""

import json
import ssl
import stat
import subprocess

import pytest
import yaml

from lab import controlplane, facts, kubeconfig, simulator
from lab.errors import LabError
from lab.pki import new_authority, write_private


def test_facts_survive_a_round_trip(paper_lab):
    facts.save(paper_lab)
    assert facts.load(paper_lab.directory) == paper_lab


def test_where_no_lab_was_made_there_are_no_facts(tmp_path):
    assert facts.load(tmp_path) is None


def test_the_facts_are_for_their_owner_alone(paper_lab):
    facts.save(paper_lab)
    assert stat.S_IMODE((paper_lab.directory / "lab.json").stat().st_mode) == 0o600


def test_a_lab_in_a_log_shows_no_password(paper_lab):
    assert "secret" not in repr(paper_lab)


def test_a_shell_reads_the_environment_exactly(paper_lab):
    write_private(paper_lab.env_file, paper_lab.env_lines().encode())
    script = (
        f'. "{paper_lab.env_file}"; printf "%s\\n" "$VCENTER_PASSWORD" "$KUBECONFIG" "$VCENTER_URL" "$PATH"'
    )
    said = subprocess.run(  # noqa: S603 - a script of this test
        ["/bin/sh", "-euc", script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said == [
        "it's $secret",
        str(paper_lab.kubeconfig),
        "https://127.0.0.1:20002/sdk",
        f"{paper_lab.binaries}:/usr/bin:/bin",
    ]


def test_the_environment_is_for_its_owner_alone(paper_lab):
    write_private(paper_lab.env_file, b"x")
    assert stat.S_IMODE(paper_lab.env_file.stat().st_mode) == 0o600


def test_a_kubeconfig_names_one_cluster_one_user_and_the_context(tmp_path):
    authority = new_authority(tmp_path, "test")
    pair = authority.client("admin", user="lab-admin", group="system:masters")
    path = tmp_path / "kubeconfig"
    path.write_text(
        kubeconfig.with_certificate("https://127.0.0.1:1", authority.bundle, pair, user="lab-admin")
    )
    document = yaml.safe_load(path.read_text())
    assert kubeconfig.current_context(path) == "managedvm-lab"
    assert document["users"][0]["name"] == "lab-admin"
    assert set(document["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert kubeconfig.current_cluster(path)["server"] == "https://127.0.0.1:1"


def test_a_token_kubeconfig_trusts_the_same_cluster_and_holds_no_certificate():
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": "Y2E="}
    document = yaml.safe_load(kubeconfig.with_token(cluster, "a-token", user="managedvm-operator"))
    assert document["clusters"][0]["cluster"] == cluster
    assert document["users"] == [{"name": "managedvm-operator", "user": {"token": "a-token"}}]


def test_a_server_is_trusted_by_its_own_authority_and_by_no_other(tmp_path):
    own, other = new_authority(tmp_path / "own", "own"), new_authority(tmp_path / "other", "other")
    pair = own.server("server", hosts=("127.0.0.1", "localhost"))
    assert handshake(own.bundle, pair) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(other.bundle, pair)


def handshake(authority, pair):
    """Let a client that trusts `authority` greet a server with `pair`, all in memory; return the protocol."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pair.certificate, pair.key)
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    trusting = ssl.create_default_context(cafile=str(authority))
    client = trusting.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.version()


def test_the_audit_policy_leaves_out_only_health_polling():
    policy = controlplane.audit_policy()
    assert policy["omitStages"] == ["RequestReceived"]
    silent, loud = policy["rules"]
    assert silent == {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]}
    assert loud == {"level": "Metadata"}


def test_everything_listens_on_loopback_only(paper_lab):
    arguments = [argument for daemon in controlplane.daemons(paper_lab) for argument in daemon.command()]
    listening = [argument for argument in arguments if argument.startswith(("--listen", "--bind"))]
    assert len(listening) == 4
    assert all("127.0.0.1" in argument for argument in listening)


def roles(paper_lab, role):
    simulator.write_users(paper_lab, role)
    document = json.loads((paper_lab.directory / "vcenter" / "users.json").read_bytes())
    return document["roles"], {user["name"]: user["role"] for user in document["users"]}


def test_the_operator_has_the_role_that_ships(paper_lab, tmp_path):
    role = tmp_path / "operator-role.json"
    role.write_text(json.dumps({"name": "ManagedVMOperator", "privileges": ["System.Read"]}))
    assert roles(paper_lab, role) == (
        {"ManagedVMOperator": ["System.Read"]},
        {
            "operator@vsphere.local": "ManagedVMOperator",
            "readonly@vsphere.local": "ReadOnly",
            "administrator@vsphere.local": "Administrator",
        },
    )


def test_without_a_shipped_role_the_operator_is_an_administrator(paper_lab, tmp_path):
    declared, given = roles(paper_lab, tmp_path / "none.json")
    assert declared == {}
    assert given["operator@vsphere.local"] == "Administrator"


def test_a_fleet_is_added_to_the_demos_vms():
    small, large = simulator.read_inventory(), simulator.read_inventory(fleet=1000)
    assert "fleet" not in small
    assert large["fleet"] == {"count": 1000, "folders": 10}
    assert large["vms"] == small["vms"]


def test_without_guests_every_vm_stays_but_none_has_an_inside():
    inventory = {
        "datacenter": "Berlin",
        "vms": [{"path": "a/b", "cpus": 1, "guest": {"image": "debian"}}, {"path": "a/c"}],
    }
    assert simulator.without_guests(inventory) == {
        "datacenter": "Berlin",
        "vms": [{"path": "a/b", "cpus": 1}, {"path": "a/c"}],
    }


def test_a_guest_gets_the_labs_password_unless_its_entry_names_one(paper_lab):
    own = {"path": "a/own", "guest": {"image": "debian", "password": "its own"}}
    simulator.write_inventory(
        paper_lab, {"vms": [{"path": "a/b", "guest": {"image": "debian"}}, own, {"path": "a/c"}]}
    )
    written = json.loads((paper_lab.directory / "vcenter" / "inventory.json").read_bytes())
    assert [vm.get("guest", {}).get("password") for vm in written["vms"]] == ["g", "its own", None]


def test_guests_that_cannot_be_made_are_said_and_the_vcenter_starts_without(paper_lab, monkeypatch, capsys):
    def fails(_):
        raise LabError("the mirror does not answer")

    monkeypatch.setattr(simulator.guests, "clean", lambda _: None)
    monkeypatch.setattr(simulator.guests, "prepare", fails)
    simulator.write_inventory(paper_lab, {"vms": [{"path": "a/b", "guest": {"image": "debian"}}]})
    assert simulator._make_guests(paper_lab) is None
    assert "no guests: the mirror does not answer" in capsys.readouterr().out


def test_without_guests_in_the_inventory_none_are_made(paper_lab, monkeypatch):
    monkeypatch.setattr(simulator.guests, "clean", lambda _: None)
    monkeypatch.setattr(simulator.guests, "prepare", lambda _: pytest.fail("guests were made"))
    simulator.write_inventory(paper_lab, {"vms": [{"path": "a/b"}]})
    assert simulator._make_guests(paper_lab) is None
