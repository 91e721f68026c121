"""rpyc: services in other interpreters, over their standard input and output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rpyc
from rpyc.utils.classic import obtain
from rpyc.utils.factory import connect_subproc

from benchmarks.contest import work

NAME = "rpyc"
NOTE = (
    "a service in a new interpreter for each plugin; values are fetched by `obtain`, which is "
    "pickle: without it each key of a dict is a round trip"
)
CANNOT: dict[str, str] = {}
_TRUST = {"allow_pickle": True, "allow_all_attrs": True, "sync_request_timeout": 60}


class Plugin(rpyc.Service):
    """The plugin's side."""

    def exposed_pid(self) -> int:
        return os.getpid()

    def exposed_echo(self, value: Any) -> Any:
        return obtain(value)

    def exposed_pages(self, data: bytes) -> int:
        return work.pages(data)

    def exposed_nest(self, ask: Any, value: Any) -> Any:
        return obtain(ask(obtain(value)))


class Fleet:
    """Connections to services."""

    def __init__(self, count: int) -> None:
        self._connections = [self._open() for _ in range(count)]

    def _open(self) -> Any:
        arguments = [sys.executable, "-m", "benchmarks.contest.contenders.rpyc_services"]
        connection = connect_subproc(arguments, rpyc.VoidService)
        connection._config.update(_TRUST)
        return connection

    def echo(self, value: Any) -> Any:
        return obtain(self._connections[0].root.echo(value))

    def pages(self, data: Any) -> int:
        return int(self._connections[0].root.pages(data))

    def binary(self, data: bytes) -> Any:
        return data

    def everybody(self, value: Any) -> list[Any]:
        asked = [rpyc.async_(each.root.echo)(value) for each in self._connections]
        return [obtain(each.value) for each in asked]

    def nest(self, value: Any) -> Any:
        def ask(given: Any) -> Any:
            return obtain(self._connections[1].root.echo(obtain(given)))

        return obtain(self._connections[0].root.nest(ask, value))

    def victim(self) -> int:
        return int(self._connections[0].root.pid())

    def revive(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                self._connections[0].root.pid()
        _end(self._connections[0])
        self._connections[0] = self._open()

    def close(self) -> None:
        for each in self._connections:
            _end(each)


def _end(connection: Any) -> None:
    process = connection.proc
    with contextlib.suppress(Exception):
        connection.close()
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            pipe.close()


@contextlib.contextmanager
def fleet(count: int) -> Iterator[Fleet]:
    """Start *count* services."""
    made = Fleet(count)
    try:
        yield made
    finally:
        made.close()


if __name__ == "__main__":
    # As rpyc's own `classic` server does: the connection is standard input and output.
    sys.path.insert(0, str(Path(__file__).parents[3]))
    stream = rpyc.core.stream.PipeStream.from_std()
    rpyc.utils.factory.connect_stream(stream, Plugin, _TRUST).serve_all()
    os._exit(0)  # What stands for standard output now cannot be flushed.
