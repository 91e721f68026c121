"""Calls, outcomes and boot facts as rows: values in the order of the columns of their table.

Without ``run``, the first column of every table but ``runs``: only the database knows its number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs

from nxkernel._canonical import digest, encode
from nxkernel.audit.facts import dropped_details, error_details, stream_details, text_of
from nxkernel.audit.schema import Facts
from nxkernel.dispatch.stack import BootFacts, Event, PluginFacts
from nxkernel.types import Call, Outcome, Usage

__all__ = [
    "call_facts",
    "event_facts",
    "intent_facts",
    "key_text",
    "plugin_facts",
    "run_facts",
    "stack_us",
]

#: Domain of the digests over the facts of a header.
HEADER = b"nx.audit.header.v2\0"
#: Digest of no bytes: the code of a plugin that was not admitted was not read.
NO_CODE = "sha256:" + hashlib.sha256().hexdigest()
_UNKNOWN = Usage()
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
    environment = text_of({**others, **header.get("environment", {})})
    plugins = [facts.plugins[name] for name in sorted(facts.plugins)]
    return (
        facts.run_id,
        str(header.get("kernel", "")),
        started_ns,
        json.dumps(facts.seed),
        str(header.get("python", "")),
        str(header.get("platform", "")),
        str(header.get("level", "")),
        text_of(list(header.get("stack", ()))),
        _over("plugins", [[p.id, p.version, text_of(attrs.asdict(p.grant))] for p in plugins]),
        _over("code", [[p.id, p.code_digest] for p in plugins]),
        _over(
            "settings",
            [header.get("settings_digest"), *([p.id, p.settings.digest] for p in plugins)],
        ),
        _over(
            "contracts", [[p.id, json.dumps(_plain(p.contracts), sort_keys=True)] for p in plugins]
        ),
        header.get("lock_digest"),
        header.get("policy_digest"),
        _over("environment", environment),
        environment,
        None,
    )


def _over(what: str, value: Any) -> str:
    """Return the digest over *what* a header has."""
    return digest(encode([what, value]), HEADER)


def _plain(value: Any) -> Any:
    """Return mappings as dicts, all the way down."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def plugin_facts(facts: PluginFacts, disabled: str | None, at_ns: int) -> Facts:
    """Return the row of ``plugins``."""
    return (
        at_ns,
        facts.id,
        facts.edition,
        facts.version,
        facts.code_digest or NO_CODE,
        facts.settings.digest,
        text_of(sorted(facts.tags)),
        text_of(sorted(facts.provides)),
        text_of(sorted(facts.requires)),
        None if facts.asked is None else text_of(attrs.asdict(facts.asked)),
        text_of(attrs.asdict(facts.grant)),
        facts.level,
        disabled,
    )


def intent_facts(call: Call, started_ns: int) -> Facts:
    """Return the facts of a call in flight, with which its row in ``calls`` begins."""
    key = call.key
    # What stands for a key that nobody gave is the digest of the arguments, which is there anyway.
    raw = bytes.fromhex(call.input_digest[7:])
    plain = len(key) == 2 and key[0] == raw
    return (
        *_of_call(call),
        None if plain else key_text(key, raw),
        call.attempt,
        int(call.historic),
        call.level,
        started_ns,
        call.input_digest,
        len(call.payload),
    )


#: Where the facts of an intent have the call's id.
CALL_ID: Final = 0


def began_ns(before: Facts) -> int:
    """Return when the call began whose intent has the facts *before*: wall time in ns."""
    began = before[-3]
    assert isinstance(began, int), "as intent_facts() wrote it"
    return began


def call_facts(outcome: Outcome, duration_us: int, stack_ns: Sequence[int] = ()) -> Facts:
    """Return how the row of ``calls`` goes on after the facts of its intent.

    *stack_ns* is the time inside each middleware so far, outermost first.
    """
    timing, error = outcome.timing, outcome.error
    seed = outcome.annotations.get("seed")
    whole = error is None and outcome.items is None and not outcome.diagnostics
    return (
        timing.instance,
        duration_us,
        *_of_timing(timing),
        stack_us(stack_ns),
        *_of_usage(timing.used or _UNKNOWN),
        *_of_output(outcome),
        seed if type(seed) is str else _hex(seed),
        1 if error is None else 0,
        error.code if error else None,
        *_of_fault(outcome),
        None if whole else _details(outcome),
        None,
    )


# Written so that the interpreter has little to do for each: they are on the path of every call.
_of_call = attrgetter(
    "call_id", "plugin", "edition", "impl", "hook", "phase", "parent", "caller", "depth"
)
_of_timing = attrgetter("queue_us", "transport_us", "plugin_us")
_of_usage = attrgetter("cpu_us", "peak_kb", "rows_read", "rows_written")
_of_output = attrgetter("output_digest", "output_bytes")
_of_fault = attrgetter("fault", "origin")
# Nanoseconds as rounded microseconds.
_half_more, _thousandth = (500).__add__, (1000).__rfloordiv__


def stack_us(stack_ns: Sequence[int]) -> str | None:
    """Return the times inside the layers as their column has them; None for none."""
    if not stack_ns:
        return None
    return f"[{','.join(map(str, map(_thousandth, map(_half_more, stack_ns))))}]"


def _details(outcome: Outcome) -> str | None:
    if outcome.items is not None:
        return stream_details(outcome)
    if outcome.error is not None:
        return error_details(outcome.error.details)
    return dropped_details(outcome.diagnostics, outcome.delivered_digest)


def _hex(seed: Any) -> str | None:
    return seed if seed is None or isinstance(seed, str) else bytes(seed).hex()


def key_text(key: tuple[Any, ...], raw: bytes) -> str | None:
    """Return the key that a caller gave as its column has it, or None if it stands for none.

    *raw*: the 32 bytes of the digest of the arguments, which is what stands for none.
    """
    if len(key) > 1 and key[0] == raw:
        return None  # that of a wrapper's second phase has one part more
    return text_of([part.hex() if isinstance(part, bytes) else part for part in key])


def event_facts(event: Event, at_ns: int) -> Facts:
    """Return the row of the table that is for events of this kind."""
    hook, call_id = (event.data.get(name) for name in ("hook", "call_id"))
    return (
        at_ns,
        event.kind,
        event.plugin,
        hook if isinstance(hook, str) else None,
        call_id if isinstance(call_id, str) else None,
        text_of(event.data),
    )
