"""The Deployment against the program it starts: what one says about the other is true."""

import inspect
import re
from pathlib import PurePosixPath

import kopf
import typer
from kubernetes.config import incluster_config

import managedvm
from lab.paths import ROOT
from managedvm.api.helpdesk import SINGLETON, Helpdesk
from managedvm.cli import app
from managedvm.handlers import configure
from managedvm.settings import Settings
from managedvm.world import http, leases
from tests.manifests.files import OPERATOR, PRODUCTION, RBAC, bodies, container, deployment, pod

DEFAULTS = Settings()


def test_every_variable_is_a_setting():
    settings = {f"MANAGEDVM_{name.upper()}" for name in Settings.model_fields}

    assert {variable["name"] for variable in container()["env"]} <= settings


def test_no_service_of_the_namespace_sets_a_variable():
    assert pod()["enableServiceLinks"] is False


def test_the_arguments_are_a_command_of_the_program():
    (command,) = container()["args"]

    assert command in typer.main.get_command(app).commands


def test_the_ports_are_those_that_the_program_listens_on():
    assert container()["ports"] == [
        {"name": "http", "containerPort": DEFAULTS.health_port},
        {"name": "webhook", "containerPort": DEFAULTS.webhook_port},
    ]


def test_the_helpdesk_of_the_example_is_one_and_its_secret_has_what_is_read():
    text = (PRODUCTION / "helpdesk.yaml").read_text()
    (body,) = bodies(PRODUCTION / "helpdesk.yaml")

    assert Helpdesk.of(body).metadata.name == SINGLETON
    assert body["spec"]["credentialsSecretRef"]["name"] == re.findall(r"secret generic (\S+)", text)[0]
    assert {"token", "webhookSecret", "ca.crt"} == set(re.findall(r"--from-\w+=([\w.]+)=", text))


def test_the_service_leads_to_the_webhook_and_to_nothing_else():
    (service,) = bodies(OPERATOR / "service.yaml")

    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["webhook"]
    assert (
        service["spec"]["selector"].items() <= deployment()["spec"]["template"]["metadata"]["labels"].items()
    )


def test_the_probes_ask_for_what_is_served():
    probes = {container()[f"{kind}Probe"]["httpGet"]["path"] for kind in ("liveness", "readiness")}
    ports = {container()[f"{kind}Probe"]["httpGet"]["port"] for kind in ("liveness", "readiness")}

    assert probes < set(re.findall(r'web\.get\("([^"]+)"', inspect.getsource(http)))
    assert ports == {"http"}


def test_a_pod_has_the_time_to_end_in_an_orderly_way():
    settings = kopf.OperatorSettings()
    configure(settings)

    grace = pod()["terminationGracePeriodSeconds"]

    assert grace > settings.process.ultimate_exiting_timeout > DEFAULTS.stop_seconds


def test_the_image_is_of_this_version_and_everywhere_the_same():
    (production,) = bodies(PRODUCTION / "kustomization.yaml")
    (replaced,) = production["images"]

    assert container()["image"] == f"{replaced['name']}:{managedvm.__version__}"
    assert replaced["newTag"] == managedvm.__version__


def test_the_user_is_the_one_of_the_image():
    context = pod()["securityContext"]

    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in (ROOT / "Dockerfile").read_text()


def test_the_token_lies_where_the_client_looks_for_it():
    wanted = [PurePosixPath(incluster_config.SERVICE_TOKEN_FILENAME)]
    wanted += [PurePosixPath(incluster_config.SERVICE_CERT_FILENAME)]
    mounts = {mount["name"]: PurePosixPath(mount["mountPath"]) for mount in container()["volumeMounts"]}
    (token,) = [volume["projected"] for volume in pod()["volumes"] if volume["name"] == "token"]

    files = {
        source["serviceAccountToken"]["path"]
        for source in token["sources"]
        if "serviceAccountToken" in source
    }
    files |= {
        item["path"] for source in token["sources"] for item in source.get("configMap", {}).get("items", [])
    }

    assert {mounts["token"] / file for file in files} == set(wanted)


def test_the_only_place_to_write_is_bounded():
    (writable,) = [mount["name"] for mount in container()["volumeMounts"] if not mount.get("readOnly")]
    (volume,) = [volume for volume in pod()["volumes"] if volume["name"] == writable]

    assert container()["securityContext"]["readOnlyRootFilesystem"] is True
    assert volume["emptyDir"]["sizeLimit"]


def test_the_account_may_renew_just_the_lease_that_the_program_elects_by():
    rules = [rule for body in bodies(RBAC / "operator.yaml") for rule in body.get("rules", [])]

    named = [
        rule["resourceNames"] for rule in rules if rule["resources"] == ["leases"] and "resourceNames" in rule
    ]

    assert named == [[leases.NAME]]


def test_the_disruption_budget_and_the_network_policy_are_about_these_pods():
    labels = deployment()["spec"]["template"]["metadata"]["labels"]
    (budget,), (network,) = (
        bodies(OPERATOR / "poddisruptionbudget.yaml"),
        bodies(OPERATOR / "networkpolicy.yaml"),
    )

    for selector in (
        budget["spec"]["selector"],
        network["spec"]["podSelector"],
        deployment()["spec"]["selector"],
    ):
        assert selector["matchLabels"].items() <= labels.items()
    assert budget["spec"]["minAvailable"] < deployment()["spec"]["replicas"]


def test_the_network_policy_lets_through_what_is_needed_and_no_more():
    (network,) = bodies(OPERATOR / "networkpolicy.yaml")
    spec = network["spec"]

    def ports(rules):
        return {(port["protocol"], port["port"]) for rule in rules for port in rule["ports"]}

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert ports(spec["ingress"]) == {("TCP", port["name"]) for port in container()["ports"]}
    dns, servers = {("UDP", 53), ("TCP", 53)}, {("TCP", 443), ("TCP", 6443)}
    assert ports(spec["egress"]) == dns | servers
