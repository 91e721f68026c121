"""Calls that were not answered: why no answer will come, and the outcomes of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from nxkernel.errors import KernelNotRunning, NxError, WorkerLost
from nxkernel.host.frame import Frame
from nxkernel.host.slot import CLOSED, RETIRED
from nxkernel.types import Call, Fault, Outcome, PluginId

__all__ = [
    "Loss",
    "LostAlong",
    "came_too_late",
    "cancelled",
    "closed",
    "expired",
    "lost_between",
    "lost_with",
    "refused",
    "unmade",
    "words_for",
]


@attrs.frozen
class Loss:
    """Why no answer will come."""

    why: Literal["ended", "deadline", "cancelled", "violation", "limit"]
    detail: str = ""


def words_for(loss: Loss, when: str) -> tuple[str, str]:
    """Return the code of *loss* and what the plugin did, as words that follow its name."""
    return {
        "ended": ("plugin.crashed", f"ended {when}"),
        "deadline": ("plugin.timeout", f"overran its deadline {when}"),
        "limit": ("plugin.limit", loss.detail),
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


def unmade(call: Call, frame: Frame) -> Outcome:
    """The outcome of a call whose turn has not come."""
    if not frame.barred:
        return cancelled(call)
    text = (
        f"plugin {call.plugin!r} has another call of this thread, which goes on when this one is "
        "over; set a flag in the handler of a signal, and call outside of it"
    )
    return Outcome.failed(call, "call.reentrant", text, "caller")


def lost_between(call: Call, by: str | None) -> Outcome:
    """The outcome of a wrapper or a stream whose worker went away while no call of it was there.

    *by*: what took the worker down; None where it ended by itself, which is the plugin's doing.
    """
    if by is not None:
        return lost_with(call, by)
    held = "the stream" if call.stream else "the wrapper's first phase"
    text = f"plugin {call.plugin!r}: the worker that held {held} is gone"
    return Outcome.failed(call, "plugin.crashed", text, "plugin")


def closed(call: Call) -> Outcome:
    """The outcome of a stream of which the consumer wanted no more."""
    return Outcome.failed(call, "call.cancelled", "the stream was closed before its end", "caller")


def lost_with(call: Call, by: str) -> Outcome:
    """The outcome of a call that had a worker which another call took down.

    *by*: the other call's id, or why nobody has that worker any more.
    """
    if by == RETIRED:
        text = f"plugin {call.plugin!r} was reloaded or removed before the call was answered"
        return Outcome.failed(call, "plugin.retired", text, "host")
    if by == CLOSED:
        text = "the kernel was closed before the call was answered"
        return Outcome.failed(call, "kernel.not_running", text, "host")
    return Outcome.failed(
        call,
        "plugin.crashed",
        f"plugin {call.plugin!r}: the worker was lost by another call",
        "host",
        details={"lost_by": by},
    )


def came_too_late(plugin: PluginId, by: str) -> NxError:
    """Why a call gets no worker of *plugin*, whose place *by* has closed."""
    if by == RETIRED:
        text = f"plugin {plugin!r} was reloaded or removed before the call was made"
        return WorkerLost(text, code="plugin.retired", plugin=plugin)
    return KernelNotRunning("the kernel was closed before the call was made")


class LostAlong(WorkerLost):
    """A worker was lost before its first call, by no fault of its plugin."""


#: Codes of starts that failed by no fault of the plugin.
_NOT_THE_PLUGINS: Mapping[str, Fault] = {
    "call.cancelled": "caller",
    "kernel.config": "host",
    "kernel.not_running": "host",
    "plugin.retired": "host",
    "sandbox.unavailable": "host",
}


def refused(call: Call, problem: NxError) -> Outcome:
    """The outcome of a call whose worker could not be started."""
    fault: Fault = _NOT_THE_PLUGINS.get(problem.code, "plugin")
    if isinstance(problem, LostAlong):
        fault = "host"
    return Outcome.failed(call, problem.code, problem.message, fault, details=problem.details)
