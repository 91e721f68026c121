"""Wait until one of some descriptors is ready."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import perf_counter
from typing import Protocol

__all__ = [
    "LONGEST_S",
    "Several",
    "Wait",
    "Waiter",
    "glimpse",
    "poll",
    "select_ready",
    "waiter",
    "watcher",
]

#: Longest sleep of one wait, in seconds: poll's argument is a C int of milliseconds.
LONGEST_S = 86_400.0


class Wait(Protocol):
    """One task's wait."""

    @property
    def read(self) -> int:
        """A descriptor to be read."""

    @property
    def write(self) -> int | None:
        """A descriptor with bytes left to write, or None."""


class Waiter(Protocol):
    """A way of its own to wait for one descriptor, for the driver whose turn it is."""

    #: Waits for so many milliseconds; true if there is something to read. The interpreter allows
    #: no second wait beside one that is not over.
    wait: Callable[[int], object]

    def renew(self) -> None:
        """Leave :attr:`wait` to who is in it, and have another."""


if sys.platform != "win32":
    import ctypes

    class _PollFd(ctypes.Structure):
        """``struct pollfd`` of poll(2)."""

        _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))

    #: PyDLL and not CDLL: it keeps the interpreter's lock, for a look is over at once.
    _poll_now = ctypes.PyDLL(None).poll
    _poll_now.argtypes = (ctypes.POINTER(_PollFd), ctypes.c_ulong, ctypes.c_int)
    _poll_now.restype = ctypes.c_int

    def watcher(fd: int) -> Callable[[], object]:
        """Return what looks whether *fd* can be read or has ended, which is true then.

        No other thread takes over the interpreter meanwhile. Not for several threads at once.
        """
        asked = _PollFd(fd, select.POLLIN, 0)
        return partial(_poll_now, ctypes.pointer(asked), 1, 0)

    class _Waiter:
        """As :class:`Waiter` says."""

        __slots__ = ("_fd", "wait")

        def __init__(self, fd: int) -> None:
            self._fd = fd
            self.wait: Callable[[int], object] = _asker(fd)

        def renew(self) -> None:
            self.wait = _asker(self._fd)

    def waiter(fd: int) -> Waiter | None:
        """Return what waits until *fd* can be read; None where there is no such thing."""
        return _Waiter(fd)

    def _asker(fd: int) -> Callable[[int], object]:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return poll.poll

    def glimpse(fd: int, seconds: float) -> bool:
        """Look at *fd* for so long without blocking; return whether it can be read."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        until = perf_counter() + seconds
        while not poll.poll(0):
            if perf_counter() >= until:
                return False
        return True

    class Several:
        """Some descriptors, until each of them can be read."""

        def __init__(self, fds: Iterable[int]) -> None:
            self._poll = select.poll()
            for fd in fds:
                self._poll.register(fd, select.POLLIN)

        def ready(self, milliseconds: int) -> list[int]:
            """Return those that can be read, or have ended, within so many milliseconds."""
            return [fd for fd, _ in self._poll.poll(milliseconds)]

        def done(self, fd: int) -> None:
            """Wait for *fd* no more."""
            self._poll.unregister(fd)

    def poll(waits: Sequence[Wait], ear: int, timeout: float | None) -> set[int]:
        """Return what is ready within *timeout* seconds; for any number of descriptors."""
        if timeout is not None:
            # Rounded up, so that a deadline is never found a fraction of a millisecond too early.
            timeout = int(min(timeout, LONGEST_S) * 1000) + 1
        poll = select.poll()
        if ear < 0 and len(waits) == 1:
            (wait,) = waits
            if wait.write is None:  # as for nearly every call
                poll.register(wait.read, select.POLLIN)
                return {wait.read} if poll.poll(timeout) else set()
        for wait in waits:
            poll.register(wait.read, select.POLLIN)
            if wait.write is not None:
                # The two are one socket, where a channel is one.
                both = select.POLLIN if wait.write == wait.read else 0
                poll.register(wait.write, select.POLLOUT | both)
        if ear >= 0:
            poll.register(ear, select.POLLIN)
        return {fd for fd, _ in poll.poll(timeout)}


else:

    class Several:
        """Some descriptors, until each of them can be read."""

        def __init__(self, fds: Iterable[int]) -> None:
            self._fds = dict.fromkeys(fds)

        def ready(self, milliseconds: int) -> list[int]:
            """Return those that can be read, or have ended, within so many milliseconds."""
            return select.select(list(self._fds), [], [], milliseconds / 1000)[0]

        def done(self, fd: int) -> None:
            """Wait for *fd* no more."""
            del self._fds[fd]

    def watcher(fd: int) -> Callable[[], object]:
        """Return what looks whether *fd* can be read or has ended, which is true then."""
        return lambda: select.select([fd], [], [], 0)[0]

    def waiter(fd: int) -> Waiter | None:
        """Return None: there is no such thing."""
        return None

    def glimpse(fd: int, seconds: float) -> bool:
        """Return False: nobody looks there."""
        return False


def select_ready(waits: Sequence[Wait], ear: int, timeout: float | None) -> set[int]:
    """Return what is ready within *timeout* seconds, as :func:`poll` does.

    Windows has no poll, and selects sockets alone, 512 of them at most; elsewhere descriptors
    above 1023 are a ValueError. There must be something to wait for.
    """
    reads = [wait.read for wait in waits]
    if ear >= 0:
        reads.append(ear)
    writes = [wait.write for wait in waits if wait.write is not None]
    if timeout is not None:
        timeout = min(timeout, LONGEST_S)
    readable, writable, broken = select.select(reads, writes, writes, timeout)
    return {*readable, *writable, *broken}


if sys.platform == "win32":
    poll = select_ready
