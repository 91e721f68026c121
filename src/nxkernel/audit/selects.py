"""The questions of a reader in SQL: of the database, of what waits beside it, or of both.

Calls are asked for in each of the two on its own. Over both at once SQLite would put together every
row of a log, with all its names, before it looks at the first condition.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from nxkernel.audit.schema import CALLS, HAPPENINGS, INTENTS, PLUGINS, RUNS

__all__ = ["CALL", "DATABASE", "EVENTS", "PLUGINS_OF", "RUNS_OF", "WAITING", "Place"]


def _columns(table: str, names: Iterable[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


_SUMS = """
SELECT run, sum(calls) AS calls, sum(errors) AS errors FROM (
    SELECT run, count(*) AS calls, sum(ok = 0) AS errors FROM main.calls GROUP BY run
    UNION ALL
    SELECT run, count(*) AS calls, sum(ok = 0) AS errors FROM temp.waiting_calls GROUP BY run
) GROUP BY run
"""
RUNS_OF = f"""
SELECT runs.seq, {_columns("runs", RUNS.names)}, ends.status, ends.ended_ns,
    ifnull(sums.calls, 0) AS calls, ifnull(sums.errors, 0) AS errors
FROM every_runs AS runs
LEFT JOIN (SELECT run, status, ended_ns FROM every_run_ends) AS ends ON ends.run = runs.seq
LEFT JOIN ({_SUMS}) AS sums ON sums.run = runs.seq
WHERE :run_id IS NULL OR runs.run_id = :run_id
ORDER BY runs.seq
"""
PLUGINS_OF = f"""
SELECT plugins.seq, runs.run_id, {_columns("plugins", PLUGINS.names)}
FROM every_plugins AS plugins JOIN every_runs AS runs ON runs.seq = plugins.run
WHERE :run_id IS NULL OR runs.run_id = :run_id
ORDER BY plugins.seq
"""
_HAPPENINGS = " UNION ALL ".join(
    f"SELECT seq, run, at_ns, kind, plugin, data FROM every_{table.name}" for table in HAPPENINGS
)
EVENTS = f"""
SELECT every.seq, runs.run_id, every.at_ns, every.kind, every.plugin, every.data
FROM ({_HAPPENINGS}) AS every JOIN every_runs AS runs ON runs.seq = every.run
WHERE (:run_id IS NULL OR runs.run_id = :run_id) AND (:kind IS NULL OR every.kind = :kind)
ORDER BY every.seq
"""

#: The columns of a call, by place: a name for each of a million rows would cost more than the rest.
CALL = ("seq", *CALLS.names, "began", "run_id", "run_started_ns")
_RUN_OF = "runs.run_id, runs.started_ns AS run_started_ns"
_NO_END = ", ".join(f"NULL AS {name}" for name in CALLS.names[len(INTENTS.names) :])
_NO_CALL = (
    "WHERE intents.seq NOT IN (SELECT intent_seq FROM main.calls WHERE intent_seq IS NOT NULL)"
)


@attrs.frozen
class Place:
    """Calls in one of the two places, with the columns :data:`CALL`."""

    ended: str
    unended: str

    @classmethod
    def of(cls, calls: str, intents: str, runs: str, condition: str) -> Place:
        """Return the two SELECT statements over these tables."""
        return cls(
            f"SELECT calls.seq, {_columns('calls', CALLS.names)}, calls.started_ns AS began, "
            f"{_RUN_OF} FROM {calls} AS calls JOIN {runs} AS runs ON runs.seq = calls.run",
            f"SELECT intents.seq, {_columns('intents', INTENTS.names)}, {_NO_END}, "
            f"intents.started_ns AS began, {_RUN_OF} "
            f"FROM {intents} AS intents JOIN {runs} AS runs ON runs.seq = intents.run {condition}",
        )


DATABASE = Place.of("main.calls_text", "main.intents_text", "main.runs", _NO_CALL)
WAITING = Place.of("temp.waiting_calls", "temp.waiting_intents", "temp.every_runs", "")
