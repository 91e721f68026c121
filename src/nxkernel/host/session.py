"""One turn on a plugin's worker: wait at the gate, act, and leave whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from nxkernel._clock import Clock
from nxkernel.dispatch.effects import Effects, Gate, Signal
from nxkernel.host.custody import Custody
from nxkernel.host.frame import Frame
from nxkernel.host.losing import give_up, inter

__all__ = ["admitted", "resumed", "seated", "session"]

T = TypeVar("T")


def admitted(keeper: Custody, frame: Frame) -> Effects[bool]:
    """Wait for *frame*'s turn on the worker; returns whether it came before the caller went away.

    Nor does one come for which this thread would have to go on with what it is in the middle of:
    then ``frame.barred`` is set.

    An open turn of a stream is ended first: its consumer may take for ever.
    """
    # A historic call waits in no queue, from which it could be called by name.
    slot = keeper.slot
    key = slot if frame.historic else frame
    while True:
        signal = yield Gate(lambda: slot.enter(frame), key=key, barred=partial(slot.bars, frame))
        if signal is Signal.CANCELLED or signal is Signal.BARRED:
            frame.barred = signal is Signal.BARRED
            return False
        turn = frame.clears
        if turn is None or turn.turn is None:
            frame.clears = None
            return True
        yield from turn.turn.clear(frame)
        frame.clears = None  # It is still there if there was no turn any more.


def resumed(keeper: Custody, frame: Frame) -> Effects[Signal]:
    """Wait until *frame*, whose reply is there, is on top of its worker again.

    Returns why the wait is over. An open turn of a stream that lies on it is ended first.
    """
    while True:
        signal: Signal = yield Gate(lambda: keeper.slot.resume(frame), key=frame)
        turn = frame.clears
        if turn is None or turn.turn is None:
            frame.clears = None
            return signal
        yield from turn.turn.clear(frame)
        frame.clears = None  # It is still there if there was no turn any more.


def session(
    clock: Clock, keeper: Custody, frame: Frame, body: Callable[[], Effects[T]]
) -> Effects[T | None]:
    """Wait for *frame*'s turn on the worker, run *body*, and leave whatever happens.

    Returns None when the caller went away before its turn came.
    """

    def entered() -> Effects[T | None]:
        if not (yield from admitted(keeper, frame)):
            return None
        return (yield from body())

    return seated(clock, keeper, frame, entered)


def seated(
    clock: Clock, keeper: Custody, frame: Frame, body: Callable[[], Effects[T]]
) -> Effects[T]:
    """Run *body* as :func:`session` does for *frame*, which has its turn already."""
    try:
        try:
            result = yield from body()
            # Before its place is free: what strikes from here on must not end a worker that by
            # then is somebody else's.
            frame.over = True
        except BaseException:
            give_up(keeper, frame)
            raise
        finally:
            keeper.slot.leave(frame)
        # Afterwards, when nobody can leave it a worker any more.
        yield from inter(clock, keeper, frame)
        return result
    except BaseException:
        # Once more: an interrupt may have struck in the middle of leaving, and a frame that
        # stays behind would block its plugin for ever; so would a worker that came meanwhile.
        keeper.slot.leave(frame)
        give_up(keeper, frame)
        raise
