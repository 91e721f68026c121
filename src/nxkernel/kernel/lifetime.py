"""The lifetime of a kernel: from its composition over boot and changes to its end.

A process that is forked from the kernel's inherits none of its processes. There the first call
boots anew, with parts and a run of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import attrs

from nxkernel.errors import KernelNotRunning, NxError
from nxkernel.kernel.changes import Changes, refuse_inside
from nxkernel.kernel.composition import Composition
from nxkernel.kernel.parts import Parts
from nxkernel.kernel.presence import Presence, State
from nxkernel.kernel.traffic import refuse_holder

__all__ = ["Lifetime"]

T = TypeVar("T")


class Lifetime:
    """Boots the parts of one kernel, hands them out, and takes them down."""

    def __init__(self, given: Composition) -> None:
        self.given = given
        self.parts = Parts(given)
        self._changes = Changes(self.parts)
        #: Where it stands in its life.
        self.presence = Presence()

    def begin(self) -> None:
        """Boot; in a forked child anew.

        Raises:
            KernelNotRunning: when it has begun already.
            CallRejected: in the middle of a step of a call of this thread.
        """
        refuse_holder()
        if self.presence.absent:
            self._boot_anew()
            return
        if self.presence.state != "new":
            raise KernelNotRunning(f"the kernel is {self.presence.state}; build a new one")
        self._boot()

    def end(self) -> None:
        """Take everything down; safe to call twice, and in a forked child that never used it.

        Raises:
            CallRejected: in the middle of a step of a call of this thread.
        """
        refuse_holder()
        if self.presence.state == "running":
            self._shut(self.parts, "closed")
        elif self.presence.state == "forked":
            self.presence.state = "closed"

    def present(self) -> Parts:
        """Return the parts that work in this process."""
        if self.presence.absent:
            self._boot_anew()
        return self.parts

    async def apresent(self) -> Parts:
        """Return what :meth:`present` does, without blocking the event loop."""
        if self.presence.absent:
            await asyncio.to_thread(self._boot_anew)
        return self.parts

    def check(self) -> None:
        """Raise KernelNotRunning unless it runs."""
        self.presence.check()

    def look(self, look: Callable[[Parts], T]) -> T:
        """Return what *look* finds in the parts, and be counted like a call meanwhile.

        Raises:
            CallRejected: in the middle of a step of a call of this thread.
        """
        parts = self.parts
        traffic = parts.traffic
        own = traffic.enter()
        try:
            return look(parts)
        finally:
            traffic.threads[own] -= 1
            traffic.left(own)

    @contextmanager
    def change(self, what: str) -> Iterator[Changes]:
        """A context in which plugins may be changed, by ``kernel.<what>()``.

        Raises:
            CallRejected: in the middle of a call of this thread.
        """
        parts = self.present()
        self.check()
        refuse_inside(parts, what)
        traffic = parts.traffic
        own = traffic.enter()
        try:
            yield self._changes
        finally:
            traffic.threads[own] -= 1
            traffic.left(own)
            # For a process that is forked from here on.
            members = parts.roster.members.values()
            candidates = tuple(m.candidate for m in members if m.candidate is not None)
            self.given = attrs.evolve(self.given, candidates=candidates)

    def _boot(self) -> None:
        self.presence.state = "booting"
        given, parts = self._own()
        try:
            parts.boot()
        except BaseException:
            self._shut(parts, "failed to boot")
            raise
        self.given, self.parts, self._changes = given, parts, Changes(parts)
        _live.add(self)
        self.presence.state = "running"

    def _own(self) -> tuple[Composition, Parts]:
        """Return composition and parts whose run belongs to this process."""
        run = self.given.run.here()
        if run is self.given.run:
            return self.given, self.parts
        given = attrs.evolve(self.given, run=run)
        return given, Parts(given, self.parts.desk.replays.history)

    def _boot_anew(self) -> None:
        """Boot in a forked child, unless another thread was faster."""
        with self.presence.lock:
            if self.presence.state != "forked":
                return
            self.presence.anew = True
            try:
                self._boot()
            finally:
                self.presence.anew = False

    def _shut(self, parts: Parts, state: State) -> None:
        self.presence.state = state
        _live.discard(self)
        parts.shut()


#: Kernels that run, for the end of the program.
_live: weakref.WeakSet[Lifetime] = weakref.WeakSet()


def _end_all() -> None:
    """End what the program leaves running: its run has an end, its workers are asked first."""
    for lifetime in list(_live):
        with suppress(NxError):
            lifetime.end()


atexit.register(_end_all)
