"""Calls, outcomes and boot facts as rows: values in the order of the columns of their table."""

from __future__ import annotations

import json
from typing import Any

import attrs

from nxkernel.audit.facts import dropped_details, error_details, text_of
from nxkernel.dispatch.stack import BootFacts, Event, PluginFacts
from nxkernel.types import Call, Outcome

__all__ = ["Facts", "call_facts", "event_facts", "intent_facts", "plugin_facts", "run_facts"]

#: Values of one row, without ``seq``, ``prev`` and ``digest``.
Facts = tuple[int | str | None, ...]

#: Keys of ``BootFacts.header`` that have a column; all others go to ``environment``.
_HEADER = frozenset(
    {
        "environment",
        "kernel",
        "level",
        "lock_digest",
        "platform",
        "policy_digest",
        "python",
        "settings_digest",
        "stack",
    }
)


def run_facts(facts: BootFacts, started_ns: int) -> Facts:
    """Return the row of ``runs``."""
    header = facts.header
    others = {key: header[key] for key in header if key not in _HEADER}
    return (
        facts.run_id,
        str(header.get("kernel", "")),
        started_ns,
        json.dumps(facts.seed),
        str(header.get("python", "")),
        str(header.get("platform", "")),
        str(header.get("level", "")),
        text_of(list(header.get("stack", ()))),
        header.get("lock_digest"),
        header.get("settings_digest"),
        header.get("policy_digest"),
        text_of({**others, **header.get("environment", {})}),
    )


def plugin_facts(run: int, facts: PluginFacts, disabled: str | None, at_ns: int) -> Facts:
    """Return the row of ``plugins``."""
    return (
        run,
        at_ns,
        facts.id,
        facts.version,
        facts.code_digest,
        facts.settings.digest,
        text_of(sorted(facts.tags)),
        text_of(sorted(facts.provides)),
        text_of(sorted(facts.requires)),
        text_of(attrs.asdict(facts.grant)),
        facts.level,
        disabled,
    )


def intent_facts(run: int, call: Call, started_ns: int) -> Facts:
    """Return the row of ``intents``, which is also how the row of ``calls`` begins."""
    return (
        run,
        call.call_id,
        call.plugin,
        call.impl,
        call.hook,
        call.phase,
        call.parent,
        call.caller,
        call.depth,
        call.attempt,
        int(call.historic),
        call.level,
        started_ns,
        call.input_digest,
        len(call.payload),
    )


def call_facts(intent: Facts, outcome: Outcome, duration_us: int, intent_seq: int | None) -> Facts:
    """Return the row of ``calls`` for the call that *intent* describes."""
    timing, error = outcome.timing, outcome.error
    return (
        *intent,
        duration_us,
        timing.queue_us,
        timing.transport_us,
        timing.plugin_us,
        outcome.output_digest,
        outcome.output_bytes,
        _hex(outcome.annotations.get("seed")),
        int(error is None),
        error.code if error else None,
        outcome.fault,
        outcome.origin,
        _details(outcome),
        intent_seq,
    )


def _details(outcome: Outcome) -> str | None:
    if outcome.error is not None:
        return error_details(outcome.error.details)
    return dropped_details(outcome.diagnostics, outcome.delivered_digest)


def _hex(seed: Any) -> str | None:
    if seed is None or isinstance(seed, str):
        return seed
    return bytes(seed).hex()


def event_facts(run: int, event: Event, at_ns: int) -> Facts:
    """Return the row of ``events``."""
    return (run, at_ns, event.kind, event.plugin, text_of(event.data))
