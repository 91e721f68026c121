"""The worker's end of the wire: blocking reads and writes of whole messages."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from functools import partial

from nxkernel._wire import FromHost, FromWorker, Inbox, pack, sole, unpack_from_host

__all__ = ["COMMAND_FD", "RESULT_FD", "HostGone", "Pipe"]

#: The worker reads messages here ...
COMMAND_FD = 3
#: ... and writes its own there, by agreement with the host.
RESULT_FD = 4
_CHUNK = 1 << 16
#: The host bounds what it sends; the worker trusts it.
_MAX_FRAME = 1 << 31


class HostGone(Exception):
    """The host closed its end."""


class Pipe:
    """Whole messages over two pipes, or over what *read* and *write* say."""

    def __init__(
        self,
        command: int = COMMAND_FD,
        result: int = RESULT_FD,
        *,
        read: Callable[[int], bytes] | None = None,
        write: Callable[[bytes | memoryview], int] | None = None,
        descriptor: int | None = None,
    ) -> None:
        """*descriptor*: what *read* reads, to see whether something has come."""
        self._inbox = Inbox(_MAX_FRAME)
        #: Whether something is in there.
        self._left = False
        self._descriptor = command if descriptor is None else descriptor
        self._get = read or partial(os.read, command)
        self._put = write or partial(os.write, result)

    def receive(self) -> FromHost:
        """Return the next message, waiting for it."""
        if not self._left:  # as nearly always; and what comes is nearly always one message
            data = self._get(_CHUNK)
            message = sole(data)
            if message is not None:
                return message
            if not data:
                raise HostGone
            self._inbox.feed(data)
        return self._next()

    def _next(self) -> FromHost:
        """Return the next message of those that came in pieces, or several at once."""
        inbox, self._left = self._inbox, True
        while (body := inbox.next()) is None:
            data = self._get(max(_CHUNK, inbox.missing))
            if not data:
                raise HostGone
            inbox.feed(data)
        self._left = not inbox.empty
        return unpack_from_host(body)

    @property
    def waiting(self) -> bool:
        """Whether the host has said something that nobody took yet."""
        return self._left or bool(select.select([self._descriptor], [], [], 0)[0])

    def send(self, message: FromWorker) -> None:
        """Write *message* whole."""
        data: bytes | memoryview = pack(message)
        # Nearly always all of it fits at once.
        while (written := self._put(data)) < len(data):
            data = memoryview(data)[written:]
