"""What the parts of this library do when the application forks their process.

A fork copies descriptors, but none of the threads that use them; and it copies locks as they
stand, also those that another thread holds and will never let go of in the child. So whatever
holds one of these registers here, and in the child it is told to let go: what it held belongs to
the parent.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from nxkernel import _locks

__all__ = ["Part", "Rest", "register", "rest", "whole"]


class Part(Protocol):
    """Something that a forked child inherits and must not use."""

    def abandon(self) -> None:
        """In the child: close what was inherited, take new locks, say nothing to anybody."""


class Rest(Protocol):
    """Something that must not be in use at the moment of a fork."""

    def before_fork(self) -> None:
        """In the thread that forks: come to rest."""

    def after_fork(self) -> None:
        """In the parent, and in a child once all parts are abandoned: go on."""


_parts: weakref.WeakSet[Part] = weakref.WeakSet()
_resting: weakref.WeakSet[Rest] = weakref.WeakSet()
_whole = _locks.lock()


def register(part: Part) -> None:
    """Have *part* abandoned in every child that is forked from now on, while it exists."""
    _parts.add(part)


def rest(thing: Rest) -> None:
    """Have *thing* come to rest for every fork from now on, while it exists."""
    _resting.add(thing)


def whole() -> _locks.Lock:
    """Return the lock under which no fork happens.

    Held for milliseconds, where descriptors exist that nobody has registered yet: a child that
    kept the worker's end of a pipe would keep the host from hearing that the worker has ended.
    """
    return _whole


def _before() -> None:
    _whole.acquire()
    for thing in list(_resting):
        thing.before_fork()


def _after_in_parent() -> None:
    for thing in list(_resting):
        thing.after_fork()
    _whole.release()


def _after_in_child() -> None:
    global _whole
    _whole = _locks.lock()
    broken = [error for part in list(_parts) if (error := _abandoned(part)) is not None]
    # A lock that is held across the fork is held in the child too, and its next fork takes it.
    for thing in list(_resting):
        thing.after_fork()
    if broken:
        raise broken[0]  # Python reports it; nobody above would hear of it.


def _abandoned(part: Part) -> Exception | None:
    """Abandon *part*; one that cannot let go must not keep the others from it."""
    try:
        part.abandon()
    except Exception as error:
        return error
    return None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
