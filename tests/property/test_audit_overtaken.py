"""Readers that writers and drainers overtake in the middle of a query, at each of its steps."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hypothesis.strategies as st
from hypothesis import given, settings

from nxkernel.audit import pending
from nxkernel.audit.draining import drain
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader
from nxkernel.audit.spool import remains
from nxkernel.audit.writer import Writer
from tests.unit.audit.logs import Ticks, boot_facts, make_call, ok

#: Small, so that a few calls fill a segment and a drainer takes it in several transactions.
ROLL_BYTES, STEP = 1500, 400
#: What happens in the middle of a query; most of its steps are left in peace.
DEEDS = st.sampled_from(
    ["nothing"] * 4 + ["begin", "end", "work", "work", "drain some", "drain", "run"]
)


class Scene:
    """One log with a kernel that works and somebody who drains, step by step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Ticks()
        self.begun: list[str] = []
        self.ended: set[str] = set()
        self._runs = 0
        self._open: list[Any] = []
        self._begin_run()

    def _begin_run(self) -> None:
        self._runs += 1
        writer = Writer(self.path, self.clock, roll_bytes=ROLL_BYTES)
        self.log = AuditLog(self.path, self.clock, writer=writer)
        self.log.begin_run(boot_facts(f"run-{self._runs}", clock=self.clock))

    def do(self, deed: str) -> None:
        """Do what the word says."""
        deeds: dict[str, Callable[[], object]] = {
            "begin": self.begin,
            "end": self.end,
            "work": self.work,
            "drain some": lambda: self.drain(3),
            "drain": lambda: self.drain(10**6),
            "run": self.run,
        }
        if deed in deeds:
            deeds[deed]()

    def begin(self) -> None:
        call = make_call(str(len(self.begun)), run_id=f"run-{self._runs}")
        self._open.append((call, self.log.intend(call)))
        self.begun.append(call.call_id)

    def end(self) -> None:
        if self._open:
            call, intent = self._open.pop(0)
            self.log.finish(intent, call, ok(call), 1)
            self.ended.add(call.call_id)

    def work(self) -> None:
        for _ in range(6):
            self.begin()
            self.end()

    def drain(self, steps: int) -> None:
        left = iter(range(steps))
        drain(self.path, self.clock, lambda: next(left, None) is not None)

    def run(self) -> None:
        """The run ends in order, and another begins."""
        while self._open:
            self.end()
        self.log.end_run()
        self.log.close()
        self._begin_run()


@contextmanager
def overtaken(scene: Scene, deeds: Iterator[str]) -> Iterator[None]:
    """Have one of *deeds* happen before each step of a query of the body."""

    def before(function: Any) -> Any:
        def step(*said: Any) -> Any:
            scene.do(next(deeds, "nothing"))
            return function(*said)

        return step

    of = pending.Pending
    with (
        patch.object(pending, "listing", before(pending.listing)),
        patch.object(of, "_one", before(of._one)),
        patch.object(of, "_in_flight", before(of._in_flight)),
        patch.object(of, "_segment", before(of._segment)),
        patch.object(remains, "STEP", STEP),
    ):
        yield


@settings(max_examples=40, deadline=None)
@given(queries=st.lists(st.lists(DEEDS, max_size=24), min_size=1, max_size=4))
def test_a_query_sees_what_was_on_record_before_it_whatever_happens_meanwhile(
    queries: list[list[str]],
) -> None:
    """Each call once, ended ones as ended, and of one kernel none without those before it."""
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="nx-overtaken-", dir=memory if memory.is_dir() else None)
    try:
        scene = Scene(Path(folder) / "audit.db")
        with AuditReader(scene.path) as reader:
            for deeds in queries:
                _ask(scene, reader, iter(deeds))
        scene.run()
        scene.log.close()
        with AuditReader(scene.path) as reader:
            assert [call.call_id for call in reader.calls()] == scene.begun
    finally:
        shutil.rmtree(folder)


def _ask(scene: Scene, reader: AuditReader, deeds: Iterator[str]) -> None:
    scene.work()
    begun, ended = len(scene.begun), set(scene.ended)
    with overtaken(scene, deeds):
        calls = reader.calls()
    assert [call.call_id for call in calls] == scene.begun[: len(calls)]
    assert len(calls) >= begun
    shown = {call.call_id for call in calls if call.status == "ok"}
    assert ended <= shown <= scene.ended
    assert {call.status for call in calls} <= {"ok", "in_flight"}
