"""A live worker as the host sees it: its process, its pipes, and how it ended."""

from __future__ import annotations

import os
from typing import Self

import attrs

from nxkernel import _forks
from nxkernel._system import Process
from nxkernel._wire import (
    Broker,
    Denied,
    Drawn,
    Ended,
    Failure,
    Forsake,
    FromWorker,
    Item,
    Paused,
    Ping,
    Result,
)
from nxkernel.host.channel import Channel
from nxkernel.host.logs import LogTail
from nxkernel.host.nursery import Nursery

__all__ = ["Asked", "Breach", "Exit", "Stray", "Worker"]

_OF_A_TURN = (Item, Paused, Ended, Failure, Result, Denied, Drawn, Broker)
_LAST = (Ended, Failure, Result)


@attrs.frozen
class Exit:
    """How a worker ended, as its parent saw it; both None when somebody else waited for it."""

    #: Exit status, or None after a signal.
    status: int | None
    #: Signal number, or None.
    signal: int | None

    @classmethod
    def of(cls, code: int) -> Self:
        """Make it from an exit code, which is negative after a signal."""
        return cls(status=code if code >= 0 else None, signal=-code if code < 0 else None)


@attrs.frozen
class Breach:
    """A limit that a worker exceeded, and was ended for."""

    #: The key below ``[limits]``.
    limit: str
    allowed: float
    #: What was seen, in bytes where it is an amount; None where nobody looked.
    seen: float | None

    def text(self) -> str:
        """Return what the plugin did, as words that follow its name."""
        return (
            f"used more than {self.limit} = {self.allowed:g} allows; make it use less, or set a "
            f"larger {self.limit} below [limits] in its manifest"
        )

    def facts(self) -> dict[str, float | str | None]:
        """Return it as a plain map, for details and for the audit."""
        return {"limit": self.limit, "allowed": self.allowed, "seen": self.seen}


@attrs.frozen
class Asked:
    """A ping that is under way."""

    seq: int
    #: When the worker is given up; seconds of the kernel's clock.
    until: float


@attrs.define
class Stray:
    """A turn of a stream whose consumer went away: the worker may still speak of it."""

    #: What its messages are numbered with.
    seqs: frozenset[int]
    #: How many there may be, at most.
    left: int

    def takes(self, message: FromWorker) -> bool:
        """Whether *message* is about this turn, and may be."""
        seq = getattr(message, "within", None) or getattr(message, "seq", None)
        if seq not in self.seqs or not isinstance(message, _OF_A_TURN) or self.left <= 0:
            return False
        self.left -= 1
        return True


@attrs.define(eq=False)
class Worker:
    """A live worker process."""

    process: Process
    channel: Channel
    log: LogTail
    #: Read end of its stdout and stderr.
    log_fd: int
    #: Counts the workers of this slot; part of a wrapper's token.
    generation: int
    level: str
    #: Bytes in the plugin's log that are from earlier workers.
    log_from: int = 0
    #: What reports its exit.
    reporter: object = None
    #: Set by housekeeping when its exit was reported.
    exit: Exit | None = None
    #: Whether it has answered a call.
    answered: bool = False
    #: The ping that it has not answered yet, or None.
    asked: Asked | None = None
    #: When it was first seen without a call since the last one or the last ping.
    idle_since: float | None = None
    #: Whether the host ended it while it seemed to live.
    ended_by_host: bool = False
    #: Whether its end is the plugin's doing.
    counted: bool = False
    #: By whose hand it ended, once somebody asked; empty if that is not known.
    cause: str | None = None
    #: Why the watchdog has ended it, or None.
    breach: Breach | None = None
    #: Wrappers in it that were entered and will never be left, by the seq of their setup. They are
    #: ended once no call is on it.
    forsaken: list[int] = attrs.Factory(list)
    #: Of a template: how the processes of its calls are handed what they have.
    nursery: Nursery | None = None
    #: When it is killed, if it has not ended by itself: it was asked to.
    ends_by: float | None = None
    #: Turns that nobody listens to any more, until the worker has answered them.
    strays: list[Stray] = attrs.Factory(list)
    _seq: int = 0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def __attrs_post_init__(self) -> None:
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child of the host: close what was inherited; the process is another's."""
        self.channel.close()
        self.process.close()
        if self.nursery is not None:
            self.nursery.close()
        log_fd, self.log_fd = self.log_fd, -1
        if log_fd >= 0:
            os.close(log_fd)

    def hear(self) -> FromWorker | None:
        """Return the next whole message, or None; those of strays are passed over.

        Raises:
            ProtocolViolation: for bytes that the protocol forbids.
        """
        if not self.strays:
            return self.channel.next()
        while (message := self.channel.next()) is not None:
            stray = next((each for each in self.strays if each.takes(message)), None)
            if stray is None:
                return message
            if isinstance(message, _LAST):
                self.strays.remove(stray)
                if not self.strays:
                    self.channel.parcels.settle()
        return None

    def ask(self, until: float) -> None:
        """Ask whether it is there; it has time *until* then to answer."""
        self.asked = Asked(self.next_seq(), until)
        self.channel.send(Ping(seq=self.asked.seq))

    def end_forsaken(self, until: float) -> None:
        """Have it end the wrappers that nothing will resume, and say so."""
        while self.forsaken:
            self.channel.send(Forsake(token=self.forsaken[0]))
            del self.forsaken[0]
        self.ask(until)

    def next_seq(self) -> int:
        """Number the next call."""
        self._seq += 1
        return self._seq
