"""The table of one operating system."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Sequence

import attrs

from nxkernel._system.children import Children
from nxkernel._system.pollers import Wait
from nxkernel._system.wakers import Waker

__all__ = ["System"]


@attrs.frozen(kw_only=True)
class System:
    """How one operating system waits, wakes and watches."""

    name: str
    #: Makes what will be a descriptor that another thread can make readable, once it is opened.
    waker: Callable[[], Waker]
    #: Waits for descriptors: (waits, one more to read or -1, seconds or None) -> those ready.
    poll: Callable[[Sequence[Wait], int, float | None], set[int]]
    #: Waits for what was registered; for the housekeeping thread.
    selector: Callable[[], selectors.BaseSelector]
    #: Hears of the ends of children that were spawned.
    children: Callable[[], Children]
    #: Whether workers can come from a zygote.
    zygote: bool
    #: Whether the kernel ends a worker whose host died; else it has to watch for that itself.
    death_signal: bool
    #: Whether a pipe can be waited for; else channels are sockets, and a thread reads each log.
    pipes: bool
