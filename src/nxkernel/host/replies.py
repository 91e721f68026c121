"""What crosses the border to a worker, as values: messages made of calls, outcomes of messages.

Everything that comes from a worker is its word. What can be checked is checked here, what cannot
(a duration, a message) is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from keyword import iskeyword
from typing import Any, Literal

import attrs

from nxkernel._canonical import NotCanonical, decode, digest
from nxkernel._wire import Broker, Failure, Impl, Invoke, Reply, Result
from nxkernel.errors import NxError
from nxkernel.host.slot import CLOSED, Frame, Worker
from nxkernel.types import (
    EMPTY,
    Call,
    CallError,
    HookName,
    ImplFacts,
    Outcome,
    PluginId,
    Timing,
)

__all__ = [
    "Brokered",
    "Loss",
    "answered",
    "cancelled",
    "details_of",
    "expired",
    "impl_facts",
    "invocation",
    "is_possible",
    "lost_with",
    "lost_wrapper",
    "passed_on",
    "refused",
    "reply_to",
    "words_for",
]

#: Longest message of a failure, in characters.
MAX_MESSAGE = 4000
#: A worker's own account of a duration is cut at an hour, in microseconds.
_LONGEST_US = 3_600_000_000


@attrs.frozen
class Brokered:
    """What a brokered call gave."""

    payload: bytes = b""
    error: CallError | None = None
    #: The plugin in which a failure began.
    origin: str = ""


@attrs.frozen
class Loss:
    """Why no answer will come."""

    why: Literal["ended", "deadline", "cancelled", "violation"]
    detail: str = ""


def invocation(call: Call, frame: Frame) -> Invoke:
    """Return the message that makes *call*."""
    inner = call.inner_error
    return Invoke(
        seq=frame.seq,
        impl=call.impl,
        phase=call.phase,
        payload=call.payload,
        seed=call.seed or b"",
        token=call.token[1] if call.token else 0,
        error=(inner.code, inner.message, "") if inner else None,
    )


def reply_to(request: Broker, brokered: Brokered) -> Reply:
    """Return the message that answers *request*."""
    error = brokered.error
    return Reply(
        seq=request.seq,
        payload=brokered.payload,
        error=(error.code, error.message, brokered.origin) if error else None,
    )


def answered(call: Call, frame: Frame, worker: Worker, message: Result | Failure) -> Outcome:
    """Make the outcome; every byte of *message* is the worker's word and is checked here."""
    timing = Timing(plugin_us=min(max(0, message.plugin_us), _LONGEST_US))
    if isinstance(message, Failure):
        return _failure(call, frame, message, timing)
    annotations = {"token": (worker.generation, frame.seq)} if call.phase == "setup" else EMPTY
    return Outcome(
        plugin=call.plugin,
        impl=call.impl,
        hook=call.hook,
        call_id=call.call_id,
        value=decode(message.payload),
        attempts=call.attempt,
        output_digest=digest(message.payload),
        output_bytes=len(message.payload),
        annotations=annotations,
        timing=timing,
    )


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


#: Codes that a worker may report; every other one is the host's to give.
_WORKER_CODES = frozenset({"plugin.raised", "contract.output", "provider.not_applicable"})


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


# -- outcomes of calls that were not answered ------------------------------------------------


def words_for(loss: Loss, when: str) -> tuple[str, str]:
    """Return the code of *loss* and what the plugin did, as words that follow its name."""
    return {
        "ended": ("plugin.crashed", f"ended {when}"),
        "deadline": ("plugin.timeout", f"overran its deadline {when}"),
        "cancelled": ("call.cancelled", f"was ended {when}: the caller went away"),
        "violation": ("protocol.violation", f"broke the protocol {when}: {loss.detail}"),
    }[loss.why]


def expired(call: Call) -> Outcome:
    """The outcome of a call that came too late to be made."""
    return Outcome.failed(
        call, "call.expired", "the deadline had passed before the call was made", "host"
    )


def cancelled(call: Call) -> Outcome:
    """The outcome of a call whose caller went away before it was made."""
    return Outcome.failed(call, "call.cancelled", "the caller went away", "caller")


def lost_wrapper(call: Call) -> Outcome:
    """The outcome of a second phase whose first phase is gone."""
    return Outcome.failed(
        call,
        "plugin.crashed",
        f"plugin {call.plugin!r}: the worker that held the wrapper's first phase is gone",
        "plugin",
    )


def lost_with(call: Call, by: str) -> Outcome:
    """The outcome of a call that was on the stack of a worker that another call took down."""
    if by == CLOSED:
        text = "the kernel was closed before the call was answered"
        return Outcome.failed(call, "kernel.not_running", text, "host")
    return Outcome.failed(
        call,
        "plugin.crashed",
        f"plugin {call.plugin!r}: the worker was lost by another call on its stack",
        "host",
        details={"lost_by": by},
    )


def refused(call: Call, problem: NxError) -> Outcome:
    """The outcome of a call whose worker could not be started."""
    host = problem.code in ("sandbox.unavailable", "kernel.config", "kernel.not_running")
    return Outcome.failed(
        call,
        problem.code,
        problem.message,
        "host" if host else "plugin",
        details=problem.details,
    )
