"""A call on a worker's stack, with what belongs to it alone."""

from __future__ import annotations

import sys

import msgspec

from nxkernel._streams import Streams
from nxkernel.errors import NxError
from nxkernel.worker.arena import Loan
from nxkernel.worker.meter import Meter

__all__ = ["Frame", "depth"]


class Frame(msgspec.Struct, eq=False):  # made without a step of the interpreter
    """A call that is on the stack."""

    seq: int
    #: What its context draws from; an equal call later begins anew.
    streams: Streams
    #: The span around it, or empty.
    traceparent: str = ""
    #: The error that a wrapper is handed in its second phase.
    inner: NxError | None = None
    #: Python frames below it, if another call is below it.
    depth: int = 0
    #: What it has of the arena.
    loans: list[Loan] = msgspec.field(default_factory=list)
    #: What it uses.
    meter: Meter = msgspec.field(default_factory=Meter)


def depth() -> int:
    """How many Python frames this thread has under way."""
    frame, found = sys._getframe(), 0
    while frame.f_back is not None:
        frame, found = frame.f_back, found + 1
    return found
