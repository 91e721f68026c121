"""Readers that are kept against readers that begin anew, beside writers and drainers."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nxkernel.audit.draining import drain
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader
from nxkernel.audit.schema import CALLS, HAPPENINGS, INTENTS, RUN_ENDS, RUNS
from nxkernel.audit.schema import PLUGINS as PLUGIN_ROWS
from nxkernel.audit.spool import remains
from nxkernel.audit.spool.entries import entry
from nxkernel.audit.spool.folder import folder_of
from nxkernel.audit.spool.frames import frame
from nxkernel.audit.writer import Writer
from nxkernel.dispatch.stack import Event
from nxkernel.types import Call
from tests.unit.audit.logs import Ticks, boot_facts, facts_of, failed, make_call, ok

#: Small, so that a few calls fill a segment and a drainer takes it in several transactions.
ROLL_BYTES, STEP = 1500, 400
EXAMPLES = 12
TABLES = (RUNS, PLUGIN_ROWS, INTENTS, CALLS, *HAPPENINGS, RUN_ENDS)
UNENDED = ("in_flight", "interrupted")
PLUGINS = ("ocr.rapid", "store", "ünï")


@attrs.define(eq=False)
class Kernel:
    """A run that goes on."""

    log: AuditLog
    run_id: str
    in_flight: list[tuple[Call, Any]] = attrs.field(factory=list)


def shown(reader: AuditReader) -> dict[str, Any]:
    """Return every row that a reader has, but for the numbers of rows and of runs."""
    found: dict[str, Any] = {}
    with reader._pending.snapshot():
        for table in TABLES:
            columns = ", ".join(f"t.{name}" for name in table.names if name != "run")
            run = "" if table is RUNS else "JOIN every_runs AS runs ON runs.seq = t.run"
            sql = f"SELECT runs.run_id, {columns} FROM every_{table.name} AS t {run}"
            rows = reader._connection.execute(sql.replace("runs.run_id, ", "", not run))
            found[table.name] = Counter(map(tuple, rows))
        found["waiting"] = reader.waiting()
    return found


def asked(reader: AuditReader) -> dict[str, Any]:
    """Return what a reader answers, but for the numbers of rows that wait."""
    told = lambda calls: Counter(str(attrs.evolve(call, seq=0)) for call in calls)  # noqa: E731
    return {
        "runs": Counter((run.run_id, run.status, run.calls, run.errors) for run in reader.runs()),
        "calls": told(reader.calls()),
        "stream": told(reader.stream()),
        "latest": {call.call_id for call in reader.latest(limit=1000)},
        "few": [call.call_id for call in reader.calls(limit=3)],
        "total": reader.total(),
    }


class Machine(RuleBasedStateMachine):
    """Kernels begin, call, roll, end and die; drainers take a part or all; files are replaced.

    The model is what was acknowledged: each call is seen exactly once by every reader, and a reader
    that is kept says in each query what one says that was just opened.
    """

    def __init__(self) -> None:
        super().__init__()
        # In memory where that can be had: what is synced there costs nothing.
        memory = Path("/dev/shm")
        self.folder = Path(
            tempfile.mkdtemp(prefix="nx-pending-", dir=memory if memory.is_dir() else None)
        )
        self.path = self.folder / "audit.db"
        self.clock = Ticks()
        self.kernels: list[Kernel] = []
        self.kept: list[AuditReader] = []
        self.ended: dict[str, str] = {}
        self.open: set[str] = set()
        self.count = 0
        self.step, remains.STEP = remains.STEP, STEP

    def teardown(self) -> None:
        remains.STEP = self.step
        for reader in self.kept:
            reader.close()
        for kernel in self.kernels:
            kernel.log.close()
        shutil.rmtree(self.folder)

    def _next(self) -> str:
        self.count += 1
        return str(self.count)

    @precondition(lambda self: len(self.kernels) < 3)
    @rule()
    def boot(self) -> None:
        """A kernel begins a run."""
        writer = Writer(self.path, self.clock, roll_bytes=ROLL_BYTES)
        log, run_id = AuditLog(self.path, self.clock, writer=writer), f"run-{self._next()}"
        log.begin_run(boot_facts(run_id, clock=self.clock))
        self.kernels.append(Kernel(log, run_id))

    def _call(self, kernel: Kernel, plugin: str) -> None:
        call = make_call(self._next(), plugin=plugin, run_id=kernel.run_id)
        kernel.in_flight.append((call, kernel.log.intend(call)))
        self.open.add(call.call_id)

    def _end(self, kernel: Kernel, at: int, goes_well: bool) -> None:
        call, intent = kernel.in_flight.pop(at % len(kernel.in_flight))
        kernel.log.finish(intent, call, (ok if goes_well else failed)(call), 1)
        self.open.discard(call.call_id)
        self.ended[call.call_id] = "ok" if goes_well else "error"

    @precondition(lambda self: self.kernels)
    @rule(at=st.integers(0, 2), plugin=st.sampled_from(PLUGINS))
    def intend(self, at: int, plugin: str) -> None:
        """A call begins."""
        self._call(self.kernels[at % len(self.kernels)], plugin)

    @precondition(lambda self: any(kernel.in_flight for kernel in self.kernels))
    @rule(at=st.integers(0, 9), goes_well=st.booleans())
    def finish(self, at: int, goes_well: bool) -> None:
        """One of them ends."""
        busy = [kernel for kernel in self.kernels if kernel.in_flight]
        self._end(busy[at % len(busy)], at, goes_well)

    @precondition(lambda self: self.kernels)
    @rule(at=st.integers(0, 2), many=st.integers(1, 8))
    def work(self, at: int, many: int) -> None:
        """Some calls, one after the other: enough for a new segment."""
        kernel = self.kernels[at % len(self.kernels)]
        for _ in range(many):
            self._call(kernel, PLUGINS[0])
            self._end(kernel, -1, True)

    @precondition(lambda self: self.kernels)
    @rule(at=st.integers(0, 2))
    def happen(self, at: int) -> None:
        """Rows that are no calls."""
        log = self.kernels[at % len(self.kernels)].log
        log.plugin(facts_of(PLUGINS[at]))
        log.event(Event(kind="breaker.open", plugin="store", data={"n": self.count}))

    @precondition(lambda self: self.kernels)
    @rule(at=st.integers(0, 2), many=st.integers(1, 30))
    def half_a_row(self, at: int, many: int) -> None:
        """A row is seen when it is whole and not before."""
        spool: Any = self.kernels[at % len(self.kernels)].log._writer._spool  # type: ignore[attr-defined]
        facts = (self.clock.wall_ns(), "breaker.open", "store", None, None, "{}")
        data, segment = frame(entry("events", facts)), spool._segment
        os.write(segment._fd, data[:many])
        self.readers_agree()
        os.write(segment._fd, data[many:])
        segment.size += len(data)

    @precondition(lambda self: self.kernels)
    @rule(at=st.integers(0, 2))
    def end(self, at: int) -> None:
        """A run ends in order; what is in flight then is interrupted."""
        kernel = self.kernels.pop(at % len(self.kernels))
        kernel.log.end_run()
        kernel.log.close()

    @precondition(lambda self: self.kernels)
    @rule(at=st.integers(0, 2), torn=st.integers(0, 40))
    def die(self, at: int, torn: int) -> None:
        """A kernel is gone, perhaps in the middle of a row."""
        kernel = self.kernels.pop(at % len(self.kernels))
        name = kernel.log._writer._spool.name.prefix  # type: ignore[attr-defined]
        kernel.log._leave()
        kernel.log._writer.close()
        newest = max(folder_of(self.path).glob(f"{name}-*.spool"))
        with newest.open("ab") as file:
            file.write(frame(b"x" * 60)[:torn])

    @precondition(lambda self: self.path.exists())
    @rule(steps=st.integers(0, 6) | st.just(10**6))
    def drain(self, steps: int) -> None:
        """A drainer takes some of it, or all."""
        left = iter(range(steps))
        drain(self.path, self.clock, lambda: next(left, None) is not None)

    @precondition(lambda self: self.path.exists() and not self.kernels)
    @rule()
    def replace(self) -> None:
        """Spools are put back from a copy: other files of the same names."""
        for path in folder_of(self.path).glob("*.spool"):
            shutil.copy(path, path.with_suffix(".copy"))
            path.with_suffix(".copy").replace(path)

    @precondition(lambda self: self.path.exists() and len(self.kept) < 2)
    @rule()
    def keep_a_reader(self) -> None:
        """From now on it is asked after each step."""
        self.kept.append(AuditReader(self.path))

    @precondition(lambda self: self.kept)
    @rule()
    def ask(self) -> None:
        """Whatever is asked, the answers are those of a new reader."""
        with AuditReader(self.path) as fresh:
            expected = asked(fresh)
        for reader in self.kept:
            assert asked(reader) == expected

    @precondition(lambda self: self.kept)
    @rule()
    def a_query_fails(self) -> None:
        """An error in the middle leaves a reader as good as new."""
        read, remains.frames = remains.frames, _fail
        try:
            with suppress(Exception):
                self.kept[0].calls()
        finally:
            remains.frames = read

    @invariant()
    def readers_agree(self) -> None:
        """Those that were kept say what a new one says, and that is what was acknowledged."""
        if not self.path.exists():
            return
        with AuditReader(self.path) as fresh:
            expected = shown(fresh)
            calls = {call.call_id: call.status for call in fresh.calls()}
        for reader in self.kept:
            assert shown(reader) == expected
        assert {call: status for call, status in calls.items() if call in self.ended} == self.ended
        assert {call for call, status in calls.items() if status in UNENDED} == self.open
        assert sum(expected["calls"].values()) == len(self.ended)


def _fail(*_: object) -> None:
    raise OSError(5, "Input/output error")


TestPending = Machine.TestCase
TestPending.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow]
)
