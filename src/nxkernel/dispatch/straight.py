"""Drives a call that waits for one thing after another: nearly every call that blocks its thread.

There is nobody to choose between, so no list of tasks and of what each waits for is kept. What
needs more than that (branches, a gate that is closed, bytes left to write, somebody who comes into
the same thread meanwhile) makes tasks of the call from where it is, and the driver for many takes
them on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from nxkernel import _system
from nxkernel._clock import Clock
from nxkernel.dispatch.company import Alone
from nxkernel.dispatch.effects import AGAIN_S, Effects, Gate, Io, Signal
from nxkernel.dispatch.spin import Look

__all__ = ["Poll", "run_straight"]

#: Waits for descriptors, with the bell's or -1, for so many seconds.
Poll = Callable[[Sequence[_system.Wait], int, float | None], set[int]]


def run_straight(
    member: Alone, root: Effects[object], clock: Clock, poll: Poll, look: Look | None
) -> bool:
    """Run *root*, whose place in the thread *member* is, and return whether that was its end.

    If so, ``member.result`` is what it returned. If not, it goes on from ``member.tasks``.
    """
    send, signal = root.send, None
    while True:
        try:
            effect = member.effect = send(signal)
        except StopIteration as stop:
            member.result = stop.value
            return True
        taken = member.taken
        if taken is None and type(effect) is Io and effect.write is None:
            signal = _waited(member, effect, clock, poll, look)
        elif taken is None and type(effect) is Gate and _opens(member, effect):
            signal = Signal.READY
        else:
            member.tasks.come_back(effect)
            return False
        member.effect = None
        taken = member.taken
        if taken is not None:  # by who came meanwhile
            taken.come_back(effect, signal)
            return False


def _opens(member: Alone, gate: Gate) -> bool:
    """Try *gate*. Who comes meanwhile finds *member* at work: he must not try it as well."""
    member.effect = None
    if member.taken is not None:
        return False
    is_open = False
    try:
        is_open = gate.attempt()
    finally:
        if not is_open:
            member.effect = gate  # for who cancels it
    return is_open


def _waited(member: Alone, wait: Io, clock: Clock, poll: Poll, look: Look | None) -> Signal | None:
    """Wait for one descriptor to be read; return why that is over.

    None when somebody has come into the thread meanwhile and taken *member* on.
    """
    deadline, waiter = wait.deadline, wait.waiter
    one = None if waiter is None else waiter.wait
    while member.taken is None:
        left = AGAIN_S
        if deadline is not None:
            left = deadline - clock.monotonic()
            if left > AGAIN_S:
                left = AGAIN_S
            elif left < 0.0:
                left = 0.0
        if one is None:
            block: Callable[[], object] = partial(poll, (wait,), -1, left)
        else:  # As :func:`poll` waits: rounded up, so that no deadline is found too early.
            block = partial(one, int(left * 1000) + 1)
        if block() if look is None else look(wait.read, block):
            return Signal.READY
        if deadline is not None and deadline <= clock.monotonic():
            return Signal.DEADLINE
    return None
