"""A channel of which the system says who wrote: a reply is tied to the process of its call.

Linux's own; never imported on another system, the line below tells mypy the same.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable

from nxkernel._wire import FromWorker
from nxkernel.errors import ProtocolViolation
from nxkernel.host.arena import Arena
from nxkernel.host.channel import SocketChannel

assert sys.platform == "linux"

__all__ = ["SignedChannel", "signed"]

#: What the system says of who wrote: pid, uid, gid.
_CREDENTIALS = struct.Struct("@iii")


class SignedChannel(SocketChannel):
    """A socket of which the system says which process wrote what.

    Whoever writes first is who it belongs to: a byte of anybody else is a violation, even if he has
    a copy of the descriptor.
    """

    def __init__(self, end: socket.socket, max_frame: int, arena: Arena | None = None) -> None:
        #: Who has written, as the host numbers it; 0 before anybody has.
        self.writer = 0
        self._foreign = False
        super().__init__(end, max_frame, arena)

    def _open(self) -> tuple[Callable[[bytes | memoryview], int], Callable[[int], bytes]]:
        self._socket.setblocking(False)
        return self._socket.send, self._signed

    def _signed(self, size: int) -> bytes:
        # No room for descriptors beside it: they are dropped.
        data, ancillary, _, _ = self._socket.recvmsg(size, socket.CMSG_LEN(_CREDENTIALS.size))
        if not data:
            return b""
        writer = next((_CREDENTIALS.unpack(each)[0] for _, _, each in ancillary), 0)
        self.writer = self.writer or writer
        if writer != self.writer or not writer:
            self._foreign = True
            return b""
        return data

    def next(self) -> FromWorker | None:
        """Return the next whole message, or None.

        Raises:
            ProtocolViolation: for bytes that the protocol forbids, or that another has written.
        """
        if self._foreign:
            raise ProtocolViolation("another process than the call's own has written")
        return super().next()


def signed() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of what a `SignedChannel` is made of: ours, theirs. Raises OSError."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs
