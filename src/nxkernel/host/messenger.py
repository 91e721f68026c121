"""Carries errands to one worker: the usual case of what conversation and transport do.

Each step asks what the general way would find out. What it cannot tell for certain it leaves to
that: :meth:`~nxkernel.host.transport.Transport.resumed` goes on with what was begun here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from nxkernel._canonical import NotCanonical, digest, surveyed
from nxkernel._clock import Clock
from nxkernel._system.pollers import Waiter
from nxkernel._wire import FromWorker, Invoke, Result
from nxkernel.dispatch.effects import AGAIN_S, Signal
from nxkernel.dispatch.errand import Errand
from nxkernel.dispatch.spin import Look
from nxkernel.host.keeper import Keeper
from nxkernel.host.listening import after
from nxkernel.host.losing import fit
from nxkernel.host.replies import LONGEST_US, Loss, used
from nxkernel.host.slot import Frame

__all__ = ["Heard", "Messenger", "messenger"]


#: What a worker has said, why it will say nothing more, or None.
Heard = FromWorker | Loss | None


def messenger(keeper: Keeper, clock: Clock) -> Messenger | None:
    """Return what carries errands to the worker of *keeper*, or None where no call is usual."""
    if keeper.forks_calls or keeper.patient or keeper.cpu_seconds is not None:
        return None
    return Messenger(keeper, clock)


class Messenger:
    """Carries the errands of one plugin's worker, one at a time."""

    def __init__(self, keeper: Keeper, clock: Clock) -> None:
        self.keeper = keeper
        self._slot = keeper.slot
        self._now = clock.monotonic

    @property
    def ready(self) -> bool:
        """Whether there is a worker that nobody is on; no more than a look."""
        slot = self._slot
        return slot.worker is not None and not slot.occupied

    def seat(self, errand: Errand) -> bool:
        """Give *errand* its place on the worker; False if that is not quiet and well known.

        Either way :meth:`leave` ends it.
        """
        slot = self._slot
        frame = errand.frame = Frame(errand.call_id, errand.deadline)
        if not slot.take(frame):
            return False
        worker = fit(slot, frame)
        if worker is None or worker.strays or not worker.answered:
            return False
        frame.worker = worker
        return worker.channel.waiter is not None

    def send(self, errand: Errand) -> bool:
        """Send *errand*; False if not all of it could be written at once."""
        frame = errand.frame
        worker, began = frame.worker, self._now()
        errand.began_s = began
        frame.deadline = errand.deadline + (began - errand.came_s)
        seq = frame.seq = worker.next_seq()
        impl, seed = errand.whom.impl, errand.seed or b""
        worker.channel.send(Invoke(seq, impl, "call", errand.payload, seed, 0, None, [], None, ""))
        even: bool = worker.channel.even
        return even

    def wait(self, errand: Errand, look: Look) -> bool:
        """Wait for an answer, a second at most, as *look* does; returns whether one is there."""
        frame = errand.frame
        channel, left = frame.worker.channel, frame.deadline - self._now()
        left = 0.0 if left < 0.0 else AGAIN_S if left > AGAIN_S else left
        # Rounded up, so that no deadline is found too early.
        block: Callable[[], Any] = partial(channel.waiter.wait, int(left * 1000) + 1)
        return bool(look(channel.result, block))

    def waiter(self, errand: Errand) -> Waiter:
        """Return what :meth:`wait` waits by."""
        waiter: Waiter = errand.frame.worker.channel.waiter
        return waiter

    def hear(self, errand: Errand) -> Heard:
        """Return what the worker has said, which may be nothing yet."""
        return after(errand.frame.worker, Signal.READY)

    def take(self, errand: Errand, message: Heard) -> bool:
        """Take *message*, if it is a value and in order; every byte of it is the worker's word."""
        frame, now = errand.frame, self._now()
        if type(message) is not Result or message.seq != frame.seq or message.blobs:
            return False
        output = message.payload
        try:
            errand.shape = surveyed(output)
        except NotCanonical:
            return False
        plugin_us = message.plugin_us
        errand.plugin_us = plugin_us if 0 <= plugin_us <= LONGEST_US else _possible(plugin_us)
        errand.output, errand.output_digest = output, digest(output)
        errand.queue_us = int((errand.began_s - errand.came_s) * 1e6)
        errand.transport_us = int((now - errand.began_s) * 1e6)
        errand.used, errand.instance = used(message.used), frame.worker.generation
        return True

    def leave(self, errand: Errand) -> None:
        """Give the place on the worker back."""
        self._slot.leave(errand.frame)


def _possible(microseconds: int) -> int:
    return min(max(0, microseconds), LONGEST_US)
