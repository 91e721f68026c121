"""What a start takes: counted, as times say more about the machine than about the start."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from typing import Any

import attrs
import pytest

from benchmarks.floor import FORK, WALLS, WORKER, pages
from nxkernel.host.zygote import Zygote
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, eventually, patient

#: A module that counts what a worker executes until it has answered its first call.
COUNTS = """
import os, sys
from nxkernel.worker import child
from nxkernel.worker.runner import Runner

executed, counting = [0], [False]
main, answer = child.main, Runner._answer

def trace(frame, event, argument):
    if event == "opcode":
        executed[0] += 1
    elif event == "call":
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
    return trace

def counted(*arguments, **options):
    counting[0] = True
    sys._getframe().f_trace_opcodes = True  # Python 3.12 tells none unless a frame asked before.
    sys.settrace(trace)
    main(*arguments, **options)

def told(*arguments, **options):
    answer(*arguments, **options)
    if counting[0]:
        counting[0] = False
        sys.settrace(None)
        os.write(2, f"executed {executed[0]} bytecodes\\n".encode())

child.main, Runner._answer = counted, told
"""
#: Bytecodes of a start that imports and answers next to nothing: 20,000, and room for versions.
MOST = 28_000
#: Calls of functions that a start with its first call takes the host, and room for versions.
MOST_OF_HOST = 3_400


def counts(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have every zygote from now on import :data:`COUNTS`."""
    (folder / "counts.py").write_text(COUNTS)
    begin = Zygote.__init__

    def counting(self: Zygote, profile: Any, **options: Any) -> None:
        sys_path = (*profile.sys_path, str(folder))
        begin(self, attrs.evolve(profile, sys_path=sys_path, preload=("counts",)), **options)

    monkeypatch.setattr(Zygote, "__init__", counting)


def executed(zoo: Zoo, plugin: str) -> int:
    assert zoo.answers(plugin)
    eventually(lambda: "bytecodes" in zoo.log(plugin), "the worker has counted")
    return int(re.findall(r"executed (\d+) bytecodes", zoo.log(plugin))[0])


def test_a_start_is_little_python(
    open_zoo: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the fork to the first answer: nothing that the zygote could have done once for all."""
    counts(monkeypatch, tmp_path)
    assert 5_000 < executed(open_zoo(patient, "prints"), "prints") < MOST


def test_the_floor_is_confined_and_far_below_a_worker(confinement: None) -> None:
    """A fork with the walls of a worker, looked at from outside, and page faults of each."""
    found = pages()
    faults = [found[name]["faults"] for name in (FORK, WALLS, WORKER)]
    assert faults == sorted(faults)
    assert 3 * faults[1] < faults[2]
    assert found[WALLS]["private"] < found[WORKER]["private"]


def test_what_is_awaited_is_there_before_the_first_call(open_zoo: Opens) -> None:
    """`asyncio` is imported at the start of a plugin that awaits, and in no other worker."""
    zoo = open_zoo(patient, "inspects", "awaits")
    assert "asyncio" not in zoo.act("inspects").value["modules"]
    assert zoo.act("awaits", [1, 2]).value == [2, 4]


def called(zoo: Zoo, plugin: str) -> int:
    """How many functions, Python's and built-in ones, the host calls for *plugin*'s first call."""
    count = [0]

    def note(_frame: Any, event: str, _argument: Any) -> None:
        count[0] += event in ("call", "c_call")

    def ask() -> None:
        sys.setprofile(note)
        try:
            zoo.ask(plugin, "echo", value=1)
        finally:
            sys.setprofile(None)

    # Not in the main thread: there the start itself is made by another one, which is not seen.
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return count[0]


def test_a_start_is_little_work_for_the_host(tmp_path: Path, confinement: None) -> None:
    """What is the same for all plugins is done for the first of them, and not for the next ones."""
    animals = ("prints", "dies", "floods")
    with patient(tmp_path, *animals):
        pass
    with patient(tmp_path, *animals) as kernel:
        first, *others = (called(Zoo(kernel), animal) for animal in animals)
    assert 500 < max(others) < MOST_OF_HOST
    assert max(others) <= first
