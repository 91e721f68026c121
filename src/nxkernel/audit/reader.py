"""Queries over an audit log, while its kernel writes or long after."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from nxkernel._sqlite import open_reader
from nxkernel.audit.comparison import Comparison, compare
from nxkernel.audit.failure import cannot, shown
from nxkernel.audit.filters import EVERYTHING, CallFilter
from nxkernel.audit.liveness import alive
from nxkernel.audit.pending import with_pending
from nxkernel.audit.records import (
    CallRecord,
    CallTree,
    EventRecord,
    PluginRecord,
    RunRecord,
)
from nxkernel.audit.schema import CALLS, FORMAT, HAPPENINGS, INTENTS, PLUGINS, RUNS
from nxkernel.audit.statistics import Statistics, summary
from nxkernel.audit.verification import Problem, VerifyReport, verify
from nxkernel.errors import AuditError

__all__ = ["AuditReader", "Problem", "VerifyReport", "verify"]


def _columns(table: str, names: Iterable[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


_RUNS = f"""
SELECT runs.seq, {_columns("runs", RUNS.names)}, ends.status, ends.ended_ns,
    ifnull(sums.calls, 0) AS calls, ifnull(sums.errors, 0) AS errors
FROM runs_text AS runs
LEFT JOIN (SELECT run, status, ended_ns FROM run_ends_text) AS ends ON ends.run = runs.seq
LEFT JOIN (SELECT run, count(*) AS calls, sum(ok = 0) AS errors FROM calls GROUP BY run) AS sums
    ON sums.run = runs.seq
WHERE :run_id IS NULL OR runs.run_id = :run_id
ORDER BY runs.seq
"""
_PLUGINS = f"""
SELECT plugins.seq, runs.run_id, {_columns("plugins", PLUGINS.names)}
FROM plugins_text AS plugins JOIN runs ON runs.seq = plugins.run
WHERE :run_id IS NULL OR runs.run_id = :run_id
ORDER BY plugins.seq
"""
_EVENTS = f"""
SELECT every.seq, runs.run_id, every.at_ns, every.kind, every.plugin, every.data FROM (
    {" UNION ALL ".join(f"SELECT * FROM {table.name}_text" for table in HAPPENINGS)}
) AS every JOIN runs ON runs.seq = every.run
WHERE (:run_id IS NULL OR runs.run_id = :run_id) AND (:kind IS NULL OR every.kind = :kind)
ORDER BY every.seq
"""
_NO_END = ", ".join(f"NULL AS {name}" for name in CALLS.names[len(INTENTS.names) :])
_RUN_OF = "runs.run_id, runs.started_ns AS run_started_ns"
_ENDED = f"""
SELECT calls.seq, {_columns("calls", CALLS.names)}, calls.started_ns AS began,
    {_RUN_OF}
FROM calls_text AS calls JOIN runs ON runs.seq = calls.run
"""
_OPEN = f"""
SELECT intents.seq, {_columns("intents", INTENTS.names)}, {_NO_END},
    intents.started_ns AS began, {_RUN_OF}
FROM intents_text AS intents JOIN runs ON runs.seq = intents.run
WHERE intents.seq NOT IN (SELECT intent_seq FROM calls WHERE intent_seq IS NOT NULL)
"""
_EVERY = f"{_ENDED} UNION ALL {_OPEN}"
#: The columns of these, by place: a name for each of a million rows would cost more than the rest.
_CALL = ("seq", *CALLS.names, "began", "run_id", "run_started_ns")
#: Those that are no field of a record.
_BESIDE = ("run", "ok", "began", "run_started_ns")
#: Calls that are read in one transaction: a long one would keep the log's own files from shrinking.
_PAGE = 2000


class AuditReader:
    """Reads the log at *path*; it never writes, and holds up no writer.

    Raises:
        AuditError: when the file is missing or no audit log; and from every method, when reading
            fails.
    """

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
        except sqlite3.Error as error:
            raise cannot("read", self.path, error) from error
        self._connection.row_factory = sqlite3.Row

    def __enter__(self) -> AuditReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def runs(self, run_id: str | None = None) -> list[RunRecord]:
        """Return the runs, oldest first."""
        return [self._run(row) for row in self._query(_RUNS, run_id=run_id)]

    def plugins(self, run_id: str | None = None) -> list[PluginRecord]:
        """Return how plugins took part; the newest record of a plugin in a run counts."""
        return [_plugin(row) for row in self._query(_PLUGINS, run_id=run_id)]

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
        rest = self._query(
            f"SELECT * FROM ({_EVERY if unended else _ENDED}) "
            f"WHERE (ok IS NULL OR seq > :after) AND {condition} ORDER BY ok IS NULL, seq",
            **said,
            after=after,
        )
        calls = (self._call(row, {}) for row in rest)
        yield from (call for call in calls if call.duration_us is not None or where.takes(call))

    def _pages(self, where: CallFilter, after: int) -> Iterator[CallRecord]:
        condition, said = where.where()
        page = (
            f"SELECT * FROM ({_ENDED}) WHERE seq > :after AND {condition} "
            f"ORDER BY seq LIMIT {_PAGE}"
        )
        while rows := self._drained(page, **said, after=after):
            yield from (self._call(row, {}) for row in rows)
            after = rows[-1]["seq"]

    def _open(self, where: CallFilter = EVERYTHING) -> list[CallRecord]:
        return self._calls(where, among=_OPEN)

    def total(self, where: CallFilter = EVERYTHING) -> int:
        """Return how many calls :meth:`stream` will yield, in flight or not."""
        condition, said = where.where()
        rows = self._query(f"SELECT count(*) AS n FROM ({_EVERY}) WHERE {condition}", **said)
        return int(rows[0]["n"])

    def latest(self, where: CallFilter = EVERYTHING, *, limit: int = 10) -> list[CallRecord]:
        """Return the calls that *where* takes and that ended last, in the order of their ends."""
        condition, said = where.where()
        rows = self._query(
            f"SELECT * FROM ({_ENDED}) WHERE {condition} ORDER BY seq DESC LIMIT :limit",
            **said,
            limit=limit,
        )
        return [self._call(row, {}) for row in reversed(rows)]

    def newest(self) -> int:
        """Return the ``seq`` of the call that ended last of those in the database, or 0."""
        return int(self._drained("SELECT ifnull(max(seq), 0) AS n FROM calls")[0]["n"])

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
        return [_event(row) for row in self._query(_EVENTS, run_id=run_id, kind=kind)]

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
        among: str = _EVERY,
        also: str = "1",
        limit: int = -1,
        **bound: Any,
    ) -> list[CallRecord]:
        """Return calls in the order in which they began."""
        condition, said = where.where()
        rows = self._query(
            f"SELECT * FROM ({among}) WHERE {condition} AND {also} "
            "ORDER BY began DESC, seq DESC LIMIT :limit",
            **said,
            **bound,
            limit=limit,
        )
        living: dict[int, bool] = {}
        return [self._call(row, living) for row in reversed(rows)]

    def _call(self, row: sqlite3.Row, living: dict[int, bool]) -> CallRecord:
        facts: dict[str, Any] = dict(zip(_CALL, row, strict=True))
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
        try:
            with with_pending(self._connection, self.path) as count:
                return count
        except (sqlite3.Error, OSError) as error:
            raise cannot("read", self.path, error) from error

    def _query(self, sql: str, **bound: Any) -> list[sqlite3.Row]:
        """Ask all that is on record."""
        try:
            with with_pending(self._connection, self.path):
                return self._drained(sql, **bound)
        except (sqlite3.Error, OSError) as error:
            raise cannot("read", self.path, error) from error

    def _drained(self, sql: str, **bound: Any) -> list[sqlite3.Row]:
        """Ask the database alone."""
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
