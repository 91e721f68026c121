"""The locks of the host that a call may take, and whether this thread holds one of them.

A handler of a signal runs in the main thread between any two steps of whatever that does, and so
does what the garbage collector calls. What it calls in its turn runs on top of a step that cannot
go on before it has returned: under a lock it would find the half of a change, or wait for its own
thread for ever. So whoever begins a call in a thread that is in the middle of another one asks
here first.

They are of the kind that their holder may take again. Few of them are for that; but only of
such a lock the interpreter says whose it is, and from the very step that takes it.

Not among them is what is held while code of the application runs or calls are made: who holds that
can be called on.
"""

from __future__ import annotations

import threading
import weakref

__all__ = ["Lock", "holding", "lock"]

Lock = threading.RLock

#: A plain set, of which a copy is made in one step, whoever adds to it meanwhile.
_known: set[weakref.ref[Lock]] = set()


def lock() -> Lock:
    """Return a new lock."""
    made = threading.RLock()
    _known.add(weakref.ref(made, _known.discard))
    return made


def holding() -> bool:
    """Whether this thread holds one of these locks, of whichever kernel."""
    living = [found for each in list(_known) if (found := each()) is not None]
    # What Condition asks of such a lock as well.
    return any(each._is_owned() for each in living)  # type: ignore[attr-defined]
