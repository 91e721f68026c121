"""What crosses the border to a worker, as values: messages made of calls, outcomes of messages.

Everything that comes from a worker is its word. What can be checked is checked here, what cannot
(a duration, a message) is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from keyword import iskeyword
from typing import Any

import attrs

from nxkernel._altered import filled
from nxkernel._blob import NONE, Blobs
from nxkernel._canonical import NotCanonical, decode, digest
from nxkernel._wire import (
    Broker,
    Drawn,
    Failure,
    Impl,
    Invoke,
    Piece,
    Reply,
    Result,
    Used,
    Window,
)
from nxkernel.host.frame import Frame
from nxkernel.host.workers import Worker
from nxkernel.types import (
    EMPTY,
    TRACEPARENT,
    Call,
    CallError,
    CallId,
    HookName,
    ImplFacts,
    Outcome,
    PluginId,
    Timing,
    Usage,
)

__all__ = [
    "LONGEST_US",
    "Brokered",
    "answered",
    "details_of",
    "draws",
    "impl_facts",
    "invocation",
    "is_possible",
    "passed_on",
    "reply_to",
    "traceparent_of",
    "used",
]

#: Longest message of a failure, in characters.
MAX_MESSAGE = 4000
#: A worker's own account of a duration is cut at an hour, in microseconds.
LONGEST_US = 3_600_000_000
#: No machine has more memory, no call more rows.
_LARGEST_KB, _MOST_ROWS = 1 << 40, 1 << 48


@attrs.frozen
class Brokered:
    """What a brokered call gave."""

    payload: bytes = b""
    #: Those to which the payload refers.
    blobs: Blobs = NONE
    error: CallError | None = None
    #: The plugin in which a failure began.
    origin: str = ""
    #: Whether the value lacks somebody, or rests on one that does.
    degraded: bool = False


def invocation(
    call: Call, frame: Frame, pieces: list[Piece], window: Window | None = None
) -> Invoke:
    """Return the message that makes *call*, whose blobs travel as *pieces*.

    *window*: what the first turn of a stream may send.
    """
    traced = traceparent_of(call) if TRACEPARENT in call.annotations else ""
    inner, token = call.inner_error, call.token
    return Invoke(
        frame.seq,
        call.impl,
        call.phase,
        call.payload,
        call.seed or b"",
        token[1] if token else 0,
        (inner.code, inner.message, "") if inner else None,
        pieces,
        window,
        traced,
    )


#: https://www.w3.org/TR/trace-context/#traceparent-header, version 00.
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(call: Call) -> str:
    """Return the span around *call*, as middleware wrote it, or nothing if it is none."""
    said = call.annotations.get(TRACEPARENT)
    return said if isinstance(said, str) and _TRACEPARENT.fullmatch(said) else ""


def reply_to(request: Broker, brokered: Brokered, pieces: list[Piece]) -> Reply:
    """Return the message that answers *request*; the value's blobs travel as *pieces*."""
    error = brokered.error
    return Reply(
        seq=request.seq,
        payload=brokered.payload,
        error=(error.code, error.message, brokered.origin) if error else None,
        blobs=pieces,
    )


def answered(
    call: Call,
    frame: Frame,
    worker: Worker,
    message: Result | Failure,
    *,
    queue_us: int = 0,
    transport_us: int = 0,
) -> Outcome:
    """Make the outcome; every byte of *message* is the worker's word and is checked here.

    The times are the host's own, in microseconds.

    Raises:
        NotCanonical: when the value is not what it has to be.
    """
    plugin_us = message.plugin_us
    if not 0 <= plugin_us <= LONGEST_US:
        plugin_us = min(max(0, plugin_us), LONGEST_US)
    timing = filled(
        Timing,
        {
            "queue_us": queue_us,
            "transport_us": transport_us,
            "plugin_us": plugin_us,
            "used": used(message.used),
            "instance": worker.generation,
        },
    )
    if isinstance(message, Failure):
        return _failure(call, frame, message, timing)
    payload = message.payload
    shape = worker.channel.parcels.opened(payload, message.blobs, frame.mark)
    annotations = {"token": (worker.generation, frame.seq)} if call.phase == "setup" else EMPTY
    return filled(
        Outcome,
        {
            **_VALUE,
            "plugin": call.plugin,
            "impl": call.impl,
            "hook": call.hook,
            "call_id": call.call_id,
            "value": shape.value,
            "shape": shape,
            "attempts": call.attempt,
            "degraded": frame.degraded,
            "output_digest": digest(payload),
            "output_bytes": len(payload),
            "annotations": annotations,
            "timing": timing,
        },
    )


#: All fields of an outcome that has a value.
_VALUE = vars(Outcome(plugin=PluginId(""), impl="", hook=HookName(""), call_id=CallId("")))


def used(account: Used | None) -> Usage | None:
    """Return a worker's account of what a call used; a number that cannot be is none."""
    if account is None:
        return None
    cpu_us = account.cpu_us if 0 <= account.cpu_us <= LONGEST_US else None
    if account.peak_kb is None and account.rows is None:
        return _brief(cpu_us)  # a small call, as most are
    read, written = account.rows or (None, None)
    return Usage(
        cpu_us=cpu_us,
        peak_kb=_possible(account.peak_kb, _LARGEST_KB),
        rows_read=_possible(read, _MOST_ROWS),
        rows_written=_possible(written, _MOST_ROWS),
    )


# The small calls of one hook take one of a few times.
@lru_cache(maxsize=1024)
def _brief(cpu_us: int | None) -> Usage:
    return Usage(cpu_us=cpu_us)


def _possible(number: int | None, most: int) -> int | None:
    return number if number is not None and 0 <= number <= most else None


def impl_facts(impls: Sequence[Impl]) -> tuple[ImplFacts, ...]:
    """A worker's word of its hookimpls, sorted by attribute; names that are none are left out."""
    facts = [
        ImplFacts(
            impl=each.impl,
            hook=HookName(each.hook),
            args=each.args,
            kwargs=each.kwargs,
            wrapper=each.wrapper,
            hookwrapper=each.hookwrapper,
            tryfirst=each.tryfirst,
            trylast=each.trylast,
            optionalhook=each.optionalhook,
        )
        for each in impls
        if is_possible(each)
    ]
    return tuple(sorted(facts, key=lambda f: f.impl))


def is_possible(impl: Impl | ImplFacts) -> bool:
    """Whether Python has such functions: proxies are made from a worker's words."""
    arguments = (*impl.args, *impl.kwargs)
    return (
        not impl.impl.startswith("__")  # `__init__` of a proxy would run in the host
        and len(set(arguments)) == len(arguments)
        and all(n.isidentifier() and not iskeyword(n) for n in (impl.impl, *arguments))
    )


#: Findings of one call that are kept, and the longest text in one, in characters.
_FINDINGS, _LONGEST = 16, 256


def draws(account: Drawn) -> list[dict[str, Any]]:
    """Return a worker's account of its draws as plain maps: bounded, and printable."""
    return [
        {"function": _shown(name), "site": _shown(site), "when": _shown(when), "blocked": blocked}
        for name, site, when, blocked in account.found[:_FINDINGS]
    ]


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:_LONGEST])


#: Codes that a worker may report; every other one is the host's to give.
_WORKER_CODES = frozenset(
    {
        "plugin.raised",
        "plugin.limit",
        "contract.output",
        "provider.not_applicable",
        "determinism.blocked",
    }
)


def _failure(call: Call, frame: Frame, message: Failure, timing: Timing) -> Outcome:
    inner = call.inner_error
    if inner is not None and (message.code, message.message) == (inner.code, inner.message):
        return passed_on(call, timing)
    code = message.code if message.code in _WORKER_CODES else "plugin.raised"
    origin = message.origin if message.origin in frame.origins else None
    return Outcome.failed(
        call,
        code,
        message.message[:MAX_MESSAGE],
        "host" if code == "provider.not_applicable" else "plugin",
        details=details_of(message.details),
        origin=PluginId(origin) if origin else None,
        timing=timing,
    )


def passed_on(call: Call, timing: Timing | None = None) -> Outcome:
    """The outcome of a wrapper that let the inner error through.

    It is not its own: else one broken plugin would open the breakers of all that wrap it.
    """
    return Outcome(
        plugin=call.plugin,
        impl=call.impl,
        hook=call.hook,
        call_id=call.call_id,
        error=call.inner_error,
        fault=call.inner_fault or "plugin",
        origin=call.inner_origin,
        attempts=call.attempt,
        timing=timing or Timing(),
    )


def details_of(data: bytes) -> Mapping[str, Any]:
    """Return the details that a worker sent, or nothing if they are no map."""
    try:
        details = decode(data)
    except NotCanonical:
        return EMPTY
    return details if isinstance(details, dict) else EMPTY
