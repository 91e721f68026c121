"""Which device files a kind of device has on a machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nxkernel.errors import SandboxUnavailable
from nxkernel.host.sandbox.linux.devices import nodes_of


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine whose devices are links to /dev/null, which anybody may make."""
    for name in ("dri/card0", "dri/renderD128", "input/event0"):
        (tmp_path / "dev" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dev" / name).symlink_to("/dev/null")
    (tmp_path / "dev" / "dri" / "notes.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize("kind", ["gpu", "raw_input"])
def test_devices_that_exist(machine: Path, kind: str) -> None:
    """By their real path, character devices alone."""
    nodes = nodes_of(kind, str(machine))
    assert nodes == ("/dev/null",)
    assert all(stat.S_ISCHR(os.stat(node).st_mode) for node in nodes)


@pytest.mark.parametrize(("kind", "place"), [("gpu", "/dev/dri/*"), ("raw_input", "/dev/input/*")])
def test_machine_without(tmp_path: Path, kind: str, place: str) -> None:
    """A plugin that was granted what is not there is told so, before it runs."""
    with pytest.raises(SandboxUnavailable, match=f"cannot grant {kind}") as refused:
        nodes_of(kind, str(tmp_path))
    assert place in refused.value.message
