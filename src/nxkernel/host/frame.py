"""A frame: what is known of one call on a worker's stack, or on its way there.

Who may change a frame, and when, is the :class:`~nxkernel.host.slot.Slot`'s to say, under its lock.
"""

from __future__ import annotations

from threading import get_ident
from typing import Protocol

from nxkernel._wire import Denied, Drawn
from nxkernel.dispatch.effects import Effects
from nxkernel.host.workers import Worker

__all__ = ["Frame", "Turn"]


class Turn(Protocol):
    """A turn of a stream, for a call that needs its worker."""

    def clear(self, by: Frame) -> Effects[None]:
        """End the turn for the call *by*, which it stands in the way of; its items are kept."""


class Frame:
    """One call on a worker's stack.

    Made for every call, which needs few of the fields: the others are the class's until they are
    set.
    """

    #: Seconds beyond the deadline, to deal with a nested call that used it up.
    grace: float = 0.0
    #: May come on top of a frame that is starting the worker.
    historic: bool = False
    #: A frame of another worker waits for it: keeping it out could keep out everybody.
    nested: bool = False
    #: Its turn will not come: see :meth:`Slot.bars`.
    barred: bool = False
    seq: int = 0
    running: bool = False
    #: Its brokered reply is there; nothing new may come on top of it any more.
    reply_ready: bool = False
    #: It is bringing the worker up: only historic calls may come on top.
    starting: bool = False
    #: The worker that it talks to, once it does.
    worker: Worker | None = None
    #: Nothing of it is under way on that any more.
    over: bool = False
    #: The call that took the worker down with it, or None while the worker lives.
    lost_by: str | None = None
    #: A lost worker that this session has to bury before it ends.
    buries: Worker | None = None
    #: What its worker says that the walls refused.
    denied: Denied | None = None
    #: What its worker says that it drew and no seed covers.
    drawn: Drawn | None = None
    #: Whether an answer that it was given was degraded.
    degraded: bool = False
    #: Where its blobs begin in the worker's arena.
    mark: int = 0
    #: An open turn of a stream whose consumer is away: whoever needs the worker ends the turn.
    idle: bool = False
    #: What ends that turn.
    turn: Turn | None = None
    #: The turn that stands in this call's way and is its to end, before it comes in.
    clears: Frame | None = None
    #: Of a turn: the call that is about to end it, or does; None while its own stream has it.
    cleared_by: Frame | None = None
    cleared: bool = False

    def __init__(
        self,
        call_id: str,
        deadline: float,
        historic: bool = False,
        nested: bool = False,
        *,
        origins: set[str] | None = None,
    ) -> None:
        self.call_id = call_id
        #: Absolute deadline, which nested calls share; grows while other calls hold the worker.
        self.deadline = deadline
        if historic:
            self.historic = True
        if nested:
            self.nested = True
        #: Plugins in which nested failures began; what the worker claims is held against it.
        self.origins: set[str] = set() if origins is None else origins
        #: Who goes on with it.
        self.thread = get_ident()

    def may_tell(self, account: Denied | Drawn) -> bool:
        """Whether *account* is about this call, and the first of its kind."""
        known = self.denied if isinstance(account, Denied) else self.drawn
        return account.within == self.seq and known is None

    @property
    def limit(self) -> float:
        """When the worker is ended, whatever it does."""
        return self.deadline + self.grace
