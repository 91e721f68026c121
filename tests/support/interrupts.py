"""Interrupts at each place of some code where the interpreter takes one."""

from __future__ import annotations

import dis
import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["interrupted"]

#: Before it goes on from one of these, the interpreter looks whether a signal has come.
_CALLS = {code for name, code in dis.opmap.items() if name.startswith("CALL")}


class _Shot:
    """Raises KeyboardInterrupt at the place that is *number*, counted from 1."""

    def __init__(self, number: int, folder: str) -> None:
        self._left = number
        self._folder = folder
        self._before: dict[FrameType, int] = {}
        #: Frames whose last call was of a function in Python, which returns without a look.
        self._inline: set[FrameType] = set()
        self.where = ""

    def enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        """Count the beginning of a function; every one is a place."""
        if frame.f_back is not None:
            self._inline.add(frame.f_back)
        if self._folder not in frame.f_code.co_filename or _is_final(frame):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self._count(frame)
        return self._step

    def _step(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            before = self._before.get(frame)
            self._before[frame] = frame.f_lasti
            called = before is not None and frame.f_code.co_code[before] in _CALLS
            inline = frame in self._inline
            self._inline.discard(frame)
            if called and not inline:
                self._count(frame)
        return self._step

    def _count(self, frame: FrameType) -> None:
        self._left -= 1
        if self._left == 0:
            self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
            sys.settrace(None)
            raise KeyboardInterrupt


def _is_final(frame: FrameType | None) -> bool:
    """Whether it runs in a ``__del__``, out of which the interpreter lets no exception."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


def interrupted(work: Callable[[], object], number: int, folder: str = "nxkernel") -> str | None:
    """Do *work* with an interrupt at its place *number* in code under *folder*.

    Returns where that was, or None when it has fewer places and was done.
    """
    shot, before = _Shot(number, folder), sys.gettrace()
    # What the collector closes meanwhile would be struck as well, and nobody hears of that.
    collects = gc.isenabled()
    gc.disable()
    try:
        sys.settrace(shot.enter)
        work()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return shot.where or None
