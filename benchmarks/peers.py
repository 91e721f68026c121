"""What a user would use instead, for the same work."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["imported_interpreter", "new_interpreter", "pipe_echo", "raw_echo"]

_IMPORTS = "import msgspec, attrs, cattrs"


def _serve(connection: Connection) -> None:
    with contextlib.suppress(EOFError):
        while True:
            connection.send(connection.recv())


@contextlib.contextmanager
def pipe_echo(value: Any) -> Iterator[Callable[[], Any]]:
    """A bare ``multiprocessing.Pipe`` to a process that sends back what it gets."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(theirs,))
    process.start()
    theirs.close()

    def call() -> Any:
        ours.send(value)
        return ours.recv()

    try:
        yield call
    finally:
        ours.close()
        process.terminate()
        process.join()


@contextlib.contextmanager
def raw_echo(data: bytes) -> Iterator[Callable[[], bytes]]:
    """Raw bytes over two pipes, blocking: nearly nothing but the two context switches."""
    down_read, down_write = os.pipe()
    up_read, up_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(down_write)
        os.close(up_read)
        while got := os.read(down_read, 1 << 16):
            os.write(up_write, got)
        os._exit(0)
    os.close(down_read)
    os.close(up_write)

    def call() -> bytes:
        os.write(down_write, data)
        return os.read(up_read, 1 << 16)

    try:
        yield call
    finally:
        os.close(down_write)
        os.waitpid(pid, 0)
        os.close(up_read)


def new_interpreter() -> None:
    """Start an interpreter that imports what a worker has imported, and wait for its end."""
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)


def imported_interpreter() -> float:
    """Return the seconds until a new interpreter has said that its imports are done."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", f"{_IMPORTS}; print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        taken = time.perf_counter() - began
        process.kill()
    return taken
