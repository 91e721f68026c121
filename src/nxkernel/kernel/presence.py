"""The state of a kernel in this process: whether it runs, and who may bring it up.

A process that was forked from a kernel's has the kernel, but none of its parts: the first call
there boots it anew, once, whichever thread comes first.
"""

from __future__ import annotations

import threading
from typing import Literal

from nxkernel import _forks
from nxkernel.errors import KernelNotRunning

__all__ = ["Presence", "State"]

State = Literal["new", "booting", "running", "forked", "closed", "failed to boot"]


class Presence:
    """Where a kernel stands in its life. Thread-safe, and right on both sides of a fork."""

    def __init__(self) -> None:
        self.state: State = "new"
        #: Held while a kernel boots anew in a forked child; others wait for it.
        self.lock = threading.RLock()
        self.anew = False
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: what ran or was about to run in the parent does not run here."""
        self.lock, self.anew = threading.RLock(), False
        if self.state in ("booting", "running"):
            self.state = "forked"

    @property
    def absent(self) -> bool:
        """Whether the next call has to wait for a boot in this process."""
        return self.state == "forked" or self.anew

    def check(self) -> None:
        """Raise KernelNotRunning unless it runs."""
        if self.state != "running":
            new = self.state == "new"
            hint = "make the call inside `with kernel:`" if new else "build a new one"
            raise KernelNotRunning(f"the kernel is {self.state}: {hint}")
