"""The tables of the systems that lack Linux's ways; both also run on Linux, to be tested."""

from __future__ import annotations

import selectors
import sys

from nxkernel._system.children import ThreadChildren
from nxkernel._system.jobs import JobProcess
from nxkernel._system.pollers import poll, select_ready
from nxkernel._system.system import System
from nxkernel._system.wakers import PipeWaker, SocketWaker

__all__ = ["BSD", "WINDOWS"]

#: Where there are job objects, each child is put into one.
_HOLD = (JobProcess,) if sys.platform == "win32" else ()
#: macOS and the BSDs: no eventfd, no pidfd, no signal when a parent dies.
BSD = System(
    name="bsd",
    waker=PipeWaker,
    poll=poll,
    selector=selectors.DefaultSelector,
    children=lambda: ThreadChildren(PipeWaker),
    zygote=False,
    death_signal=False,
    pipes=True,
)
#: Nothing but sockets can be waited for.
WINDOWS = System(
    name="windows",
    waker=SocketWaker,
    poll=select_ready,
    selector=selectors.SelectSelector,
    children=lambda: ThreadChildren(SocketWaker, *_HOLD),
    zygote=False,
    death_signal=False,
    pipes=False,
)
