"""Takes in the byte code that a new worker makes before anything of its plugin runs."""

from __future__ import annotations

from nxkernel._clock import Clock
from nxkernel._wire import Compiled, FromWorker
from nxkernel.dispatch.effects import Effects
from nxkernel.host.frame import Frame
from nxkernel.host.launch import Compilation
from nxkernel.host.listening import hear
from nxkernel.host.unanswered import Loss
from nxkernel.host.workers import Worker

__all__ = ["STARTING", "hear_loaded"]

STARTING = "while it was starting"


def hear_loaded(
    clock: Clock, worker: Worker, frame: Frame, compilation: Compilation | None
) -> Effects[tuple[FromWorker | Loss, str]]:
    """Take in what *worker* was asked to compile; return its next word, and when it was said.

    Nothing is taken that was not asked for, or once the plugin may run: the next word is that of
    somebody who does not keep to the protocol.
    """
    if compilation is None:
        return (yield from hear(clock, worker, frame)), STARTING
    try:
        while True:
            current = compilation.current
            message = yield from hear(clock, worker, frame)
            if not isinstance(message, Compiled):
                return message, f"while {current} was compiled" if current else STARTING
            if not compilation.take(message.path, message.data):
                return Loss("violation", "byte code that it was not asked for"), STARTING
    finally:
        compilation.close()
