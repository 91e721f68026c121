"""A worker whose interpreter was spawned for it: no zygote made it, so it makes itself ready.

Where the kernel of the operating system ends it with its host, it stays single-threaded, which
confinement demands. Elsewhere a thread watches the lifeline, a pipe that the host holds open: the
main thread may be busy in the plugin when the host dies.
"""

from __future__ import annotations

import base64
import importlib
import os
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from nxkernel.worker import child, outfit, surroundings
from nxkernel.worker.pipe import COMMAND_FD, RESULT_FD, Pipe
from nxkernel.worker.zygote import PRELOAD

__all__ = ["serve"]


def serve(configuration: Mapping[str, Any]) -> NoReturn:
    """Import what forked workers find imported, and become a worker; never returns."""
    parent, ruleset = int(configuration["host_pid"]), int(configuration["ruleset"])
    pipes, lifeline = list(configuration["pipes"]), bool(configuration["lifeline"])
    if lifeline:
        _hold_the_line()
    surroundings.enter(configuration.get("surroundings", {}))
    for name in (*PRELOAD, *configuration["preload"]):
        importlib.import_module(name)
    outfit.put_on()
    if not lifeline:
        rulesets = [ruleset] if ruleset >= 0 else []
        child.main(
            [*pipes, 1, *rulesets], with_ruleset=ruleset >= 0, with_arena=False, parent=parent
        )
    child.live(_wire(pipes, configuration["socket"]), ruleset, parent)


def _wire(pipes: Sequence[int], address: int | str | None) -> Pipe:
    """Return the wire: two pipes, or the socket that we inherited or were given a share of."""
    if sys.platform == "win32":
        end = socket.fromshare(base64.b64decode(str(address)))
        return Pipe(read=end.recv, write=end.send, descriptor=end.fileno())
    _lay_out(*(pipes or (int(str(address)),) * 2))
    if pipes:
        return Pipe()
    end = socket.socket(fileno=COMMAND_FD)
    return Pipe(read=end.recv, write=end.send, descriptor=end.fileno())


def _lay_out(command: int, result: int) -> None:
    """Put the wire's descriptors where they belong."""
    high = child.lift(command), child.lift(result)
    for fd in {command, result}:
        os.close(fd)
    for fd, target in zip(high, (COMMAND_FD, RESULT_FD), strict=True):
        os.dup2(fd, target, inheritable=False)
        os.close(fd)


def _hold_the_line() -> None:
    """End with the host: it alone holds the other end of our standard input."""
    line = os.dup(0) if sys.platform == "win32" else child.lift(0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    threading.Thread(target=_await_the_end, args=(line,), name="nxkernel-line", daemon=True).start()


def _await_the_end(line: int) -> None:
    try:
        while os.read(line, 1):
            continue
    finally:
        os._exit(0)
