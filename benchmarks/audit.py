"""What it costs the caller that a call is on record, beside other ways to put it there."""

from __future__ import annotations

import queue
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nxkernel as nx
from benchmarks.measure import Row, interleave
from nxkernel._clock import SystemClock
from nxkernel.audit.log import AuditLog
from nxkernel.audit.rows import call_facts, intent_facts
from nxkernel.audit.schema import CALLS, INTENTS, Facts
from nxkernel.dispatch.stack import BootFacts
from nxkernel.kernel.asking import PLAIN

__all__ = ["PAIRS", "audit"]

ECHO = Path(__file__).parent / "plugins"
VALUE = {"id": "doc-0017", "title": "Invoice of March", "page": 3, "box": [10, 20, 300, 40]}
SPOOL, SQLITE = "intent and row, to the spool", "intent and row, each committed to SQLite"
QUEUE, CALL = "intent and row, to a queue", "small call, standard stack"
PAIRS = [(SPOOL, CALL), (SQLITE, CALL), (QUEUE, CALL), (SPOOL, SQLITE)]
hookspec = nx.HookspecMarker("bench")


class Specs:
    """The hooks of the plugin that is called."""

    @hookspec(firstresult=True)
    def echo(self, value):
        """Return *value*."""

    @hookspec
    def echo_all(self, value):
        """Return *value*, from every plugin."""


class Tap:
    """A middleware that keeps what the audit is told."""

    name = "tap"

    def boot(self, facts: BootFacts) -> None:
        """Keep what a run begins with."""
        self.facts = facts

    def around(self, call: Any) -> Any:
        """Keep the call and its outcome."""
        self.call = call
        self.outcome = yield call
        return self.outcome

    def close(self) -> None:
        """Keep all of it."""


def audit(rounds: int) -> dict[str, Row]:
    """Time what a call's record adds, of one and the same call."""
    tap = Tap()
    with (
        tempfile.TemporaryDirectory() as folder,
        _kernel(Path(folder) / "data") as kernel,
        _kernel(Path(folder) / "tapped", tap) as tapped,
    ):
        tapped.hook.echo(value=VALUE)
        with (
            _spool(Path(folder) / "spool.db", tap, kernel) as spool,
            _committed(Path(folder) / "direct.db", tap) as committed,
            _queued(Path(folder) / "queued.db", tap) as queued,
        ):
            contenders: dict[str, Callable[[], object]] = {
                CALL: lambda: kernel.hook.echo(value=VALUE),
                SPOOL: spool,
                SQLITE: committed,
                QUEUE: queued,
            }
            return interleave(contenders, rounds=rounds, calls=300)


def _kernel(data: Path, *layers: Any) -> nx.Kernel:
    run = nx.Run.create(data, seed=1)
    stack = [*nx.standard_stack(run), *layers]
    return nx.Kernel("bench", specs=[Specs], run=run, plugins=nx.discover(ECHO), middleware=stack)


@contextmanager
def _spool(path: Path, tap: Tap, kernel: nx.Kernel) -> Iterator[Callable[[], None]]:
    """A log's rows, of a usual call as that makes them."""
    log = AuditLog(path, SystemClock())
    log.begin_run(tap.facts)
    errand = kernel._lifetime.parts.desk.routes.go("echo", {"value": VALUE}, PLAIN)
    if errand is None or errand.taken is not None:
        raise RuntimeError("the call that is to be put on record was none of the usual ones")
    rows = log.usual(errand.whom)

    def record() -> None:
        rows.begin(errand)
        rows.end(errand, 1)

    yield record
    log.end_run()
    log.close()


def _rows(tap: Tap) -> tuple[Facts, Facts]:
    """Make the facts of both rows, as the audit has to."""
    before = intent_facts(tap.call, 1)
    return before, (*before, *call_facts(tap.outcome, 1))


def _open(path: Path) -> tuple[sqlite3.Connection, str, str]:
    """Open a database as the audit's is set up; return it with two statements."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    statements = []
    for table in (INTENTS, CALLS):
        names = ", ".join(table.names[1:])
        connection.execute(f"CREATE TABLE {table.name} (seq INTEGER PRIMARY KEY, {names})")
        marks = ", ".join("?" * (len(table.names) - 1))
        statements.append(f"INSERT INTO {table.name} ({names}) VALUES ({marks})")
    return connection, *statements


@contextmanager
def _committed(path: Path, tap: Tap) -> Iterator[Callable[[], None]]:
    connection, intend, finish = _open(path)

    def record() -> None:
        before, row = _rows(tap)
        connection.execute(intend, before)
        connection.execute(finish, row)

    yield record
    connection.close()


@contextmanager
def _queued(path: Path, tap: Tap) -> Iterator[Callable[[], None]]:
    """A thread that writes what is in a queue: what is there when a process is killed is lost."""
    connection, intend, finish = _open(path)
    waiting: queue.SimpleQueue[tuple[Facts, Facts] | None] = queue.SimpleQueue()

    def write() -> None:
        pair = waiting.get()
        while pair is not None:
            connection.execute("BEGIN")
            for _ in range(1000):
                connection.execute(intend, pair[0])
                connection.execute(finish, pair[1])
                pair = waiting.get()
                if pair is None or waiting.empty():
                    break
            connection.execute("COMMIT")

    thread = threading.Thread(target=write)
    thread.start()
    yield lambda: waiting.put(_rows(tap))
    waiting.put(None)
    thread.join()
    connection.close()
