"""The tables of the audit log, format version 2."""

from __future__ import annotations

from nxkernel._sqlite import Format, Migration
from nxkernel.audit.columns import Column, Facts, Table

__all__ = [
    "BATCHES",
    "CALLS",
    "DECISIONS",
    "EVALUATIONS",
    "EVENTS",
    "FAILURES",
    "FINDINGS",
    "FORMAT",
    "FORMAT_VERSION",
    "HAPPENINGS",
    "INTENTS",
    "NAMES",
    "PLUGINS",
    "RUNS",
    "RUN_ENDS",
    "SEALS",
    "SEGMENTS",
    "SPOOLED",
    "TABLES",
    "TRANSITIONS",
    "Facts",
    "Table",
    "table_of",
]

#: Version of tables, leaves and tree together.
FORMAT_VERSION = 2

_RUN = Column("run", "INTEGER", "seq of the run's row in runs")
_NS = "when, in nanoseconds since the Unix epoch"
_AT = Column("at_ns", "INTEGER", _NS)
_JSON = "JSON text, keys sorted"

SEGMENTS = Table(
    "segments",
    "How this file begins: the state of the log at the end of the file before it.",
    (
        Column("origin", "TEXT", "name of the log, over all its segments"),
        Column("version", "INTEGER", "version of the format"),
        Column("base", "INTEGER", "number of rows in the files before this one"),
        Column("frontier", "BLOB", "frontier of the tree over them"),
        Column("previous", "TEXT", "name of the file before this one", null=True),
        Column("at_ns", "INTEGER", _NS),
    ),
)
NAMES = Table(
    "names",
    "A name that rows refer to by the seq of this row; each file has its own.",
    (Column("name", "TEXT", "of a plugin, a hook, an error code ..."),),
)
RUNS = Table(
    "runs",
    "A kernel that was booted: the header of everything it recorded.",
    (
        Column("run_id", "TEXT", "name of the run"),
        Column("kernel", "TEXT", "version of nxkernel"),
        Column("started_ns", "INTEGER", _NS),
        Column("seed", "TEXT", "the run's seed as JSON: a number or a string"),
        Column("python", "TEXT", "version of the host's interpreter"),
        Column("platform", "TEXT", "operating system, its version and the machine's architecture"),
        Column("level", "NAME", "sandbox level that workers start at"),
        Column("stack", "TEXT", "names of the middlewares, outermost first, as a JSON list"),
        Column("plugins_digest", "DIGEST", "digest over ids, versions and grants of the plugins"),
        Column("code_digest", "DIGEST", "digest over the code digests of the plugins"),
        Column("settings_digest", "DIGEST", "digest over the settings of kernel and plugins"),
        Column("contracts_digest", "DIGEST", "digest over the contracts of the plugins"),
        Column("lock_digest", "DIGEST", "digest of the lockfile", null=True),
        Column("policy_digest", "DIGEST", "digest of the policy's rules", null=True),
        Column("environment_digest", "DIGEST", "digest over environment"),
        Column("environment", "TEXT", f"what else identifies the surroundings, {_JSON}"),
        Column(
            "continues",
            "INTEGER",
            "seq of the run's first row, in the file before; NULL for a run that begins",
            null=True,
        ),
    ),
)
PLUGINS = Table(
    "plugins",
    "A plugin as it took part in a run; the newest row of a plugin in a run counts.",
    (
        _RUN,
        _AT,
        Column("plugin", "NAME", "id of the plugin"),
        Column("edition", "INTEGER", "counts its reloads, from 1"),
        Column("version", "NAME", "its version"),
        Column("code_digest", "DIGEST", "digest over every file that runs"),
        Column("settings_digest", "DIGEST", "digest of its effective settings, secrets masked"),
        Column("tags", "TEXT", "its tags, as a JSON list"),
        Column("provides", "TEXT", "capabilities that it provides, as a JSON list"),
        Column("requires", "TEXT", "hooks and capabilities that it asks for, as a JSON list"),
        Column("permissions", "TEXT", f"what its manifest asks for, {_JSON}", null=True),
        Column("grants", "TEXT", f"what the application allows it, {_JSON}"),
        Column("level", "NAME", "sandbox level of its worker"),
        Column("disabled", "NAME", "why it does not run", null=True),
    ),
)
_CALL = (
    _RUN,
    Column("call_id", "TEXT", "hierarchical id within the run: 7, or 7.2 brokered by call 7"),
    Column("plugin", "NAME", "id of the plugin that is asked"),
    Column("edition", "INTEGER", "which edition of it"),
    Column("impl", "NAME", "name of the hookimpl in the plugin"),
    Column("hook", "NAME", "name of the hook"),
    Column("phase", "NAME", "call, or setup and teardown of a wrapper"),
    Column("parent", "TEXT", "call_id of the call that asked for this one", null=True),
    Column("caller", "NAME", "id of the plugin that asked; NULL is the application", null=True),
    Column("depth", "INTEGER", "0 for calls of the application, 1 more for each brokered call"),
    Column("key", "TEXT", "the logical id that the caller gave, as a JSON list", null=True),
    Column("attempt", "INTEGER", "which try of the call, from 1"),
    Column("historic", "INTEGER", "1 for a call that is replayed into a new worker, else 0"),
    Column("level", "NAME", "sandbox level of the worker; host for the embedder's own code"),
    Column("started_ns", "INTEGER", _NS),
    Column("input_digest", "DIGEST", "digest of the canonical bytes of the arguments"),
    Column("input_bytes", "INTEGER", "their size"),
)
INTENTS = Table("intents", "A call that is about to be made: on record before its worker.", _CALL)
CALLS = Table(
    "calls",
    "A call that ended, with its value or with an error.",
    (
        *_CALL,
        Column(
            "instance",
            "INTEGER",
            "which worker of the plugin, from 1; NULL if it reached none",
            null=True,
        ),
        Column("duration_us", "INTEGER", "microseconds within the audited part of the stack"),
        Column("queue_us", "INTEGER", "microseconds of waiting for the worker"),
        Column("transport_us", "INTEGER", "microseconds from first byte sent to last received"),
        Column("plugin_us", "INTEGER", "microseconds inside the plugin's function"),
        Column(
            "stack_us",
            "TEXT",
            "microseconds inside each middleware that it reached, as a JSON list",
            null=True,
        ),
        Column(
            "cpu_us", "INTEGER", "microseconds of processor time, by the worker's word", null=True
        ),
        Column(
            "peak_kb",
            "INTEGER",
            "most memory of the worker by its end, in KiB, by its word",
            null=True,
        ),
        Column(
            "rows_read",
            "INTEGER",
            "rows that storage read for the call; NULL if none counted",
            null=True,
        ),
        Column(
            "rows_written",
            "INTEGER",
            "rows that storage wrote for it; NULL if none counted",
            null=True,
        ),
        Column("output_digest", "DIGEST", "digest of the bytes that the worker sent", null=True),
        Column("output_bytes", "INTEGER", "their size"),
        Column("seed", "HEX", "the call key of the seed tree", null=True),
        Column("ok", "INTEGER", "1 with a value, 0 with an error"),
        Column("error_code", "NAME", "stable code of the error", null=True),
        Column("fault", "NAME", "who is to blame: caller, plugin or host", null=True),
        Column("origin", "NAME", "plugin where a failure of a nested call began", null=True),
        Column(
            "details",
            "TEXT",
            f"facts of the error or of what was dropped, never a value, {_JSON}",
            null=True,
        ),
        Column("intent_seq", "INTEGER", "seq of its intent; NULL if it has none", null=True),
    ),
)
_HAPPENING = (
    _RUN,
    _AT,
    Column("kind", "NAME", "what happened: breaker.open, worker.exit, policy.decision ..."),
    Column("plugin", "NAME", "id of the plugin that it concerns, or empty"),
    Column("hook", "NAME", "the hook that it concerns", null=True),
    Column("call_id", "TEXT", "the call that it concerns", null=True),
    Column("data", "TEXT", f"all facts, {_JSON}"),
)
FAILURES = Table(
    "failures", "A failure beside the calls, or a plugin that did not load.", _HAPPENING
)
TRANSITIONS = Table(
    "transitions", "A change of state of supervisor, breaker or governor.", _HAPPENING
)
DECISIONS = Table("decisions", "A decision of the policy.", _HAPPENING)
FINDINGS = Table("findings", "Something random, or dependent on the surroundings.", _HAPPENING)
EVALUATIONS = Table("evaluations", "A comparison or an evaluation of templates.", _HAPPENING)
EVENTS = Table("events", "Anything else that happened beside the calls.", _HAPPENING)
RUN_ENDS = Table(
    "run_ends",
    "A run that was closed in order.",
    (
        _RUN,
        Column("ended_ns", "INTEGER", _NS),
        Column("status", "NAME", "how it ended: completed or failed"),
        Column("checkpoint", "TEXT", "checkpoint of the log just before this row"),
    ),
)
SEALS = Table(
    "seals",
    "The end of this file: the log goes on in the next one.",
    (Column("at_ns", "INTEGER", _NS),),
)
BATCHES = Table(
    "batches",
    "Rows that were committed at once, and the tree over all rows before this one.",
    (
        Column("first", "INTEGER", "seq of the first row that this batch adds to the tree"),
        Column("at_ns", "INTEGER", _NS),
        Column("root", "BLOB", "root of the tree over all rows before this one"),
        Column("frontier", "BLOB", "its frontier"),
        Column("marks", "BLOB", "the first 4 bytes of the hash of each leaf from first on"),
        Column("spool", "TEXT", "name of the spool that the rows came from", null=True),
        Column("from_offset", "INTEGER", "where in the spool they begin", null=True),
        Column("to_offset", "INTEGER", "where they end", null=True),
        Column("ending", "TEXT", "how the spool ends: end, or torn:<bytes>:<sha256>", null=True),
    ),
    late=True,
)

#: What happened beside the calls, by what it is.
HAPPENINGS = (FAILURES, TRANSITIONS, DECISIONS, FINDINGS, EVALUATIONS, EVENTS)
#: In the order in which they are created.
TABLES = (
    SEGMENTS, NAMES, RUNS, PLUGINS, INTENTS, CALLS, *HAPPENINGS, RUN_ENDS, SEALS, BATCHES,
)  # fmt: skip

#: What a spool may hold rows of; those of the others the database makes itself.
SPOOLED = (RUNS, PLUGINS, INTENTS, CALLS, *HAPPENINGS, RUN_ENDS)

_TABLE_OF = {
    **dict.fromkeys(
        (
            "access.denied", "answer.rejected", "audit.gap", "plugin.disabled", "plugin.limit",
            "plugin.rejected", "worker.exit", "worker.unresponsive",
        ),
        FAILURES,
    ),
    **dict.fromkeys(
        (
            "plugin.added", "plugin.quarantined", "plugin.released", "plugin.reloaded",
            "plugin.removed", "worker.state",
        ),
        TRANSITIONS,
    ),
}  # fmt: skip
_TABLE_OF_GROUP = {
    "breaker": TRANSITIONS,
    "governor": TRANSITIONS,
    "policy": DECISIONS,
    "determinism": FINDINGS,
    "prompts": EVALUATIONS,
    "template": EVALUATIONS,
}


def table_of(kind: str) -> Table:
    """Return the table for something that happened, by its kind."""
    return _TABLE_OF.get(kind) or _TABLE_OF_GROUP.get(kind.partition(".")[0], EVENTS)


FORMAT = Format(
    noun="an audit log",
    application_id=0x6E784175,  # "nxAu"
    migrations=(
        Migration("2-audit", tuple(s for table in TABLES for s in table.statements)),
        # For whoever drains: up to where was a file taken? No part of what is verified.
        Migration(
            "3-spools",
            ("CREATE INDEX batches_of_spools ON batches (spool, seq) WHERE spool IS NOT NULL",),
        ),
    ),
    retired={"1-audit": "format version 1"},
)
