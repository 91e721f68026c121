"""What a call waits for: the vocabulary between generators and drivers."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Collection, Generator
from typing import Any, Final, TypeVar

import attrs

from nxkernel._system.pollers import Waiter

__all__ = ["AGAIN_S", "LEAVING", "Effect", "Effects", "Fork", "Gate", "Io", "Offer", "Signal"]

T = TypeVar("T")
#: Seconds after which who blocks his thread looks again. The interpreter goes on with a wait that a
#: signal broke, for the same descriptors, whatever its handler has done meanwhile: a call that it
#: made may have taken this one further, and nothing will come where it is waited for any more.
AGAIN_S: Final = 1.0


class Signal(enum.Enum):
    """Why a wait is over."""

    READY = "ready"
    DEADLINE = "deadline"
    #: The caller went away; every further wait of the same call ends with this at once.
    CANCELLED = "cancelled"
    #: To an :class:`Offer` alone: the consumer wants no more.
    CLOSED = "closed"
    #: To an :class:`Offer` alone: the item is shown to nobody: it may not be, or nobody is there.
    REFUSED = "refused"
    #: To a :class:`Gate` that can tell, alone: what keeps it closed goes on after this call only.
    BARRED = "barred"


class Leaving(threading.local):
    """Whether this thread runs calls whose caller went away: each of their waits ends at once.

    Who goes without a wait where one is usual has to look here first, and to wait then.
    """

    now = False


LEAVING = Leaving()


# None of these is frozen: a call makes several, and that would cost it as much again.


@attrs.define
class Io:
    """Wait until a descriptor can be read, or the other one written."""

    read: int
    #: A descriptor with bytes left to write, or None.
    write: int | None
    #: Absolute, in seconds of the driver's monotonic clock; None waits for ever.
    deadline: float | None
    #: What waits for *read* alone, for who drives this call by hand. None where there is none.
    waiter: Waiter | None = attrs.field(default=None, eq=False, repr=False)
    #: What its call has in its hands until then: its turn on a worker.
    holds: object = attrs.field(default=None, eq=False, repr=False)


@attrs.define
class Gate:
    """Wait until *attempt* returns True; it is tried again whenever the kernel's bell rings."""

    attempt: Callable[[], bool]
    deadline: float | None = None
    #: What the bell is rung with when this gate may have opened; None tries it at every ring.
    key: object = None
    #: As that of :class:`Io`; what its key is goes without saying.
    holds: object = attrs.field(default=None, eq=False, repr=False)
    #: Whether it stays closed until this thread has left what it does at this moment: the calls
    #: that it can take further have only these in their hands. Without it, it is waited for.
    barred: Callable[[Collection[object]], bool] | None = attrs.field(
        default=None, eq=False, repr=False
    )


@attrs.define
class Fork:
    """Run generators side by side; the wait is over when all have returned."""

    branches: tuple[Generator[Any, Any, Any], ...]


@attrs.define
class Offer:
    """Hand an item of a stream to whoever consumes it, and wait until he wants the next one.

    Nobody but the consumer ends this wait: the driver returns meanwhile.
    """

    #: An outcome whose value it is: it is checked as a result is.
    item: Any


Effect = Io | Gate | Fork | Offer
#: A generator that waits by yielding effects. ``Io``, ``Gate`` and ``Offer`` give a
#: :class:`Signal`, ``Fork`` the list of the branches' results in their order.
Effects = Generator[Effect, Any, T]
