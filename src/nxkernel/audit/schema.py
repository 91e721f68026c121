"""Tables, columns and triggers of the audit log, format version 1."""

from __future__ import annotations

import attrs

from nxkernel._once import once
from nxkernel._sqlite import Format, Migration, append_only

__all__ = ["FORMAT", "FORMAT_VERSION", "TABLES", "Column", "Table"]

#: Version of tables, row encoding and chain together.
FORMAT_VERSION = 1


@attrs.frozen
class Column:
    """One column of facts."""

    name: str
    #: ``INTEGER`` or ``TEXT``; nothing else is stored but NULL.
    type: str
    meaning: str
    null: bool = False


@attrs.define(frozen=True, slots=False)
class Table:
    """One kind of row.

    Before its facts every row has ``seq``, its number in the log over all tables, ``prev``, the
    digest of the row before, and ``digest``, its own.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @once
    def names(self) -> tuple[str, ...]:
        """Names of the columns of facts, in the order in which they are hashed."""
        return tuple(column.name for column in self.columns)

    @once
    def create(self) -> str:
        """The CREATE TABLE statement, as the database records it."""
        facts = ", ".join(
            f"{c.name} {c.type}" + ("" if c.null else " NOT NULL") for c in self.columns
        )
        return (
            f"CREATE TABLE {self.name} "
            f"(seq INTEGER PRIMARY KEY, prev BLOB NOT NULL, digest BLOB NOT NULL, {facts})"
        )

    @once
    def guards(self) -> tuple[str, ...]:
        """The triggers that let rows in at the end and nothing else."""
        # The first accepts the next number of the whole log and no other. It closes INSERT OR
        # REPLACE, which deletes without firing a DELETE trigger.
        append = (
            f"CREATE TRIGGER {self.name}_append BEFORE INSERT ON {self.name} "
            f"WHEN NEW.seq IS NOT max({_LAST}) + 1 "
            f"BEGIN SELECT RAISE(ABORT, '{self.name} is append-only'); END"
        )
        return (append, *append_only(self.name))

    @once
    def insert(self) -> str:
        """The INSERT statement for ``(seq, prev, digest, *facts)``."""
        names = ", ".join(("seq", "prev", "digest", *self.names))
        marks = ", ".join("?" * (3 + len(self.columns)))
        return f"INSERT INTO {self.name} ({names}) VALUES ({marks})"

    @once
    def select(self) -> str:
        """The SELECT statement for ``(seq, prev, digest, *facts)`` of all rows in order."""
        names = ", ".join(("seq", "prev", "digest", *self.names))
        return f"SELECT {names} FROM {self.name} ORDER BY seq"


_RUN = Column("run", "INTEGER", "seq of the run's row in runs")
_AT = Column("at_ns", "INTEGER", "when, in nanoseconds since the Unix epoch")
_JSON = "JSON text, keys sorted"

RUNS = Table(
    "runs",
    "A kernel that was booted: the header of everything it recorded.",
    (
        Column("run_id", "TEXT", "name of the run"),
        Column("kernel", "TEXT", "version of nxkernel"),
        Column("started_ns", "INTEGER", "when, in nanoseconds since the Unix epoch"),
        Column("seed", "TEXT", "the run's seed as JSON: a number or a string"),
        Column("python", "TEXT", "version of the host's interpreter"),
        Column("platform", "TEXT", "operating system, its version and the machine's architecture"),
        Column("level", "TEXT", "sandbox level that workers start at"),
        Column("stack", "TEXT", "names of the middlewares, outermost first, as a JSON list"),
        Column("lock_digest", "TEXT", "digest of the lockfile", null=True),
        Column("settings_digest", "TEXT", "digest of the kernel's settings", null=True),
        Column("policy_digest", "TEXT", "digest of the policy's rules", null=True),
        Column("environment", "TEXT", f"what else identifies the surroundings, {_JSON}"),
    ),
)
PLUGINS = Table(
    "plugins",
    "A plugin as it took part in a run; the newest row of a plugin in a run counts.",
    (
        _RUN,
        _AT,
        Column("plugin", "TEXT", "id of the plugin"),
        Column("version", "TEXT", "its version"),
        Column("code_digest", "TEXT", "digest over every file that runs"),
        Column("settings_digest", "TEXT", "digest of its effective settings, secrets masked"),
        Column("tags", "TEXT", "its tags, as a JSON list"),
        Column("provides", "TEXT", "capabilities that it provides, as a JSON list"),
        Column("requires", "TEXT", "hooks and capabilities that it asks for, as a JSON list"),
        Column("grants", "TEXT", f"what the application allows it, {_JSON}"),
        Column("level", "TEXT", "sandbox level of its worker"),
        Column("disabled", "TEXT", "why it does not run", null=True),
    ),
)
_CALL = (
    _RUN,
    Column("call_id", "TEXT", "hierarchical id within the run: 7, or 7.2 brokered by call 7"),
    Column("plugin", "TEXT", "id of the plugin that is asked"),
    Column("impl", "TEXT", "name of the hookimpl in the plugin"),
    Column("hook", "TEXT", "name of the hook"),
    Column("phase", "TEXT", "call, or setup and teardown of a wrapper"),
    Column("parent", "TEXT", "call_id of the call that asked for this one", null=True),
    Column("caller", "TEXT", "id of the plugin that asked; NULL is the application", null=True),
    Column("depth", "INTEGER", "0 for calls of the application, 1 more for each brokered call"),
    Column("attempt", "INTEGER", "which try of the call, from 1"),
    Column("historic", "INTEGER", "1 for a call that is replayed into a new worker, else 0"),
    Column("level", "TEXT", "sandbox level of the worker; host for the embedder's own code"),
    Column("started_ns", "INTEGER", "when, in nanoseconds since the Unix epoch"),
    Column("input_digest", "TEXT", "digest of the canonical bytes of the arguments"),
    Column("input_bytes", "INTEGER", "their size"),
)
INTENTS = Table("intents", "A call that is about to be made: on record before its worker.", _CALL)
CALLS = Table(
    "calls",
    "A call that ended, with its value or with an error.",
    (
        *_CALL,
        Column("duration_us", "INTEGER", "microseconds within the audited part of the stack"),
        Column("queue_us", "INTEGER", "microseconds of waiting for the worker"),
        Column("transport_us", "INTEGER", "microseconds from first byte sent to last received"),
        Column("plugin_us", "INTEGER", "microseconds inside the plugin's function"),
        Column("output_digest", "TEXT", "digest of the bytes that the worker sent", null=True),
        Column("output_bytes", "INTEGER", "their size"),
        Column("seed", "TEXT", "the call key of the seed tree, in hex", null=True),
        Column("ok", "INTEGER", "1 with a value, 0 with an error"),
        Column("error_code", "TEXT", "stable code of the error", null=True),
        Column("fault", "TEXT", "who is to blame: caller, plugin or host", null=True),
        Column("origin", "TEXT", "plugin where a failure of a nested call began", null=True),
        Column(
            "details",
            "TEXT",
            f"facts of the error or of what was dropped, never a value, {_JSON}",
            null=True,
        ),
        Column("intent_seq", "INTEGER", "seq of its intent; NULL if that was lost", null=True),
    ),
)
EVENTS = Table(
    "events",
    "Something that happened beside the calls.",
    (
        _RUN,
        _AT,
        Column("kind", "TEXT", "breaker.open, worker.exit, policy.decision ..."),
        Column("plugin", "TEXT", "id of the plugin that it concerns, or empty"),
        Column("data", "TEXT", f"facts, {_JSON}"),
    ),
)
RUN_ENDS = Table(
    "run_ends",
    "A run that was closed in order.",
    (
        _RUN,
        Column("ended_ns", "INTEGER", "when, in nanoseconds since the Unix epoch"),
        Column("status", "TEXT", "how it ended: completed or failed"),
        Column("checkpoint", "TEXT", "checkpoint of the log just before this row"),
    ),
)

#: In the order in which they are created.
TABLES = (RUNS, PLUGINS, INTENTS, CALLS, EVENTS, RUN_ENDS)
_LAST = ", ".join(f"ifnull((SELECT max(seq) FROM {table.name}), 0)" for table in TABLES)

_STATEMENTS = (
    *(table.create for table in TABLES),
    *(guard for table in TABLES for guard in table.guards),
)

FORMAT = Format(
    noun="an audit log",
    application_id=0x6E784175,  # "nxAu"
    migrations=(Migration("1-audit", _STATEMENTS),),
)

#: The head of the log: number and digest of its newest row, or no row at all.
HEAD = (
    "SELECT seq, digest FROM ("
    + " UNION ALL ".join(
        f"SELECT seq, digest FROM {t.name} WHERE seq = (SELECT max(seq) FROM {t.name})"
        for t in TABLES
    )
    + ") ORDER BY seq DESC LIMIT 1"
)
