"""Fifty plugins, booted and called once, beside fifty interpreters; and the memory of both."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nxkernel as nx
from benchmarks.measure import Row
from benchmarks.peers import new_interpreter

__all__ = ["COUNT", "fleet", "memory_mb"]

COUNT = 50
#: An interpreter as a worker would be without a zygote: it imports the same and waits.
_IDLE = "import sys, msgspec, attrs, cattrs, pluggy; sys.stdin.read()"


def copies(source: Path, folder: Path) -> Path:
    """Copy one plugin *COUNT* times under ids of their own."""
    for number in range(COUNT):
        target = folder / f"p{number:02d}"
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        manifest = target / "plugin.toml"
        text = manifest.read_text().replace('id = "bench.echo"', f'id = "bench.p{number:02d}"')
        manifest.write_text(text)
    return folder


def fleet(build: Callable[[str, Path], nx.Kernel], source: Path, rounds: int) -> dict[str, Row]:
    """Time *COUNT* plugins from nothing to all called once, then again with what was learned."""
    first: list[float] = []
    again: list[float] = []
    theirs: list[float] = []
    # Whatever was measured before: what is timed is a boot, and `import nxkernel` has its own row.
    assert nx.Kernel
    assert nx.standard_stack
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            plugins = copies(source, Path(folder) / "plugins")
            for taken in (first, again):
                taken.append(_all_called(build, folder, plugins))
        began = time.perf_counter()
        for _ in range(COUNT):
            new_interpreter()
        theirs.append((time.perf_counter() - began) * 1e6)
    return {
        "50 plugins, first boot, all called": Row(name="first boot", rounds=tuple(first)),
        "50 plugins, later boot, all called": Row(name="later boot", rounds=tuple(again)),
        "50 new interpreters": Row(name="interpreters", rounds=tuple(theirs)),
    }


def _all_called(build: Callable[[str, Path], nx.Kernel], folder: str, plugins: Path) -> float:
    began = time.perf_counter()
    with build(folder, plugins) as kernel:
        result = kernel.call("echo_all", value={})
        if len(result.value) != COUNT:
            raise RuntimeError(f"{len(result.value)} of {COUNT} plugins answered")
        return (time.perf_counter() - began) * 1e6


def memory_mb(build: Callable[[str, Path], nx.Kernel], source: Path) -> dict[str, float]:
    """Return the proportional set size of *COUNT* idle plugins and of as many interpreters."""
    with tempfile.TemporaryDirectory() as folder:
        plugins = copies(source, Path(folder) / "plugins")
        with build(folder, plugins) as kernel:
            kernel.call("echo_all", value={})
            zygotes = list(_children(str(_own_pid())))
            ours = sum(_pss(pid) for zygote in zygotes for pid in (zygote, *_children(zygote)))
    theirs = _idle_interpreters()
    return {"50 idle plugins with their zygote": ours, "50 idle interpreters": theirs}


def _idle_interpreters() -> float:
    running = [
        subprocess.Popen([sys.executable, "-c", _IDLE], stdin=subprocess.PIPE) for _ in range(COUNT)
    ]
    try:
        _settle(running)
        return sum(_pss(str(process.pid)) for process in running)
    finally:
        for process in running:
            process.communicate()


def _settle(running: list[Any]) -> None:
    """Wait until all have imported: their memory does not grow any more."""
    before, now = -1.0, 0.0
    while now > before:
        time.sleep(1.0)
        before, now = now, sum(_pss(str(process.pid)) for process in running)


def _own_pid() -> int:
    return int(Path("/proc/self").resolve().name)


def _children(pid: str) -> Iterator[str]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from (task / "children").read_text().split()


def _pss(pid: str) -> float:
    """Proportional set size in MiB, from the kernel's ``smaps_rollup``."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
