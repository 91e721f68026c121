"""What the reader returns: rows of the log as frozen values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

__all__ = [
    "CallRecord",
    "CallStatus",
    "CallTree",
    "EventRecord",
    "PluginRecord",
    "RunRecord",
    "RunStatus",
]

#: ``in_flight``: its kernel lives and has not answered yet. ``interrupted``: its kernel ended
#: before the call did; whether the plugin was reached, nobody knows.
CallStatus = Literal["ok", "error", "in_flight", "interrupted"]
#: ``completed`` and ``failed`` were said by the run; the other two are seen from outside.
RunStatus = Literal["completed", "failed", "running", "interrupted"]


@attrs.frozen(kw_only=True)
class RunRecord:
    """The header of a run, and how it ended."""

    seq: int
    run_id: str
    kernel: str
    started_ns: int
    seed: int | str
    python: str
    platform: str
    level: str
    stack: tuple[str, ...]
    #: Digests over ids, versions and grants of the plugins, over their code, settings, contracts.
    plugins_digest: str
    code_digest: str
    settings_digest: str
    contracts_digest: str
    lock_digest: str | None
    policy_digest: str | None
    environment_digest: str
    environment: Mapping[str, Any]
    #: Number of the run's first row, for a run that was under way when its file was sealed.
    continues: int | None
    status: RunStatus
    ended_ns: int | None
    #: Calls that ended, and how many of them with an error.
    calls: int
    errors: int


@attrs.frozen(kw_only=True)
class PluginRecord:
    """How a plugin took part in a run."""

    seq: int
    run_id: str
    at_ns: int
    plugin: str
    #: Counts its reloads, from 1.
    edition: int
    version: str
    code_digest: str
    settings_digest: str
    tags: tuple[str, ...]
    provides: tuple[str, ...]
    requires: tuple[str, ...]
    #: What its manifest asks for, or None where that is unknown.
    permissions: Mapping[str, Any] | None
    grants: Mapping[str, Any]
    level: str
    #: Why it does not run, or None.
    disabled: str | None


@attrs.frozen(kw_only=True)
class CallRecord:
    """One call; what came after the intent is None while nothing came."""

    #: Number of the row of ``calls``, or of ``intents`` for a call without an end.
    seq: int
    run_id: str
    status: CallStatus
    call_id: str
    plugin: str
    edition: int = 1
    impl: str
    hook: str
    phase: str
    parent: str | None
    caller: str | None
    depth: int
    #: The logical id that the caller gave, or None.
    key: list[Any] | None = None
    attempt: int
    historic: bool
    level: str
    started_ns: int
    input_digest: str
    input_bytes: int
    #: Which worker of the plugin, from 1; None if the call reached none.
    instance: int | None = None
    #: Times in microseconds.
    duration_us: int | None = None
    queue_us: int | None = None
    transport_us: int | None = None
    plugin_us: int | None = None
    #: In each middleware that was entered, outermost first. Of the audit itself and of what stands
    #: around it, the way in.
    stack_us: list[int] | None = None
    #: Processor time, by the worker's word; None where nobody looked.
    cpu_us: int | None = None
    #: Most memory of the worker by the end of the call, in KiB; None for one that hardly computed.
    peak_kb: int | None = None
    #: As storage counted them; None if none did.
    rows_read: int | None = None
    rows_written: int | None = None
    output_digest: str | None = None
    output_bytes: int | None = None
    #: The call key, in hex.
    seed: str | None = None
    error_code: str | None = None
    fault: str | None = None
    origin: str | None = None
    details: Mapping[str, Any] | None = None
    intent_seq: int | None = None


@attrs.frozen(kw_only=True)
class CallTree:
    """All rows of one call id, and the calls that it asked for."""

    call_id: str
    #: One for each provider, phase and attempt, in the order of their intents.
    rows: tuple[CallRecord, ...]
    children: tuple[CallTree, ...] = ()

    def walk(self, level: int = 0) -> Iterator[tuple[int, CallRecord]]:
        """Yield every row with its distance from the top, parents first."""
        for row in self.rows:
            yield level, row
        for child in self.children:
            yield from child.walk(level + 1)


@attrs.frozen(kw_only=True)
class EventRecord:
    """Something that happened beside the calls."""

    seq: int
    run_id: str
    at_ns: int
    kind: str
    plugin: str
    data: Mapping[str, Any]
