"""Logs to read, and the means to tamper with them."""

from __future__ import annotations

import importlib.util
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from nxkernel._sqlite import immediate, open_writer
from nxkernel.audit.batches import Head
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.columns import MARK, Facts, Table, leaf
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import VerifyReport, verify
from nxkernel.audit.schema import BATCHES, CALLS, FORMAT, INTENTS, RUN_ENDS, RUNS, TABLES
from nxkernel.audit.tree import Tree, leaf_hash
from nxkernel.dispatch.stack import BootFacts, Event, PluginFacts
from nxkernel.settings import Grant, Permissions, PluginSettings, digest_of
from nxkernel.types import Call, CallError, Digest, Outcome, PluginId, RunId, Timing

CONTRACT = Path(__file__).resolve().parents[3] / "contracts" / "audit"
DIGEST = Digest("sha256:" + "5e" * 32)
BY_NAME = {table.name: table for table in TABLES}


class Ticks:
    """A clock that goes on by a millisecond each time it is asked."""

    def __init__(self) -> None:
        self._ticks = itertools.count(1)

    def monotonic(self) -> float:
        return next(self._ticks) / 1000

    def wall_ns(self) -> int:
        return 1_700_000_000_000_000_000 + next(self._ticks) * 1_000_000


def make_call(call_id: str = "1", **changes: Any) -> Call:
    """Return a call to ``ocr.rapid`` with the given differences."""
    facts: dict[str, Any] = {
        "run_id": RunId("run-1"),
        "call_id": call_id,
        "plugin": PluginId("ocr.rapid"),
        "impl": "read_tokens",
        "hook": "read_tokens",
        "arguments": {"secret": "geheim"},
        "payload": b"\x81\xa6secret\xa6geheim",
        "input_digest": DIGEST,
        "deadline": 10.0,
        "key": (call_id,),
    }
    return Call(**{**facts, **changes})


def ok(call: Call, **changes: Any) -> Outcome:
    """Return the outcome of a call that went well."""
    facts: dict[str, Any] = {
        "value": "geheim",
        "output_digest": DIGEST,
        "output_bytes": 7,
        "annotations": {"seed": bytes(range(32))},
        "timing": Timing(queue_us=1, transport_us=2, plugin_us=3),
    }
    return Outcome(
        plugin=call.plugin,
        impl=call.impl,
        hook=call.hook,
        call_id=call.call_id,
        **{**facts, **changes},
    )


def failed(call: Call, code: str = "plugin.raised", **details: Any) -> Outcome:
    """Return the outcome of a call that went wrong in the plugin."""
    error = CallError(code=code, message="KeyError: 'geheim'", details=details)
    return ok(call, value=None, error=error, fault="plugin", output_digest=None, output_bytes=0)


SETTINGS = PluginSettings(
    plugin="ocr.rapid",
    values={"languages": ["de", "en"]},
    digest=digest_of({"languages": ["de", "en"]}),
)


def facts_of(plugin: str = "ocr.rapid", **changes: Any) -> PluginFacts:
    """Return what the stack knows of a plugin."""
    return PluginFacts(
        **{
            "id": PluginId(plugin),
            "version": "0.1.0",
            "code_digest": DIGEST,
            "requires": ("store.records",),
            "grant": Grant(read=("{media_dir}",)),
            "asked": Permissions(read=("{media_dir}",), network=("tcp:443",)),
            "settings": SETTINGS,
            "tags": ("ocr",),
            "provides": ("ocr.engine",),
            **changes,
        }
    )


def boot_facts(run_id: str = "run-1", *plugins: PluginFacts, clock: Any = None) -> BootFacts:
    """Return what a middleware is told at boot."""
    return BootFacts(
        run_id=RunId(run_id),
        seed=7,
        clock=clock or Ticks(),
        specs={},
        plugins={facts.id: facts for facts in plugins},
        header={
            "kernel": "0.1.0",
            "python": "3.11.7",
            "platform": "Linux",
            "level": "confined",
            "stack": ["audit", "policy"],
            "lock_digest": DIGEST,
            "environment": {"cpu": "x86_64"},
            "hosting": {"eager": False},
        },
        emit=lambda event: None,
    )


@contextmanager
def opened(path: Path, run_id: str = "run-1") -> Iterator[AuditLog]:
    """Open a log with a run begun in it; the run is not ended."""
    log = AuditLog(path, Ticks())
    log.begin_run(boot_facts(run_id))
    try:
        yield log
    finally:
        log.close()


def write_sample(path: Path) -> Checkpoint:
    """Write a log with two rows or more in every table; return its last checkpoint."""
    log = AuditLog(path, Ticks())
    for run_id in ("run-1", "run-2"):
        log.begin_run(boot_facts(run_id))
        _write_calls(log)
        log.end_run()
    log.close()
    assert log.checkpoint is not None
    return log.checkpoint


def _write_calls(log: AuditLog) -> None:
    log.plugin(facts_of())
    log.plugin(facts_of("store"), disabled="lock.mismatch")
    outer, inner = make_call("1"), make_call("1.1", parent="1", caller="ocr.rapid", depth=1)
    first = log.intend(outer)
    second = log.intend(inner)
    log.event(
        Event(kind="policy.decision", plugin="store", data={"hook": "keep", "effect": "deny"})
    )
    log.finish(second, inner, failed(inner, exception="builtins.KeyError"), 40)
    log.event(Event(kind="breaker.open", plugin="store", data={"failures": 5}))
    log.finish(first, outer, ok(outer), 90)
    log.event(Event(kind="determinism.drawn", plugin="ocr.rapid", data={"call_id": "1"}))
    log.event(Event(kind="template.diff", data={"changed": 2}))
    log.event(Event(kind="hosting.debug", plugin="store"))
    log.event(Event(kind="worker.exit", plugin="ocr.rapid", data={"signal": "SIGKILL"}))


class Collected:
    """Stands in for a writer: keeps rows, to be written in batches of any size."""

    def __init__(self) -> None:
        self.rows: list[tuple[Table, Facts]] = []

    def open(self) -> None:
        pass

    def begin(self, claim: str, facts: Facts) -> None:
        self._run = self._number(RUNS, facts)

    def append(self, table: Table, facts: Facts) -> None:
        last = ("",) if table is RUN_ENDS else ()
        self._number(table, (self._run, *facts, *last))

    def intend(self, facts: Facts) -> tuple[int, Facts]:
        return self._number(INTENTS, (self._run, *facts)), facts

    def finish(self, intent: tuple[int, Facts], facts: Facts) -> None:
        seq, before = intent
        self._number(CALLS, (self._run, *before, *facts[:-1], seq))

    def unfinished(self, is_it: Callable[[Facts], bool]) -> None:
        pass

    def _number(self, table: Table, facts: Facts) -> int:
        self.rows.append((table, facts))
        return len(self.rows)

    def end(self) -> None:
        pass

    def settle(self) -> Checkpoint:
        return Checkpoint.of("nxkernel.audit.v2/collected", len(self.rows), bytes(32))

    def close(self) -> None:
        pass


def sample_rows(path: Path, calls: int = 1) -> list[tuple[Table, Facts]]:
    """Return the rows of a run with *calls* times two calls."""
    collected = Collected()
    log = AuditLog(path, Ticks(), writer=collected)
    log.begin_run(boot_facts("run-1"))
    for _ in range(calls):
        _write_calls(log)
    log.end_run()
    return collected.rows


def write_batches(path: Path, rows: list[tuple[Table, Facts]], size: int) -> list[Checkpoint]:
    """Write *rows* in batches of *size*; return the checkpoint after each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    points = []
    connection = open_writer(path, FORMAT, durability="process", now_ns=1)
    with closing(connection):
        head = Head.read(connection)
        for start in range(0, len(rows), size):
            with immediate(connection):
                head.append(connection, rows[start : start + size], 1_700_000_000_000_000_000)
            points.append(head.checkpoint())
    return points


_PRESENT = "SELECT name FROM sqlite_master WHERE type = 'table'"


@contextmanager
def tampering(path: Path) -> Iterator[sqlite3.Connection]:
    """Give the file to someone who takes the triggers away, and puts them back afterwards."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for table in TABLES:
            for guard in table.guards:
                connection.execute(f"DROP TRIGGER {guard.split()[2]}")
        connection.execute("COMMIT")
        yield connection
        connection.execute("BEGIN")
        present = {name for (name,) in connection.execute(_PRESENT)}
        for table in TABLES:
            if table.name in present:
                for guard in table.guards:
                    connection.execute(guard)
        connection.execute("COMMIT")


def every_row(path: Path) -> list[tuple[int, str]]:
    """Return number and table of every row, in order."""
    union = " UNION ALL ".join(f"SELECT seq, '{table.name}' FROM {table.name}" for table in TABLES)
    with closing(sqlite3.connect(path)) as connection:
        return [(seq, name) for seq, name in connection.execute(f"{union} ORDER BY 1").fetchall()]


#: Tables that say how rows are kept, not what happened.
FRAME = ("segments", "names", "batches")


def rows_of(path: Path) -> list[tuple[int, str]]:
    """Return number and table of every row that says what happened, in order."""
    return [(seq, name) for seq, name in every_row(path) if name not in FRAME]


def rebatch(connection: sqlite3.Connection, first: int = 1, last: int = 2**63) -> None:
    """Make the rows of batches from *first* to *last* anew, as a forger with time would."""
    rows = {
        row[0]: row
        for table in TABLES
        for row in connection.execute(table.select, (1, 2**62)).fetchall()
    }
    tree, hashes, start = Tree(), [], 1
    for seq in sorted(rows):
        row = rows[seq]
        if row[1] == "batches":
            tree.add(hashes)
            if first <= seq <= last:
                marks = b"".join(each[:MARK] for each in hashes)
                made = (start, row[3], tree.root, tree.frontier, marks, *row[7:])
                marked = ", ".join(f"{name} = ?" for name in BATCHES.names)
                connection.execute(f"UPDATE batches SET {marked} WHERE seq = ?", (*made, seq))
                row = (seq, "batches", *made)
            hashes, start = [], seq
        hashes.append(leaf_hash(leaf(row)))


def load_standalone() -> ModuleType:
    """Import the verifier that is published beside the format."""
    spec = importlib.util.spec_from_file_location("standalone_verify", CONTRACT / "verify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STANDALONE = load_standalone()


def inspect(path: Path, checkpoint: Checkpoint | None = None) -> VerifyReport:
    """Verify a log with both verifiers and return our report; they must agree."""
    report = verify(path, checkpoint)
    other = STANDALONE.verify(path, attrs.astuple(checkpoint) if checkpoint else None)
    ours = [(problem.kind, problem.table, problem.seq) for problem in report.problems]
    assert [problem[:3] for problem in other.problems] == ours
    assert (other.rows, other.runs) == (report.rows, report.runs)
    assert other.head() == (list(attrs.astuple(report.head)) if report.head else None)
    return report


def found(path: Path, checkpoint: Checkpoint | None = None) -> list[tuple[str, str, int]]:
    """Return kind, table and number of every problem that both verifiers see."""
    return [(p.kind, p.table, p.seq) for p in inspect(path, checkpoint).problems]
