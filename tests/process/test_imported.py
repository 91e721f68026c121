"""What importing a part of the package loads, seen in a fresh interpreter."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support import interpreter

HOST_SIDE = ("host", "kernel", "audit", "middleware", "storage", "plugins", "settings", "_sqlite")


def loaded_by(module: str) -> set[str]:
    """Import *module* in a new interpreter and return what is loaded then."""
    python = interpreter.own()
    code = f"import sys, {module}; print(*sys.modules)"
    command = [python.executable, "-s", "-P", "-S", "-c", code]
    environment = {**os.environ, **python.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["runner", "zygote", "child", "loader", "bootstrap", "context"])
def test_worker_side_loads_nothing_of_the_host_side(module: str) -> None:
    """The child process has none of the host's code, so none of it can be abused there."""
    loaded = loaded_by(f"nxkernel.worker.{module}")
    ours = {name for name in loaded if name.startswith("nxkernel.")}
    assert not {name for name in ours if name.split(".")[1] in HOST_SIDE}
    assert "sqlite3" not in loaded
    assert "jsonschema" not in loaded


def test_package_loads_little() -> None:
    """`import nxkernel` costs neither a database nor a validator nor the kernel."""
    loaded = loaded_by("nxkernel")
    assert not loaded & {"sqlite3", "jsonschema", "pluggy", "cattrs", "nxkernel.kernel"}


def test_author_api_loads_no_host_side() -> None:
    """What a plugin's module imports, markers and types, brings no host code with it."""
    loaded = loaded_by("nxkernel; sys.modules['nxkernel'].HookimplMarker")
    assert "pluggy" in loaded
    assert not {name for name in loaded if name.startswith(("nxkernel.host", "nxkernel.kernel"))}
