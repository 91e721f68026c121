"""The nursery of a template: where the host lays what the process of its next call is to have."""

from __future__ import annotations

import socket
from collections.abc import Sequence

__all__ = ["Nursery"]


class Nursery:
    """A socket to one template. What is laid there lies until the template is told to fork."""

    def __init__(self) -> None:
        """Make it. Raises OSError."""
        self._ends: list[socket.socket] = []
        for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET):
            self._ends.append(end)
        self._ends[0].setblocking(False)

    @property
    def theirs(self) -> int:
        """The template's end, until it has it."""
        return self._ends[1].fileno()

    def lay(self, fds: Sequence[int]) -> None:
        """Lay descriptors there. Raises OSError when the template takes none, or is gone."""
        socket.send_fds(self._ends[0], [b"f"], list(fds))

    def close_theirs(self) -> None:
        """The template has its end: close it here."""
        self._ends[1].close()

    def close(self) -> None:
        """Close both ends; safe to call twice."""
        for end in self._ends:
            end.close()
