"""Looks after workers that nobody calls: buries those that have ended, and asks the others.

A worker whose main thread hangs between its calls looks like one that waits for the next. So an
idle one is pinged now and then, and one that does not answer is replaced before it costs a call.

Nothing here waits, and nothing is done to a worker that a call is on: whatever touches its channel
does so under the slot's lock while the stack is empty. A call that finds a ping on its way takes
its answer over, see :func:`nxkernel.host.losing.discard_stale`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from nxkernel._clock import Clock
from nxkernel._wire import Pong
from nxkernel.errors import AuditError, ProtocolViolation
from nxkernel.host.custody import Custody
from nxkernel.host.guarded import Guarded
from nxkernel.host.workers import Asked, Worker

__all__ = ["Rounds"]

_log = logging.getLogger("nxkernel.host")


class Rounds:
    """Goes round the workers of one kernel."""

    def __init__(
        self,
        keepers: Callable[[], Iterable[Custody]],
        clock: Clock,
        *,
        interval_s: float | None,
        timeout_s: float,
    ) -> None:
        self._keepers = keepers
        self._clock = clock
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._guarded = Guarded("a look after the worker")

    def make(self) -> None:
        """Look once at every worker."""
        for keeper in self._keepers():
            self._guarded.does(keeper, partial(self._look_in, keeper))

    def _look_in(self, keeper: Custody) -> None:
        try:
            keeper.press(self._clock.monotonic())
            keeper.bury_dead()
            self._visit(keeper)
        except AuditError as error:
            # There is no call here that could be refused; the next one will be, if the audit
            # still cannot be written.
            _log.warning("not on record: %s", error)

    def _visit(self, keeper: Custody) -> None:
        worker = keeper.slot.worker
        if worker is None:
            return
        if worker.exit is not None:
            keeper.evict(worker)
        elif keeper.slot.occupied:
            worker.idle_since = None
        elif worker.asked is not None:
            self._listen(keeper, worker, worker.asked)
        elif worker.forsaken:
            keeper.end_forsaken(worker, self._clock.monotonic())
        elif self._interval_s is not None and not keeper.patient:
            self._ask_in_time(keeper, worker, self._interval_s)

    def _ask_in_time(self, keeper: Custody, worker: Worker, interval_s: float) -> None:
        now = self._clock.monotonic()
        if worker.idle_since is None:
            worker.idle_since = now
        elif now - worker.idle_since >= interval_s:
            keeper.slot.while_idle(worker, partial(_rest, worker, now + self._timeout_s))

    def _listen(self, keeper: Custody, worker: Worker, asked: Asked) -> None:
        heard: list[bool | None] = [None]

        def listen() -> None:
            heard[0] = _answer(worker, asked)

        if not keeper.slot.while_idle(worker, listen):
            return  # A call has come: it hears the answer.
        if heard[0]:
            keeper.pinged(worker)
            worker.idle_since = self._clock.monotonic()
        elif heard[0] is False or self._clock.monotonic() >= asked.until:
            keeper.unanswered(worker)


def _rest(worker: Worker, until: float) -> None:
    """Ask an idle worker, and have the memory back in which its blobs have lain."""
    worker.channel.parcels.rest()
    worker.ask(until)


def _answer(worker: Worker, asked: Asked) -> bool | None:
    """Whether the worker gave the answer that it was asked for; None while it said nothing."""
    worker.channel.pump()
    try:
        message = worker.hear()
    except ProtocolViolation:
        return False
    if message is None:
        return None
    return isinstance(message, Pong) and message.seq == asked.seq
