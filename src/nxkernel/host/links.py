"""What connects a host with a worker that it spawns: a channel each way, and a log."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from typing import Any

import attrs

from nxkernel.host.channel import Channel, SocketChannel

__all__ = ["Link", "pipes", "sockets"]


@attrs.define
class Link:
    """Both ends. The worker's are closed once it has them, the host's with the worker."""

    channel: Channel
    #: The host's end of the worker's standard output and error, or -1 where a thread has it; and
    #: the worker's.
    log: int
    log_end: int
    #: The worker's ends of the channel: its descriptors, or the socket.
    ends: tuple[int, ...] = ()
    socket: socket.socket | None = None

    def close_theirs(self) -> None:
        """Close the worker's ends."""
        for fd in (self.log_end, *self.ends):
            os.close(fd)
        if self.socket is not None:
            self.socket.close()

    def close_ours(self) -> None:
        """Close the host's ends."""
        self.channel.close()
        if self.log >= 0:
            os.close(self.log)

    def close(self) -> None:
        """Close everything."""
        self.close_theirs()
        self.close_ours()


def pipes(max_frame: int) -> Link:
    """Connect by two pipes, the faster way. Raises OSError, and leaves nothing open then."""
    with ExitStack() as opened:
        log, log_end = _pipe(opened)
        command_read, command_write = _pipe(opened)
        result_read, result_write = _pipe(opened)
        channel = Channel(command_write, result_read, max_frame)
        opened.pop_all()
    return Link(channel=channel, log=log, log_end=log_end, ends=(command_read, result_write))


def sockets(max_frame: int) -> Link:
    """Connect by two sockets. Raises OSError, and leaves nothing open then."""
    with ExitStack() as opened:
        log, log_end = _pipe(opened)
        ours, theirs = socket.socketpair()
        opened.pop_all()
    return Link(channel=SocketChannel(ours, max_frame), log=log, log_end=log_end, socket=theirs)


def _pipe(opened: ExitStack[Any]) -> tuple[int, int]:
    ends = os.pipe()
    for fd in ends:
        opened.callback(os.close, fd)
    return ends
