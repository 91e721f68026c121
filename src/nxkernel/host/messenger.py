"""Carries errands to one worker: the usual case of what conversation and transport do.

Each step asks what the general way would find out. What it cannot tell for certain it leaves to
that: :meth:`~nxkernel.host.transport.Transport.resumed` goes on with what was begun here.
"""

from __future__ import annotations

from functools import partial

from nxkernel._canonical import NotCanonical, digest, surveyed
from nxkernel._clock import Clock
from nxkernel._wire import FromWorker, Invoke, Result
from nxkernel.dispatch.effects import AGAIN_S, Signal
from nxkernel.dispatch.errand import Errand
from nxkernel.dispatch.spin import Look
from nxkernel.host.frame import Frame
from nxkernel.host.keeper import Keeper
from nxkernel.host.listening import after
from nxkernel.host.losing import give_up
from nxkernel.host.replies import LONGEST_US, used
from nxkernel.host.unanswered import Loss

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
        self._keeper, self._slot = keeper, keeper.slot
        self._now = clock.monotonic

    @property
    def ready(self) -> bool:
        """Whether there is a worker that nobody is on; no more than a look."""
        slot = self._slot
        return slot.worker is not None and not slot.occupied

    def seat(self, errand: Errand) -> bool:
        """Give *errand* its place on the worker; False if that is not quiet.

        Either way :meth:`leave` ends it.
        """
        frame = errand.frame = Frame(errand.call_id, errand.deadline)
        worker = frame.worker = self._slot.claim(frame)
        if worker is None or worker.asked is not None or worker.forsaken or worker.strays:
            return False
        channel = worker.channel
        return channel.waiter is not None and not channel.stirs

    def send(self, errand: Errand) -> bool:
        """Send *errand*; False if not all of it could be written at once."""
        frame = errand.frame
        worker, began = frame.worker, self._now()
        errand.began_s = began
        frame.deadline = errand.deadline + (began - errand.came_s)
        seq = frame.seq = worker.next_seq()
        impl, seed = errand.whom.impl, errand.seed or b""
        told: bool = worker.channel.told(
            Invoke(seq, impl, "call", errand.payload, seed, 0, None, [], None, "")
        )
        return told

    def source(self, errand: Errand) -> int:
        """Return the descriptor on which the answer will come."""
        descriptor: int = errand.frame.worker.channel.result
        return descriptor

    def wait(self, errand: Errand, look: Look) -> bool:
        """Wait for an answer, a second at most, as *look* does; returns whether one is there."""
        return bool(look(errand.frame.worker.channel.result, partial(self._block, errand)))

    def _block(self, errand: Errand) -> object:
        frame = errand.frame
        left = frame.deadline - self._now()
        left = 0.0 if left < 0.0 else AGAIN_S if left > AGAIN_S else left
        # Rounded up, so that no deadline is found too early.
        return frame.worker.channel.waiter.wait(int(left * 1000) + 1)

    def renew(self, errand: Errand) -> None:
        """Leave it to its driver what he waits by: he may stay in that."""
        errand.frame.worker.channel.waiter.renew()

    def hear(self, errand: Errand) -> Heard:
        """Return what the worker has said, which may be nothing yet."""
        return after(errand.frame.worker, Signal.READY)

    def take(self, errand: Errand, message: Heard) -> bool:
        """Take *message*, if it is a value and in order; every byte of it is the worker's word."""
        frame, now = errand.frame, self._now()
        if type(message) is not Result or message.seq != frame.seq or message.blobs:
            return False
        errand.output = output = message.payload
        try:
            errand.shape = surveyed(output)
        except NotCanonical:
            return False
        errand.output_digest = digest(output)
        plugin_us, began = message.plugin_us, errand.began_s
        errand.plugin_us = plugin_us if 0 <= plugin_us <= LONGEST_US else _possible(plugin_us)
        errand.transport_us = int((now - began) * 1e6)
        errand.used, errand.instance = used(message.used), frame.worker.generation
        if not frame.worker.answered:
            self._keeper.heard_from(frame.worker)
        return True

    def leave(self, errand: Errand) -> bool:
        """Give the place on the worker back; returns whether that is all there was to do."""
        frame = errand.frame
        self._slot.leave(frame)
        return frame.buries is None

    def let_go(self, errand: Errand) -> None:
        """Do without *errand*, which has nothing under way on its worker; wait for nothing."""
        frame = errand.frame
        frame.over = True
        self._slot.leave(frame)
        give_up(self._keeper, frame)


def _possible(microseconds: int) -> int:
    return min(max(0, microseconds), LONGEST_US)
