"""Processes and ``multiprocessing.Pipe``: what one writes by hand."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.contest import work

NAME = "multiprocessing.Pipe"
NOTE = (
    "plugins forked from the application, with its memory, secrets and descriptors; pickle, which "
    "lets a plugin run code in the application; no deadline, record or restart but what one writes"
)
CANNOT: dict[str, str] = {}
_fork = multiprocessing.get_context("fork")


def _serve(connection: Connection, above: list[Connection]) -> None:
    for each in above:
        each.close()
    with contextlib.suppress(EOFError):
        while True:
            what, value = connection.recv()
            connection.send(("value", _answer(connection, what, value)))


def _answer(connection: Connection, what: str, value: Any) -> Any:
    if what == "pages":
        return work.pages(value)
    if what == "nest":
        connection.send(("ask", value))
        return connection.recv()
    return value


class Fleet:
    """Processes with a pipe each."""

    def __init__(self, count: int) -> None:
        self._connections: list[Connection] = []
        self._processes: list[Any] = []
        for number in range(count):
            self._start(number)

    def _start(self, number: int) -> None:
        ours, theirs = multiprocessing.Pipe()
        self._connections[number : number + 1] = [ours]
        process = _fork.Process(target=_serve, args=(theirs, self._connections), daemon=True)
        process.start()
        theirs.close()
        self._processes[number : number + 1] = [process]

    def _call(self, number: int, what: str, value: Any) -> Any:
        connection = self._connections[number]
        connection.send((what, value))
        while True:
            kind, value = connection.recv()
            if kind == "value":
                return value
            connection.send(self._call(1, "echo", value))

    def echo(self, value: Any) -> Any:
        return self._call(0, "echo", value)

    def pages(self, data: Any) -> int:
        return int(self._call(0, "pages", data))

    def binary(self, data: bytes) -> Any:
        return data

    def everybody(self, value: Any) -> list[Any]:
        for each in self._connections:
            each.send(("echo", value))
        return [each.recv()[1] for each in self._connections]

    def nest(self, value: Any) -> Any:
        return self._call(0, "nest", value)

    def victim(self) -> int:
        return int(self._processes[0].pid)

    def revive(self) -> None:
        self._processes[0].join()
        self._connections[0].close()
        self._start(0)

    def close(self) -> None:
        for connection, process in zip(self._connections, self._processes, strict=True):
            connection.close()
            process.terminate()
        for process in self._processes:
            process.join()


@contextlib.contextmanager
def fleet(count: int) -> Iterator[Fleet]:
    """Fork *count* processes."""
    made = Fleet(count)
    try:
        yield made
    finally:
        made.close()
