"""The calls that share a thread: one that blocks it takes the others further.

A builtin runs in the thread that makes its call, or in the event loop of that thread. When it makes
a blocking call in its turn, the worker that this one waits for may be held by a call that only the
same thread would go on with: another provider of the same fan-out, a task of the same loop. So who
blocks a thread steps every call that it finds under way there, as far as that waits for anything.
"""

from __future__ import annotations

import contextvars
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Any

import attrs

from nxkernel.dispatch.effects import Effect, Effects, Io
from nxkernel.dispatch.tasks import Tasks

__all__ = [
    "Alone",
    "Begin",
    "Company",
    "Member",
    "Standby",
    "alone",
    "held_beside",
    "join",
    "occupied",
]


# Neither of the two is frozen: each call makes one of each, and that would cost it as much again.


@attrs.define(eq=False)
class Member:
    """One call that is under way in a thread."""

    tasks: Tasks
    #: Calls of one kernel share a bell; those of others cannot be what is waited for.
    bell: object
    #: Ends the wait of its own driver: what that waits for is about to change.
    disturb: Callable[[], None]
    #: The event loop that goes on with it, or None for a call that blocks its thread.
    loop: object = None
    #: Where it was made: whoever takes it further must not make it a part of his own call.
    context: contextvars.Context = attrs.Factory(contextvars.copy_context)

    @property
    def over(self) -> bool:
        """Whether nothing of it goes on any more, or soon will."""
        return self.tasks.over

    def go_on(self) -> None:
        """Take it as far as it comes; what it raises is for its own driver."""
        if self.tasks.resumable:
            self.disturb()
            self.context.copy().run(self.tasks.go_on)


class _ByHand(ABC):
    """A call that its driver drives by hand.

    Somebody may come into its thread all the same: code of a builtin that calls in its turn, a
    handler of a signal. He makes tasks of it as it stands, and its driver finds them when he looks
    again.
    """

    __slots__ = ("_context", "bell", "taken")

    bell: object
    loop: object = None
    #: The tasks that somebody has made of it.
    taken: Tasks | None
    _context: contextvars.Context

    @property
    @abstractmethod
    def tasks(self) -> Tasks:
        """The call as tasks, made now if nobody has made them before."""

    @property
    def over(self) -> bool:
        """Whether nothing of it goes on any more, or soon will."""
        return self.taken is not None and self.taken.over

    def go_on(self) -> None:
        """Take it as far as it comes; what it raises is for its own driver."""
        if self.tasks.resumable:
            self._context.copy().run(self.tasks.go_on)

    def leave(self) -> None:
        """Be none of the calls of this thread any more; safe to call twice."""
        members = _thread.members
        if self in members:
            members.remove(self)


class Alone(_ByHand):
    """A call that found no other under way in its thread, for as long as it goes on."""

    __slots__ = ("_root", "effect", "result")

    def __init__(self, root: Effects[Any], bell: object) -> None:
        self._root = root
        self.bell, self.taken = bell, None
        self._context = contextvars.copy_context()
        #: What it waits for, while it waits.
        self.effect: Effect | None = None
        #: What it has returned.
        self.result: Any = None

    @property
    def tasks(self) -> Tasks:
        """The call as tasks, made now if nobody has made them before."""
        if self.taken is None:
            effect = self.effect
            if type(effect) is Io and effect.waiter is not None:
                # Its driver is in that wait and stays there, however soon the call is over and
                # the next one waits for the same worker.
                effect.waiter.renew()
            made = Tasks.adopted(self._root)
            if self.taken is None:  # Nobody has come in between, where it was made.
                self.taken = made
                if effect is not None:
                    made.come_back(effect)
        return self.taken


#: Makes tasks of a call that no generator makes yet.
Begin = Callable[[Any], Tasks]


class Standby(_ByHand):
    """A call that no generator makes yet, for as long as its driver waits for it.

    Who comes into the thread meanwhile has one made of it, as its driver would if the answer were
    no usual one.
    """

    __slots__ = ("_begin",)

    def __init__(self, bell: object, begin: Begin) -> None:
        """*begin* is given this. It renews what the driver waits by, who may stay in that."""
        self.bell, self.taken = bell, None
        self._context = contextvars.copy_context()
        self._begin = begin

    @property
    def tasks(self) -> Tasks:
        """The call as tasks, made now if nobody has made them before."""
        if self.taken is None:
            self.leave()  # Who comes now must not begin it as well.
            if self.taken is None:
                self.taken = self._begin(self)
            self.come()
        return self.taken

    def come(self) -> None:
        """Be one of the calls of this thread, while it is waited for."""
        _thread.members += (self,)


class _Thread(threading.local):
    """Who is under way in this thread, the oldest first."""

    def __init__(self) -> None:
        self.members: list[Member | _ByHand] = []


_thread = _Thread()


def _present() -> list[Member | _ByHand]:
    members = _thread.members
    if members:
        # An interrupt may have kept one from taking its leave.
        members[:] = [each for each in members if not each.over]
    return members


def alone(root: Effects[Any], bell: object) -> Alone | None:
    """Make *root* one of the calls of this thread, if no other of its kernel is there.

    Returns None otherwise, and has done nothing.
    """
    if occupied(bell):
        return None
    own, members = Alone(root, bell), _thread.members
    # Not append(): an interrupt may strike after a call, and its driver would know nothing of it.
    members += (own,)
    return own


def occupied(bell: object) -> bool:
    """Whether a call of the kernel with this bell is under way in this thread."""
    members = _thread.members
    return bool(members) and any(each.bell is bell for each in _present())


def join(
    tasks: Tasks,
    bell: object,
    disturb: Callable[[], None] = lambda: None,
    loop: object = None,
) -> Company:
    """Make *tasks* one of the calls of this thread, until its driver leaves."""
    members = _present()
    others = [each for each in members if each.bell is bell]
    own = Member(tasks, bell, disturb, loop)
    members.append(own)
    return Company(own, others)


def held_beside(loop: object, bell: object) -> set[object]:
    """What calls have in their hands that *loop* goes on with as soon as one of them waits.

    Not those below the loop, that block its thread: they stand still until it has ended.
    """
    members = [each for each in _present() if each.bell is bell and each.loop is loop]
    return {each for member in members for each in member.tasks.held}


@attrs.define(eq=False)
class Company:
    """A call, and the others that its driver takes further beside it. Looks like one."""

    member: Member
    others: list[Member | _ByHand]

    def leave(self) -> None:
        """Be none of the calls of this thread any more; safe to call twice."""
        if self.member in _thread.members:
            _thread.members.remove(self.member)

    @property
    def driven(self) -> Tasks | Company:
        """What its driver has to drive: nearly always it is alone."""
        return self if self.others else self.own

    @property
    def own(self) -> Tasks:
        """The call itself."""
        return self.member.tasks

    @property
    def result(self) -> Any:
        """What the call has returned."""
        return self.own.result

    def _all(self) -> list[Tasks]:
        return [self.own, *(member.tasks for member in self.others)]

    @property
    def settled(self) -> bool:
        """Whether the call itself has something for its caller."""
        return self.own.settled

    @property
    def waits(self) -> list[Io]:
        """Descriptors that any of them waits for."""
        return [wait for tasks in self._all() for wait in tasks.waits]

    @property
    def gated(self) -> bool:
        """Whether any of them waits at a gate."""
        return any(tasks.gated for tasks in self._all())

    @property
    def keys(self) -> set[object]:
        """What all their gates are rung by."""
        return {key for tasks in self._all() for key in tasks.keys}

    def deadline(self) -> float | None:
        """The earliest deadline of all waits."""
        found = [tasks.deadline() for tasks in self._all()]
        return min((each for each in found if each is not None), default=None)

    def ready(self, descriptors: set[int]) -> None:
        """Resume the waits for these descriptors."""
        for tasks in self._all():
            tasks.ready(descriptors)

    def expire(self, now: float) -> None:
        """Resume the waits whose deadline has passed."""
        for tasks in self._all():
            tasks.expire(now)

    def retry(self) -> None:
        """Try every gate again."""
        for tasks in self._all():
            tasks.retry()

    @property
    def held(self) -> set[object]:
        """What all of them have in their hands that wait."""
        return {each for tasks in self._all() for each in tasks.held}

    def give_up(self, held: Collection[object]) -> bool:
        """Have the call itself give up what would be waited for in vain, as its tasks do."""
        return self.own.give_up(held)

    def step(self) -> None:
        """Run until everybody waits or the call is over."""
        self.own.step()
        for member in self.others:
            if not self.own.settled:
                member.go_on()
