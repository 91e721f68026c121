"""One contender in its process: does what the referee asks and says how long it took.

``python -m benchmarks.contest.driver MODULE CREW``: reads one JSON object a line, a task and a
number of calls, and writes one for each, with microseconds or MiB.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.contest import memory, work
from benchmarks.contest.rules import Contender, Fleet

__all__ = ["Driver"]

FIFTY = 50


class Driver:
    """Does the tasks with plugins that stay up between them."""

    def __init__(self, contender: Contender, size: int, stack: contextlib.ExitStack) -> None:
        """*size*: plugins that are up for all tasks but those of fifty."""
        self._size = size
        self._contender, self._stack = contender, stack
        self._crew: Fleet | None = None
        self._binary: dict[int, Any] = {}
        self._tasks: dict[str, Callable[[], list[float]]] = {
            "boot": self._boot,
            "memory": self._memory,
            "restart": self._restart,
        }

    def do(self, task: str, calls: int) -> list[float]:
        """Do *task*, *calls* times where that makes sense, and return what was measured."""
        if task in self._tasks:
            return self._tasks[task]()
        call = self._call(task)
        return [_timed(call) for _ in range(calls)]

    def _call(self, task: str) -> Callable[[], object]:
        crew = self._up()
        if task in ("small", "tokens"):
            value = work.SMALL if task == "small" else work.TOKENS
            return lambda: _same(crew.echo(value), value)
        if task == "fan-out":
            return lambda: _same(crew.everybody(work.SMALL), [work.SMALL] * self._size)
        if task == "nested":
            return lambda: _same(crew.nest(work.SMALL), work.SMALL)
        size = work.MIB * int(task[0])
        if task.endswith("new"):
            return self._anew(crew, size)
        if size not in self._binary:
            self._binary[size] = crew.binary(bytes(range(256)) * (size // 256))
        data = self._binary[size]
        return lambda: _same(crew.pages(data), size // 4096)

    def _anew(self, crew: Fleet, size: int) -> Callable[[], object]:
        changing, last = bytearray(size), [0]

        def call() -> None:
            last[0] += 1
            changing[:8] = last[0].to_bytes(8, "little")
            _same(crew.pages(crew.binary(bytes(changing))), size // 4096)

        return call

    def _up(self) -> Fleet:
        if self._crew is None:
            self._crew = self._stack.enter_context(self._contender.fleet(self._size))
        return self._crew

    def _restart(self) -> list[float]:
        crew = self._up()
        _same(crew.echo(work.SMALL), work.SMALL)
        victim = crew.victim()
        began = time.perf_counter()
        os.kill(victim, signal.SIGKILL)
        while True:
            try:
                crew.revive()
                _same(crew.echo(work.SMALL), work.SMALL)
            except Exception:  # The call was there before the death.
                if time.perf_counter() - began > 60:
                    raise
            else:
                return [(time.perf_counter() - began) * 1e6]

    def _boot(self) -> list[float]:
        getattr(self._contender, "prepare", int)(FIFTY)
        began = time.perf_counter()
        with self._contender.fleet(FIFTY) as fleet:
            _same(fleet.everybody(work.SMALL), [work.SMALL] * FIFTY)
            return [(time.perf_counter() - began) * 1e6]

    def _memory(self) -> list[float]:
        before = memory.descendants(os.getpid())
        with self._contender.fleet(FIFTY) as fleet:
            _same(fleet.everybody(work.SMALL), [work.SMALL] * FIFTY)
            return memory.settled(lambda: memory.descendants(os.getpid()) - before)


def _same(found: Any, expected: Any) -> None:
    if found != expected:
        raise RuntimeError(f"another answer than expected: {str(found)[:200]}")


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - began) / 1000


def main() -> None:
    """Serve the referee on what was standard output, which children shall not have."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contender: Any = importlib.import_module(f"benchmarks.contest.contenders.{sys.argv[1]}")

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=replies, flush=True)

    say({"name": contender.NAME, "note": contender.NOTE, "cannot": dict(contender.CANNOT)})
    with contextlib.ExitStack() as stack:
        driver = Driver(contender, int(sys.argv[2]), stack)
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                say({"measured": driver.do(asked["task"], asked["calls"])})
            except Exception as error:
                say({"failed": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
