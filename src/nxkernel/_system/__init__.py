"""What differs between operating systems when one waits, wakes and watches: one table for each.

The rest of the kernel asks the table and never ``sys.platform``. A table is made of parts that are
chosen one by one, so that those of macOS and Windows also run on Linux, where they are tested.
Standard library alone, and nothing of it that some system lacks is touched before it is used.
"""

from __future__ import annotations

import sys

from nxkernel._system.children import Children
from nxkernel._system.pollers import Wait
from nxkernel._system.portable import BSD, WINDOWS
from nxkernel._system.processes import ChildProcess, Process
from nxkernel._system.system import System
from nxkernel._system.wakers import Waker

__all__ = [
    "BSD",
    "WINDOWS",
    "ChildProcess",
    "Children",
    "Process",
    "System",
    "Wait",
    "Waker",
    "current",
]


def current(platform: str = sys.platform) -> System:
    """Return the table of *platform*; an unknown one is taken for a POSIX system."""
    if sys.platform == "linux" and platform == "linux":
        from nxkernel._system.linux import LINUX

        return LINUX
    return WINDOWS if platform == "win32" else BSD
