"""Queries over an audit log, while its kernel writes or long after."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from nxkernel._pickling import Rooted
from nxkernel._sqlite import open_reader
from nxkernel.audit.comparison import Comparison, compare
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.filters import EVERYTHING, CallFilter
from nxkernel.audit.liveness import alive
from nxkernel.audit.pending import Pending
from nxkernel.audit.records import (
    CallRecord,
    CallTree,
    EventRecord,
    PluginRecord,
    RunRecord,
)
from nxkernel.audit.schema import FORMAT
from nxkernel.audit.selects import CALL, DATABASE, EVENTS, PLUGINS_OF, RUNS_OF, WAITING
from nxkernel.audit.statistics import Statistics, summary
from nxkernel.audit.verification import Problem, VerifyReport, verify
from nxkernel.errors import AuditError

__all__ = ["EVERY", "AuditReader", "Problem", "Tally", "VerifyReport", "verify"]


#: Those that are no field of a record.
_BESIDE = ("run", "ok", "began", "run_started_ns")
EVERY = (DATABASE.ended, WAITING.ended, DATABASE.unended, WAITING.unended)
_UNENDED = (DATABASE.unended, WAITING.unended)
#: Calls and failures of a plugin's edition in a run.
Tally = dict[tuple[str, str, int], tuple[int, int]]
_TALLY = """
SELECT run_id, plugin, edition, count(*), ifnull(sum(fault = 'plugin'), 0) FROM (%s)
WHERE started_ns >= :since_ns GROUP BY run_id, plugin, edition ORDER BY run_id, plugin, edition
"""
#: Calls that are read in one transaction: a long one would keep the log's own files from shrinking.
_PAGE = 2000


class AuditReader(Rooted):
    """Reads the log at *path*; it never writes, and holds up no writer.

    One that is kept reads what waits to be taken into the database only once. It belongs to the
    thread that made it.

    Raises:
        AuditError: when the file is missing or no audit log; and from every method, when reading
            fails.
    """

    _instead = "open the log there by its path"

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise AuditError(
                f"there is no audit log at {shown(self.path)}; give the data directory of a run "
                "whose stack has Audit",
                details={"path": str(self.path)},
            )
        try:
            self._connection = open_reader(self.path, FORMAT)
            try:
                self._pending = Pending(self._connection, self.path)
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise cannot("read", self.path, error) from error
        self._connection.row_factory = sqlite3.Row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def runs(self, run_id: str | None = None) -> list[RunRecord]:
        """Return the runs, oldest first."""
        return [self._run(row) for row in self._query(RUNS_OF, run_id=run_id)]

    def plugins(self, run_id: str | None = None) -> list[PluginRecord]:
        """Return how plugins took part; the newest record of a plugin in a run counts."""
        return [_plugin(row) for row in self._query(PLUGINS_OF, run_id=run_id)]

    def calls(
        self,
        run_id: str | None = None,
        plugin: str | None = None,
        hook: str | None = None,
        errors_only: bool = False,
        limit: int | None = None,
    ) -> list[CallRecord]:
        """Return calls in the order in which they began, with those that never ended.

        *errors_only* keeps failed and interrupted calls; *limit* keeps the newest.
        """
        where = CallFilter(run_id=run_id, plugin=plugin, hook=hook, failures=errors_only)
        return self.select(where, limit=limit)

    def select(
        self, where: CallFilter = EVERYTHING, *, limit: int | None = None
    ) -> list[CallRecord]:
        """Return the calls that *where* takes, in the order in which they began.

        *limit* keeps the newest.
        """
        # SQL cannot see which calls are in flight, so with failures the limit has to wait.
        bound = -1 if limit is None or where.failures else limit
        rows = [call for call in self._calls(where, limit=bound) if where.takes(call)]
        return rows if limit is None else rows[max(0, len(rows) - limit) :]

    def stream(
        self, where: CallFilter = EVERYTHING, *, after: int = 0, unended: bool = True
    ) -> Iterator[CallRecord]:
        """Yield the calls that *where* takes in the order in which they ended.

        Then, if *unended*, come those that did not end. *after* is the ``seq`` of the last call
        that the caller has already. It reads a page at a time, so that it takes no more memory and
        holds up nobody, however many calls there are.
        """
        for row in self._pages(where, after):
            after = row.seq
            yield row
        # What is not in the database yet has numbers that mean nothing to the next query.
        condition, said = where.where()
        rest = [
            (f"SELECT * FROM ({DATABASE.ended}) WHERE seq > :after AND {condition} ORDER BY seq")
        ]
        rest.append(f"SELECT * FROM ({WAITING.ended}) WHERE {condition} ORDER BY seq")
        if unended:
            open_calls = (DATABASE.unended, WAITING.unended)
            rest += (
                f"SELECT * FROM ({each}) WHERE {condition} ORDER BY seq" for each in open_calls
            )
        with self._snapshot():
            rows = [row for sql in rest for row in self._drained(sql, **said, after=after)]
        calls = (self._call(row, {}) for row in rows)
        yield from (call for call in calls if call.duration_us is not None or where.takes(call))

    def _pages(self, where: CallFilter, after: int) -> Iterator[CallRecord]:
        condition, said = where.where()
        page = (
            f"SELECT * FROM ({DATABASE.ended}) WHERE seq > :after AND {condition} "
            f"ORDER BY seq LIMIT {_PAGE}"
        )
        while rows := self._drained(page, **said, after=after):
            yield from (self._call(row, {}) for row in rows)
            after = rows[-1]["seq"]

    def _open(self, where: CallFilter = EVERYTHING) -> list[CallRecord]:
        return self._calls(where, among=_UNENDED)

    def total(self, where: CallFilter = EVERYTHING) -> int:
        """Return how many calls :meth:`stream` will yield, in flight or not."""
        condition, said = where.where()
        counts = [f"SELECT count(*) AS n FROM ({each}) WHERE {condition}" for each in EVERY]
        with self._snapshot():
            return sum(self._drained(sql, **said)[0]["n"] for sql in counts)

    def latest(self, where: CallFilter = EVERYTHING, *, limit: int = 10) -> list[CallRecord]:
        """Return the calls that *where* takes and that ended last, in the order of their ends."""
        condition, said = where.where()
        rows: list[sqlite3.Row] = []
        with self._snapshot():
            for place in (WAITING, DATABASE):
                newest = f"SELECT * FROM ({place.ended}) WHERE {condition} ORDER BY seq DESC"
                left = limit - len(rows)
                rows += self._drained(f"{newest} LIMIT :limit", **said, limit=left)
        return [self._call(row, {}) for row in reversed(rows)]

    def tally(self, since_ns: int) -> Tally:
        """Count the calls that began at *since_ns* or later, in flight or not, in one pass.

        By run, plugin and its edition: how many there are, and how many failed by its own fault.
        """
        found: Tally = {}
        with self._snapshot():
            for each in EVERY:
                for *key, calls, failures in self._drained(_TALLY % each, since_ns=since_ns):
                    before = found.get(place := (key[0], key[1], key[2]), (0, 0))
                    found[place] = (before[0] + calls, before[1] + failures)
        return found

    def newest(self) -> int:
        """Return the ``seq`` of the call that ended last of those in the database, or 0."""
        return int(self._drained("SELECT ifnull(max(seq), 0) AS n FROM main.calls")[0]["n"])

    def statistics(self, where: CallFilter = EVERYTHING) -> Statistics:
        """Return how long the calls that *where* takes took, and how they failed."""
        stacks = {run.run_id: run.stack for run in self.runs(where.run_id)}
        return summary(self.stream(where), stacks=stacks)

    def compare(self, left: str, right: str) -> Comparison:
        """Say which calls of two runs differ, and in what.

        Raises:
            AuditError: when there is no such run.
        """
        for run_id in (left, right):
            if not self.runs(run_id):
                raise AuditError(
                    f"no run {run_id!r} in the audit log; `nxkernel audit runs DATA_DIR` lists them"
                )
        sides = (self.stream(CallFilter(run_id=run_id)) for run_id in (left, right))
        return compare(*sides)

    def interrupted(self, run_id: str | None = None) -> list[CallRecord]:
        """Return the calls whose kernel ended before they did."""
        rows = self._open(CallFilter(run_id=run_id))
        return [row for row in rows if row.status == "interrupted"]

    def show(self, run_id: str, call_id: str) -> CallTree:
        """Return a call with the calls that it asked for, to any depth.

        Of several runs of that name, the newest that has the call.

        Raises:
            AuditError: when there is no such call.
        """
        with self._snapshot():  # the numbers of runs are those of one snapshot
            for run in reversed(self.runs(run_id)):
                if rows := self._calls(
                    also="run = :run AND call_id = :call_id", run=run.seq, call_id=call_id
                ):
                    return _tree(call_id, rows, self._descendants(run.seq, call_id))
        raise AuditError(
            f"no call {call_id!r} in run {run_id!r}; list them with `nxkernel audit calls DATA_DIR`"
        )

    def events(self, run_id: str | None = None, kind: str | None = None) -> list[EventRecord]:
        """Return what happened beside the calls, oldest first."""
        return [_event(row) for row in self._query(EVENTS, run_id=run_id, kind=kind)]

    def _descendants(self, run: int, call_id: str) -> dict[str | None, list[CallRecord]]:
        """Return the rows below a call, by parent; one query for each level of nesting."""
        found: dict[str | None, list[CallRecord]] = {}
        parents = {call_id}
        while parents:
            below = "run = :run AND parent IN (SELECT value FROM json_each(:parents))"
            rows = self._calls(also=below, run=run, parents=json.dumps(sorted(parents)))
            for row in rows:
                found.setdefault(row.parent, []).append(row)
            parents = {row.call_id for row in rows} - found.keys()
        return found

    def _calls(
        self,
        where: CallFilter = EVERYTHING,
        *,
        among: Sequence[str] = EVERY,
        also: str = "1",
        limit: int = -1,
        **bound: Any,
    ) -> list[CallRecord]:
        """Return calls in the order in which they began, the newest *limit* unless it is -1."""
        condition, said = where.where()
        condition += f" AND {also}"
        rows: list[sqlite3.Row] = []
        with self._snapshot():
            for calls in among:
                sql = f"SELECT * FROM ({calls}) WHERE {condition}"
                if limit >= 0:  # only the newest are put together, with their names
                    newest = f"SELECT seq FROM ({calls}) WHERE {condition}"
                    order = "ORDER BY began DESC, seq DESC LIMIT :limit"
                    sql = f"SELECT * FROM ({calls}) WHERE seq IN ({newest} {order})"
                rows += self._drained(sql, **said, **bound, limit=limit)
        rows.sort(key=lambda row: (row["began"], row["seq"]))
        living: dict[int, bool] = {}
        kept = rows if limit < 0 else rows[max(0, len(rows) - limit) :]
        return [self._call(row, living) for row in kept]

    def _call(self, row: sqlite3.Row, living: dict[int, bool]) -> CallRecord:
        facts: dict[str, Any] = dict(zip(CALL, row, strict=True))
        run, ok, _, started_ns = (facts.pop(name) for name in _BESIDE)
        facts["historic"] = bool(facts["historic"])
        for name in ("details", "key", "stack_us"):
            if (text := facts[name]) is not None:
                facts[name] = _json(text)
        if ok is not None:
            return CallRecord(status="ok" if ok else "error", **facts)
        if (lives := living.get(run)) is None:
            lives = alive(self.path, facts["run_id"], started_ns)
            living[run] = lives
        return CallRecord(status="in_flight" if lives else "interrupted", **facts)

    def _run(self, row: sqlite3.Row) -> RunRecord:
        facts = _facts(row)
        for name in ("seed", "environment"):
            facts[name] = _json(row[name])
        facts["stack"] = tuple(_json(row["stack"]) or ())
        if row["status"] is None:
            lives = alive(self.path, row["run_id"], row["started_ns"])
            facts["status"] = "running" if lives else "interrupted"
        return RunRecord(**facts)

    def waiting(self) -> int:
        """Return how many rows are on record and not yet in the database, where they are hashed.

        Raises:
            AuditError: when they cannot be read.
        """
        with self._snapshot():
            return self._pending.count()

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Let the queries of the body see one state of all that is on record."""
        try:
            with self._pending.snapshot():
                yield
        except (sqlite3.Error, OSError) as error:
            raise cannot("read", self.path, error) from error

    def _query(self, sql: str, **bound: Any) -> list[sqlite3.Row]:
        """Ask all that is on record."""
        with self._snapshot():
            return self._drained(sql, **bound)

    def _drained(self, sql: str, **bound: Any) -> list[sqlite3.Row]:
        """Ask, outside of a snapshot for what the database has now."""
        try:
            return self._connection.execute(sql, bound).fetchall()
        except sqlite3.Error as error:
            raise cannot("read", self.path, error) from error


def _tree(
    call_id: str, rows: list[CallRecord], below: dict[str | None, list[CallRecord]]
) -> CallTree:
    children: dict[str, list[CallRecord]] = {}
    for row in below.pop(call_id, ()):  # popped: an edited log may say that a call is its own child
        children.setdefault(row.call_id, []).append(row)
    trees = tuple(_tree(child, found, below) for child, found in children.items())
    return CallTree(call_id=call_id, rows=tuple(rows), children=trees)


def _facts(row: sqlite3.Row, *without: str) -> dict[str, Any]:
    return {name: row[name] for name in row.keys() if name not in without}  # noqa: SIM118


def _json(text: Any) -> Any:
    """Parse JSON of a row; text that somebody edited is shown as it is."""
    with suppress(ValueError, TypeError):
        return json.loads(text)
    return text


def _plugin(row: sqlite3.Row) -> PluginRecord:
    facts = _facts(row, "run")
    for name in ("tags", "provides", "requires"):
        facts[name] = tuple(_json(row[name]) or ())
    for name in ("grants", "permissions"):
        facts[name] = _json(row[name])
    return PluginRecord(**facts)


def _event(row: sqlite3.Row) -> EventRecord:
    return EventRecord(**{**_facts(row), "data": _json(row["data"])})
