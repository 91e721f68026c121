"""The worker's end of the wire: blocking reads and writes of whole messages."""

from __future__ import annotations

import os

from nxkernel._wire import FromHost, FromWorker, Inbox, pack, unpack_from_host

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
    """Whole messages over two pipes."""

    def __init__(self) -> None:
        self._inbox = Inbox(_MAX_FRAME)

    def receive(self) -> FromHost:
        """Return the next message, waiting for it."""
        while (body := self._inbox.next()) is None:
            data = os.read(COMMAND_FD, max(_CHUNK, self._inbox.missing))
            if not data:
                raise HostGone
            self._inbox.feed(data)
        return unpack_from_host(body)

    def send(self, message: FromWorker) -> None:
        """Write *message* whole."""
        view = memoryview(pack(message))
        while view:
            view = view[os.write(RESULT_FD, view) :]
