"""execnet: gateways to new interpreters, channels of plain values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import execnet

NAME = "execnet"
NOTE = (
    "a gateway (`popen`) for each plugin, a new interpreter with threads of its own; plain values "
    "alone, in a format of its own in Python"
)
CANNOT: dict[str, str] = {}

#: What runs at the other end; execnet sends it as source.
PLUGIN = """
import os
channel.send(os.getpid())
while True:
    try:
        what, value = channel.receive()
    except EOFError:
        break
    if what == "pages":
        value = len(memoryview(value)[::4096].tobytes())
    elif what == "nest":
        channel.send(("ask", value))
        value = channel.receive()
    channel.send(("value", value))
"""


class Fleet:
    """Gateways with a channel each."""

    def __init__(self, count: int) -> None:
        self._group = execnet.Group()
        self._channels = [self._open() for _ in range(count)]
        self._pids = [channel.receive() for channel in self._channels]

    def _open(self) -> Any:
        return self._group.makegateway("popen").remote_exec(PLUGIN)

    def _call(self, number: int, what: str, value: Any) -> Any:
        channel = self._channels[number]
        channel.send((what, value))
        while True:
            kind, value = channel.receive()
            if kind == "value":
                return value
            channel.send(self._call(1, "echo", value))

    def echo(self, value: Any) -> Any:
        return self._call(0, "echo", value)

    def pages(self, data: Any) -> int:
        return int(self._call(0, "pages", data))

    def binary(self, data: bytes) -> Any:
        return data

    def everybody(self, value: Any) -> list[Any]:
        for each in self._channels:
            each.send(("echo", value))
        return [each.receive()[1] for each in self._channels]

    def nest(self, value: Any) -> Any:
        return self._call(0, "nest", value)

    def victim(self) -> int:
        return int(self._pids[0])

    def revive(self) -> None:
        with contextlib.suppress(EOFError):
            self._channels[0].waitclose()
        self._channels[0] = self._open()
        self._pids[0] = self._channels[0].receive()

    def close(self) -> None:
        self._group.terminate(timeout=5)


@contextlib.contextmanager
def fleet(count: int) -> Iterator[Fleet]:
    """Open *count* gateways."""
    made = Fleet(count)
    try:
        yield made
    finally:
        made.close()
