"""What the seeds and the guard add to a call, and to the start of a worker."""

from __future__ import annotations

import importlib
import os
import struct
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import nxkernel as nx
from benchmarks.measure import Row, interleave
from benchmarks.peers import imported_interpreter
from nxkernel._streams import Streams
from nxkernel._wire import Guard
from nxkernel.worker import chance
from nxkernel.worker.zygote import PRELOAD

__all__ = ["guard"]

ECHO = Path(__file__).parent / "plugins" / "echo"
VALUE = {"id": "doc-0017", "title": "Invoice of March", "page": 3, "box": [10, 20, 300, 40]}
_TOOK = struct.Struct("<d")
hookspec = nx.HookspecMarker("bench")


class Specs:
    """The hooks of the plugin that is called."""

    @hookspec(firstresult=True)
    def echo(self, value):
        """Return *value*."""

    @hookspec
    def echo_all(self, value):
        """Return *value*, from every plugin."""


class Keeper:
    """A middleware that keeps the last call and its outcome."""

    name = "keeper"
    call: Any = None
    outcome: Any = None

    def boot(self, facts: Any) -> None:
        """Nothing to prepare."""

    def around(self, call: Any) -> Any:
        """Keep *call* and its outcome."""
        self.call = call
        self.outcome = yield call
        return self.outcome

    def close(self) -> None:
        """Nothing to finish."""


def guard(rounds: int) -> dict[str, Row]:
    """Time the small call, what seeds and guard add to it, and how the guard is put up."""
    keeper, seeds = Keeper(), nx.Determinism()
    with tempfile.TemporaryDirectory() as folder, _kernel(folder, seeds, keeper) as kernel:
        kernel.hook.echo(value=VALUE)
        rows = interleave(
            {
                "small call, guard warn": lambda: kernel.hook.echo(value=VALUE),
                "seed of a call, alone": lambda: _seed(seeds, keeper),
                "guard of a call, alone": _guarding(),
            },
            rounds=rounds,
            calls=300,
        )
    return rows | _put_up(rounds)


def _seed(seeds: nx.Determinism, keeper: Keeper) -> None:
    layer = seeds.around(keeper.call)
    next(layer)
    with suppress(StopIteration):
        layer.send(keeper.outcome)


def _guarding() -> Any:
    made, streams = _made("warn"), Streams(bytes(32))
    return lambda: made.leave(made.enter(streams, nested=False), streams)


def _made(mode: str) -> chance.Chance:
    return chance.Chance(Guard(mode, "off", "off", False), code_dir="/", import_seed=bytes(32))


def _kernel(folder: str, *middleware: Any) -> nx.Kernel:
    run = nx.Run.create(folder, seed=1)
    others = (each for each in nx.standard_stack(run) if not isinstance(each, nx.Determinism))
    stack = [*others, *middleware]
    return nx.Kernel("bench", specs=[Specs], run=run, plugins=nx.discover(ECHO), middleware=stack)


def _put_up(rounds: int) -> dict[str, Row]:
    """In forks of this process, which has imported what a zygote has."""
    for name in PRELOAD:
        importlib.import_module(name)
    chance.remember()
    names = {mode: f"guard put up in a fork, {mode}" for mode in ("warn", "strict")}
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for mode, name in names.items():
            taken.setdefault(name, []).append(_in_a_fork(mode))
        taken.setdefault("new interpreter, to its imports", []).append(imported_interpreter() * 1e6)
    return {name: Row(name=name, rounds=tuple(each)) for name, each in taken.items()}


def _in_a_fork(mode: str) -> float:
    """Microseconds of the guard's installation, in a process that has none yet."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        began = time.perf_counter()
        _made(mode).install()
        os.write(write, _TOOK.pack((time.perf_counter() - began) * 1e6))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        took: float = _TOOK.unpack(pipe.read())[0]
    os.waitpid(child, 0)
    return took
