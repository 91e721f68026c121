"""When the machine, or the container, runs out of memory: the plugin goes, and it is known why."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from nxkernel.host.memory_kills import count_of_group

#: The application: a plugin that may use more memory than its whole control group has.
APP = """
import json, pathlib, sys
import nxkernel as nx
data, plugin, group = map(pathlib.Path, sys.argv[1:])
(group / "cgroup.procs").write_text("0")
hookspec = nx.HookspecMarker("zoo")
class Hooks:
    @hookspec
    def act(self, value): "Take memory."
    @hookspec
    def echo(self, value): "Return *value*."
run = nx.Run.create(data)
with nx.Kernel("zoo", specs=[Hooks], run=run, plugins=nx.discover(plugin),
               middleware=nx.standard_stack(run)) as kernel:
    outcome = kernel.call("act", value=["private", 2000])[0]
    again = kernel.call("echo", value="still here")[0]
    print(json.dumps([outcome.error.code, dict(outcome.error.details), again.value,
                      kernel.health()["greedy"].last_exit.cause]))
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with 160 MiB, below that of the tests."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(_group())


@contextlib.contextmanager
def _group() -> Iterator[Path]:
    parent = _memory_group()
    group = parent / f"tight-{uuid.uuid4().hex}" if parent else None
    try:
        if group is None:
            raise OSError("none is mounted")
        group.mkdir()
        limit = "memory.limit_in_bytes" if _version_1(group) else "memory.max"
        (group / limit).write_text(str(160 << 20))
    except OSError as error:
        pytest.skip(f"no control group of memory can be made here: {error}")
    try:
        yield group
    finally:
        group.rmdir()


def _version_1(group: Path) -> bool:
    return (group / "memory.limit_in_bytes").exists()


def _memory_group() -> Path | None:
    """The folder of the group that the tests are in."""
    read = count_of_group()
    files = next(cell.cell_contents for cell in read.__closure__ or ())
    return next((Path(file).parent for file in files if Path(file).exists()), None)


def greedy(place: Path) -> Path:
    """The hoarder with a limit above what its group has."""
    source = Path(__file__).parents[1] / "assets" / "plugins" / "hoards"
    place.mkdir()
    (place / "plugin.py").write_text((source / "plugin.py").read_text())
    text = (source / "plugin.toml").read_text().replace('id = "hoards"', 'id = "greedy"')
    (place / "plugin.toml").write_text(text.replace("memory_mb = 96", "memory_mb = 4000"))
    return place


def test_the_memory_killers_victim_is_known_as_such(
    confinement: None, tmp_path: Path, group: Path
) -> None:
    """The application lives, its next call works, and the outcome names the cause."""
    shown = subprocess.run(
        [sys.executable, "-c", APP, tmp_path / "data", greedy(tmp_path / "greedy"), group],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert shown.returncode == 0, shown.stderr
    code, details, again, cause = json.loads(shown.stdout)
    assert (code, again) == ("plugin.crashed", "still here")
    assert (details["signal"], details["cause"]) == (9, "out_of_memory")
    assert cause == "out_of_memory"
