"""Lets the contenders take turns, task by task, and keeps what they measured."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.contest.work import TASKS

__all__ = ["CONTENDERS", "Bout", "contest"]

ROOT = Path(__file__).parents[2]
OURS = "nxkernel_itself"
CONTENDERS = (
    OURS,
    "in_process",
    "pipes",
    "futures",
    "loky_pools",
    "execnet_gateways",
    "rpyc_services",
    "grpc_pair",
    "json_lines",
)
#: task -> calls in a round; the others are done once in each.
CALLS = {
    "small": 200,
    "tokens": 20,
    "1 MiB": 10,
    "8 MiB": 5,
    "8 MiB, new": 5,
    "fan-out": 40,
    "nested": 60,
}
#: Plugins of the fan-out.
CREW = 8
#: Rounds of the tasks that take long: what fifty plugins take does not vary as times do.
FEW = {"boot": 3, "memory": 1}
#: Seconds that one contender may take for one round of one task.
PATIENCE_S = 120.0
#: So that no library starts a thread for each core of the machine.
_ENVIRONMENT = {"GRPC_VERBOSITY": "ERROR"}


@attrs.define
class Bout:
    """What came of one contender and one task."""

    #: One for each round: the median in microseconds, or PSS and private MiB.
    rounds: list[Any] = attrs.Factory(list)
    #: Why there is nothing.
    cannot: str = ""


@attrs.define
class _Corner:
    """A contender's process."""

    module: str
    process: subprocess.Popen[str]
    name: str = ""
    note: str = ""
    cannot: dict[str, str] = attrs.Factory(dict)

    def hear(self) -> dict[str, Any]:
        """Return what it says next.

        Raises:
            OSError: when it says nothing.
        """
        pipe = self.process.stdout
        assert pipe is not None
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            if not selector.select(PATIENCE_S):
                raise OSError(f"no answer in {PATIENCE_S:g} s")
        said: dict[str, Any] = json.loads(pipe.readline() or '{"failed": "its process ended"}')
        return said

    def do(self, task: str) -> list[float]:
        """Have it do *task*.

        Raises:
            OSError: when it does not.
        """
        pipe = self.process.stdin
        assert pipe is not None
        print(json.dumps({"task": task, "calls": CALLS.get(task, 1)}), file=pipe, flush=True)
        answer = self.hear()
        if "failed" in answer:
            raise OSError(answer["failed"])
        measured: list[float] = answer["measured"]
        return measured


def contest(
    rounds: int,
    python: str = sys.executable,
    contenders: Sequence[str] = CONTENDERS,
    tasks: Sequence[str] = tuple(TASKS),
    say: Callable[[str], None] = lambda _: None,
    crew: int = CREW,
) -> dict[str, Any]:
    """Run the contest and return plain data.

    *python*: the interpreter of the peers. *say* is told what goes on. *crew*: plugins that are
    up for all tasks but those of fifty.
    """
    bouts: dict[str, dict[str, Bout]] = {task: {} for task in tasks}
    with contextlib.ExitStack() as stack:
        corners = [stack.enter_context(_corner(each, python, crew)) for each in contenders]
        for corner in corners:
            _greet(corner)
            for task in tasks:
                bouts[task][corner.name] = Bout(cannot=corner.cannot.get(task, ""))
        for task in tasks:
            say(f"contest: {task}")
            _fight(task, corners, bouts[task], rounds)
    return {
        "tasks": {
            task: {name: _plain(bout) for name, bout in bouts[task].items()} for task in tasks
        },
        "notes": {corner.name: corner.note for corner in corners},
        "ours": next((corner.name for corner in corners if corner.module == OURS), ""),
    }


def _greet(corner: _Corner) -> None:
    try:
        said = corner.hear()
        if "failed" in said:
            raise OSError(said["failed"])
        corner.name, corner.note, corner.cannot = said["name"], said["note"], said["cannot"]
    except OSError as error:
        reason = f"not run: {error}"
        corner.name, corner.note = corner.module, reason
        corner.cannot = dict.fromkeys(TASKS, reason)


def _fight(task: str, corners: Sequence[_Corner], bouts: dict[str, Bout], rounds: int) -> None:
    """Some rounds of one task; the first is for warming up, where there is more than one call."""
    warm = 1 if task in CALLS else 0
    for number in range(min(rounds, FEW.get(task, rounds)) + warm):
        for corner in corners:
            bout = bouts[corner.name]
            if bout.cannot:
                continue
            try:
                measured = corner.do(task)
            except OSError as error:
                bout.cannot = str(error)
                corner.process.kill()  # What it would say of this task would be taken for the next.
                corner.cannot = dict.fromkeys(TASKS, "its process was ended")
                continue
            if number >= warm:
                bout.rounds.append(measured if task == "memory" else statistics.median(measured))


def _plain(bout: Bout) -> dict[str, Any]:
    if not bout.rounds:
        return {"cannot": bout.cannot or "not measured"}
    found: dict[str, Any] = {"rounds": bout.rounds}
    if bout.cannot:
        found["ended"] = bout.cannot
    return found


@contextlib.contextmanager
def _corner(module: str, python: str, crew: int) -> Iterator[_Corner]:
    """Start the process of a contender; it ends with its input."""
    process = subprocess.Popen(
        [
            sys.executable if module == OURS else python,
            "-m",
            "benchmarks.contest.driver",
            module,
            str(crew),
        ],
        cwd=ROOT,
        env={**os.environ, **_ENVIRONMENT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _Corner(module, process)
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()  # type: ignore[union-attr]
