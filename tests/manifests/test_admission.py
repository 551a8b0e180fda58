"""What the API server says to the manifests: each kustomization renders, and pods of ours are `restricted`."""

import copy
import uuid

import pytest
import yaml

from lab.install import NAMESPACE
from tests.manifests.files import MANIFESTS, ROOT, deployment

pytestmark = pytest.mark.lab

FOLDERS = sorted(
    path.parent for path in [*MANIFESTS.rglob("kustomization.yaml"), ROOT / "crds" / "kustomization.yaml"]
)
OVERLAYS = sorted((MANIFESTS / "overlays").iterdir())


def rendered(kube, folder):
    return list(yaml.safe_load_all(kube.run("kustomize", str(folder)).stdout))


def identity(body):
    meta = body["metadata"]
    return body["kind"], meta.get("namespace", ""), meta["name"]


def a_pod(name, **context):
    """Return a pod of the Deployment's template; `context` changes its container's security context."""
    template = copy.deepcopy(deployment()["spec"]["template"])
    template["metadata"] |= {"name": name, "namespace": NAMESPACE}
    template["spec"]["containers"][0]["securityContext"] |= context
    return {"apiVersion": "v1", "kind": "Pod", **template}


@pytest.fixture
def pod_name(kube):
    """A name for a pod, which is gone afterwards."""
    name = f"operator-{uuid.uuid4().hex[:12]}"
    yield name
    kube.delete("pod", name, namespace=NAMESPACE)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_every_kustomization_renders_each_object_once(kube, folder):
    names = [identity(body) for body in rendered(kube, folder)]

    assert names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda folder: folder.name)
def test_an_overlay_has_everything_of_the_base(kube, folder):
    base = {identity(body) for body in rendered(kube, MANIFESTS / "base")}

    assert base <= {identity(body) for body in rendered(kube, folder)}


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda folder: folder.name)
def test_the_api_server_takes_an_overlay_without_a_warning(kube, folder):
    done = kube.run(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", f"--kustomize={folder}"
    )

    assert "managedvm-operator serverside-applied" in done.stdout
    assert done.stderr == ""


def test_a_pod_of_the_deployment_is_admitted_as_restricted_without_a_warning(kube, pod_name):
    done = kube.create(a_pod(pod_name))

    assert (done.stdout, done.stderr) == (f"pod/{pod_name} created\n", "")


def test_a_pod_that_asks_for_more_is_refused(kube, pod_name):
    done = kube.create(a_pod(pod_name, allowPrivilegeEscalation=True), check=False)

    assert 'violates PodSecurity "restricted' in done.stderr
