"""The floor of a start and of an idle worker's memory: what the system takes of any fork.

From one and the same state, a zygote's after its imports: a fork that waits, a fork that builds a
worker's walls and waits, and a worker. What the last takes more than the one before it is Python.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

import nxkernel as nx
from benchmarks.lives import ECHO, UNDAUNTED, _call_again, kernel_over
from benchmarks.measure import Row
from benchmarks.peers import new_interpreter
from nxkernel.host.sandbox.linux.policy import Confinement, ConfinementPlan, build
from nxkernel.host.sandbox.linux.policy import default_read_paths as library

__all__ = ["PAIRS", "floor", "pages"]

FORK, WALLS, WORKER = "a fork that waits", "a fork with a worker's walls", "a worker, called once"
SPARE = "a worker made of a spare, called once"
INTERPRETER = "new interpreter, to its end"
_PID = struct.Struct("<i")
#: Seconds in which a zygote forks a spare, if nobody asks it for anything.
_SPARE_S = 0.25
PAIRS = [
    *((each, INTERPRETER) for each in (FORK, WALLS, WORKER, SPARE)),
    (WORKER, WALLS),
    *((f"{each}: processor", f"{INTERPRETER}: processor") for each in (FORK, WALLS, WORKER)),
]


@attrs.frozen
class Sight:
    """What the system says of a process that waits."""

    #: Microseconds that it has run.
    ran_us: float
    #: Page faults so far.
    faults: int
    #: KiB that are its own, by what is mapped there; and its tables of pages.
    private: dict[str, int]
    tables: int

    @property
    def plain(self) -> dict[str, int]:
        """For the report."""
        total = sum(self.private.values())
        return {"faults": self.faults, "private": total, **self.private, "tables": self.tables}


class Bare:
    """A stand-in for a zygote, whose forks run next to no Python; see ``benchmarks.bare``."""

    def __init__(self, walls: Confinement) -> None:
        self._told, told = os.pipe()
        wait, self._wait = os.pipe()
        order = {
            "program": walls.program.hex(),
            "limits": dict(walls.limits),
            "ruleset": walls.ruleset_fd,
            "told": told,
            "wait": wait,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare", json.dumps(order)],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(told, wait, walls.ruleset_fd),
            bufsize=0,
        )
        os.close(told)
        os.close(wait)
        self._pid()

    def _pid(self) -> int:
        assert self._process.stdout is not None
        said = self._process.stdout.read(_PID.size)
        if not said:
            raise RuntimeError("the stand-in for a zygote has ended")
        return int(_PID.unpack(said)[0])

    def fork(self, kind: bytes) -> tuple[float, Sight]:
        """Return the microseconds until a fork has said that it is there, and a look at it."""
        assert self._process.stdin is not None
        began = time.perf_counter()
        self._process.stdin.write(kind)
        pid = self._pid()
        if os.read(self._told, 1) != b".":
            raise RuntimeError("a fork has ended")
        taken = (time.perf_counter() - began) * 1e6
        if kind == b"w":
            _check(pid)
        seen = sight(pid)
        os.kill(pid, signal.SIGKILL)
        return taken, seen

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        os.close(self._told)
        os.close(self._wait)


def _check(pid: int) -> None:
    """Its walls are those of a worker, or the floor is none."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    found = [status[name].strip() for name in ("NoNewPrivs", "Seccomp", "CapEff", "CapPrm")]
    if found != ["1", "2", "0" * 16, "0" * 16]:
        raise RuntimeError(f"a fork that should be confined has {found}")
    if os.path.samefile(f"/proc/{pid}/fd/2", f"/proc/{pid}/fd/4") or not _holds(status):
        raise RuntimeError("a fork that should be confined has not its descriptors")


def _holds(status: dict[str, str]) -> bool:
    return status["Threads"].strip() == "1" and status["Umask"].strip() == "0077"


def sight(pid: int) -> Sight:
    """Look at a process that waits."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ran = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    tables = Path(f"/proc/{pid}/status").read_text().partition("VmPTE:")[2].split()[0]
    return Sight(ran / 1e3, int(fields[7]), _private(pid), int(tables))


def _private(pid: int) -> dict[str, int]:
    """KiB that are this process's own, by kind of mapping."""
    found = dict.fromkeys(("python's heap", "c's heap", "libpython", "libraries", "stack"), 0)
    kind = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            parts = line.split(None, 5)
            kind = _kind(parts[5] if len(parts) > 5 else "")
        elif name == "Private_Dirty:":
            found[kind] += int(rest.split()[0])
    return found


def _kind(path: str) -> str:
    if path.startswith("["):
        return {"[heap]": "c's heap", "[stack]": "stack"}.get(path, "python's heap")
    if not path:
        return "python's heap"
    return "libpython" if "libpython" in path or "/bin/python" in path else "libraries"


@contextlib.contextmanager
def _bare() -> Iterator[Bare]:
    walls = build(ConfinementPlan(code=library()))
    bare = Bare(walls)
    try:
        yield bare
    finally:
        bare.close()
        walls.close()


@contextlib.contextmanager
def _kernel(spares: int) -> Iterator[nx.Kernel]:
    hosting = attrs.evolve(UNDAUNTED, spares=spares)
    with (
        tempfile.TemporaryDirectory() as folder,
        kernel_over(folder, ECHO, stack=False, hosting=hosting) as kernel,
    ):
        _call_again(kernel)
        time.sleep(_SPARE_S)
        yield kernel


def _worker(kernel: nx.Kernel) -> tuple[float, Sight]:
    """The same of a worker; its time is that of its start, which ends before the first call."""
    _call_again(kernel)
    plugin = kernel.plugins["bench.echo"]
    assert plugin.start_ms is not None
    assert plugin.pid is not None
    seen = sight(plugin.pid)
    time.sleep(_SPARE_S)
    return plugin.start_ms * 1e3, seen


def floor(rounds: int) -> dict[str, Row]:
    """Time them, with their share of the processor; they take turns with an interpreter."""
    taken: dict[str, list[float]] = {}
    with _bare() as bare, _kernel(0) as kernel, _kernel(1) as spared:
        for number in range(rounds + 1):
            for name, (us, ran) in _turn(bare, kernel, spared).items():
                if number:
                    taken.setdefault(name, []).append(us)
                    taken.setdefault(f"{name}: processor", []).append(ran)
    return {name: Row(name=name, rounds=tuple(each)) for name, each in taken.items()}


def _turn(bare: Bare, kernel: nx.Kernel, spared: nx.Kernel) -> dict[str, tuple[float, float]]:
    found = {FORK: bare.fork(b"f"), WALLS: bare.fork(b"w")}
    found |= {WORKER: _worker(kernel), SPARE: _worker(spared)}
    turn = {name: (us, seen.ran_us) for name, (us, seen) in found.items()}
    before, began = os.times(), time.perf_counter()
    new_interpreter()
    us, after = (time.perf_counter() - began) * 1e6, os.times()
    ran = after.children_user + after.children_system - before.children_user
    return turn | {INTERPRETER: (us, (ran - before.children_system) * 1e6)}


def pages() -> dict[str, dict[str, int]]:
    """Page faults, and KiB of private memory by what is mapped, of each; and of an interpreter."""
    with _bare() as bare, _kernel(0) as kernel:
        found = {FORK: bare.fork(b"f"), WALLS: bare.fork(b"w"), WORKER: _worker(kernel)}
    seen = {name: each.plain for name, (_, each) in found.items()}
    return seen | {"an idle interpreter": idle_interpreter()}


def idle_interpreter() -> dict[str, int]:
    """The same of an interpreter that has imported what a worker has, and waits."""
    code = "import msgspec, attrs, cattrs, pluggy; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seen = sight(process.pid)
        process.kill()
    return seen.plain
