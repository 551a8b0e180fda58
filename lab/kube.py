"""kubectl as a Python value: what a person would type, as anybody that RBAC knows."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lab.facts import Lab

_REQUEST_SECONDS = 60


class KubectlError(LabError):
    """kubectl was refused; `stderr` is what it said."""

    def __init__(self, command: str, stderr: str) -> None:
        super().__init__(f"kubectl {command}: {stderr.strip()}")
        self.stderr = stderr


@dataclass(frozen=True, slots=True)
class Kube:
    """One cluster as one identity sees it; a value, so a second identity is a second `Kube`."""

    kubectl: Path
    kubeconfig: Path
    cache: Path
    as_user: str | None = None
    as_groups: tuple[str, ...] = ()

    def impersonate(self, user: str, *groups: str) -> Kube:
        """Return the same cluster as `user` sees it; the real identity needs the right to impersonate."""
        return Kube(self.kubectl, self.kubeconfig, self.cache, user, groups)

    def run(
        self, *arguments: str, stdin: str | None = None, check: bool = True, seconds: float = _REQUEST_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl with `arguments` and return what it printed.

        Raises:
            KubectlError: it failed, unless `check` is false: then its exit code tells.
        """
        identity = [f"--as={self.as_user}"] if self.as_user else []
        identity += [f"--as-group={group}" for group in self.as_groups]
        argv = [str(self.kubectl), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.cache}", *identity]
        # Nothing of the user's own kubectl settings may change what the lab does.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.cache), "KUBERC": "off"}
        done = subprocess.run(
            [*argv, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=environment,
        )
        if check and done.returncode != 0:
            raise KubectlError(" ".join(arguments), done.stderr)
        return done

    def get(
        self, kind: str, name: str | None = None, *, namespace: str | None = None, selector: str = ""
    ) -> Any:
        """Return one object, or the list of a kind without a name (in all namespaces when none is given), as JSON.

        Raises:
            KubectlError: it is not there, or this identity may not see it.
        """
        which = [kind, name] if name else [kind, *([f"--selector={selector}"] if selector else [])]
        where = _where(namespace) if namespace or name else ["--all-namespaces"]
        return json.loads(self.run("get", *which, *where, "--output=json").stdout)

    def exists(self, kind: str, name: str, *, namespace: str | None = None) -> bool:
        """Say whether an object is there; not being allowed to look is an error, not an answer."""
        return bool(
            self.run("get", kind, name, *_where(namespace), "--ignore-not-found", "--output=name").stdout
        )

    def apply(
        self,
        manifest: Mapping[str, Any] | Iterable[Mapping[str, Any]] | str | Path,
        *,
        namespace: str | None = None,
        manager: str | None = "managedvm-lab",
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Apply objects, YAML text, a file or a directory; server-side as `manager`, client-side when that is None.

        Raises:
            KubectlError: refused, unless `check` is false.
        """
        how = ["--server-side", f"--field-manager={manager}", "--force-conflicts"] if manager else []
        return self._send("apply", manifest, namespace, *how, check=check)

    def create(
        self,
        manifest: Mapping[str, Any] | Iterable[Mapping[str, Any]] | str | Path,
        *,
        namespace: str | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Create objects; see `apply` for what a manifest may be.

        Raises:
            KubectlError: refused, unless `check` is false.
        """
        return self._send("create", manifest, namespace, check=check)

    def replace(
        self, manifest: Mapping[str, Any] | str | Path, *, namespace: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Replace objects by what the manifest says, as PUT does.

        Raises:
            KubectlError: refused, unless `check` is false.
        """
        return self._send("replace", manifest, namespace, check=check)

    def patch(
        self,
        kind: str,
        name: str,
        patch: Mapping[str, Any] | list[Mapping[str, Any]],
        *,
        namespace: str | None = None,
        subresource: str | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Patch an object: a mapping is a merge patch, a list a JSON patch.

        Raises:
            KubectlError: refused, unless `check` is false.
        """
        form = "json" if isinstance(patch, list) else "merge"
        sub = [f"--subresource={subresource}"] if subresource else []
        what = ["patch", kind, name, f"--type={form}", f"--patch={json.dumps(patch)}", *sub]
        return self.run(*what, *_where(namespace), check=check)

    def delete(
        self, kind: str, name: str, *, namespace: str | None = None, wait: bool = True, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Delete an object; with `wait`, return when it is gone. One that is not there is no error.

        Raises:
            KubectlError: refused, unless `check` is false.
        """
        how = ["--ignore-not-found", f"--wait={str(wait).lower()}"]
        return self.run("delete", kind, name, *_where(namespace), *how, check=check)

    def wait(self, target: str, condition: str, *, namespace: str | None = None, seconds: float = 60) -> None:
        """Return when `target` ("crd/x", "managedvm --all") fulfils `condition` ("condition=Ready", "delete").

        Raises:
            KubectlError: not within `seconds`.
        """
        limit = f"--timeout={seconds:g}s"
        self.run(
            "wait", *target.split(), f"--for={condition}", limit, *_where(namespace), seconds=seconds + 10
        )

    def can_i(self, verb: str, resource: str, *, namespace: str | None = None) -> bool:
        """Say whether this identity may do `verb` on `resource` ("managedvms.managedvm.dev", "secrets/web")."""
        return self.run("auth", "can-i", verb, resource, *_where(namespace), check=False).returncode == 0

    def token(self, account: str, *, namespace: str, duration: str = "24h") -> str:
        """Return a bearer token of a service account, asked for by TokenRequest.

        Raises:
            KubectlError: there is no such account.
        """
        return self.run(
            "create", "token", account, *_where(namespace), f"--duration={duration}"
        ).stdout.strip()

    def _send(
        self,
        verb: str,
        manifest: Mapping[str, Any] | Iterable[Mapping[str, Any]] | str | Path,
        namespace: str | None,
        *how: str,
        check: bool,
    ) -> subprocess.CompletedProcess[str]:
        if isinstance(manifest, Path):
            return self.run(verb, f"--filename={manifest}", *how, *_where(namespace), check=check)
        return self.run(verb, "--filename=-", *how, *_where(namespace), stdin=_text(manifest), check=check)


def admin(lab: Lab) -> Kube:
    """Return the lab's cluster as its administrator sees it."""
    return Kube(lab.kubectl, lab.kubeconfig, lab.directory / "kubectl-cache")


def _where(namespace: str | None) -> list[str]:
    return [f"--namespace={namespace}"] if namespace else []


def _text(manifest: Mapping[str, Any] | Iterable[Mapping[str, Any]] | str) -> str:
    if isinstance(manifest, str):
        return manifest
    # JSON is YAML; a List holds any number of objects in one document.
    return json.dumps(
        manifest if hasattr(manifest, "keys") else {"apiVersion": "v1", "kind": "List", "items": [*manifest]}
    )
