"""A server that nobody may connect to."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

__all__ = ["Canary", "canary"]


class Canary:
    """A server on the loopback that counts who connects."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/schema.json"

    def hits(self) -> int:
        count = 0
        while True:
            try:
                self.socket.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


@pytest.fixture
def canary() -> Iterator[Canary]:
    """Yield a server that nobody may connect to."""
    server = Canary()
    yield server
    server.socket.close()
