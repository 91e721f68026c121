"""Interrupts at each place of some code where the interpreter takes one."""

from __future__ import annotations

import dis
import gc
import itertools
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

__all__ = ["interrupted", "is_waiting"]

#: How often the work is done without an interrupt first, and how often a place is aimed at.
LOOKS, TRIES = 3, 3
#: Before it goes on from one of these, the interpreter looks whether a signal has come. It does not
#: after an intrinsic of Python 3.12, such as the last one of a generator that is closed.
_CALLS = {
    code
    for name, code in dis.opmap.items()
    if name.startswith("CALL") and not name.startswith("CALL_INTRINSIC")
}
#: And where one of these has gone back, to where a loop begins again.
_LOOPS = {code for name, code in dis.opmap.items() if name.endswith("JUMP_BACKWARD")} | {
    code for name, code in dis.opmap.items() if name.startswith("POP_JUMP_BACKWARD")
}


def is_waiting(thread: int) -> bool:
    """Whether *thread* waits for what its call was sent for: before that nobody can take it on."""
    frames = traceback.walk_stack(sys._current_frames()[thread])
    return any(frame.f_code.co_name in ("_block", "_later") for frame, _ in frames)


#: A place: function, offset in its code or -1 for its beginning, and how often it was met before.
_Place = tuple[str, int, int, int]


class _Shot:
    """Strikes at *target*, and notes the places that it meets until then."""

    def __init__(self, target: _Place | None, folder: str, strike: Callable[[], object]) -> None:
        self._target = target
        self._strike = strike
        self._folder = folder
        self._met: Counter[tuple[str, int, int]] = Counter()
        self._before: dict[FrameType, int] = {}
        #: Frames whose last call was of a function in Python, which returns without a look.
        self._inline: set[FrameType] = set()
        self.places: list[_Place] = []
        self.where: str | None = None

    def enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        """Meet the beginning of a function; every one is a place."""
        if frame.f_back is not None:
            self._inline.add(frame.f_back)
        if self._folder not in frame.f_code.co_filename or _is_final(frame):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self._meet(frame, -1)
        return self._step

    def _step(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            before = self._before.get(frame, -1)
            self._before[frame] = frame.f_lasti
            code = -1 if before < 0 else frame.f_code.co_code[before]
            inline = frame in self._inline
            self._inline.discard(frame)
            again = code in _LOOPS and frame.f_lasti < before
            if again or (code in _CALLS and not inline):
                self._meet(frame, frame.f_lasti)
        return self._step

    def _meet(self, frame: FrameType, offset: int) -> None:
        code = frame.f_code
        spot = (code.co_qualname, code.co_firstlineno, offset)
        place = (*spot, self._met[spot])
        self._met[spot] += 1
        self.places.append(place)
        if place == self._target:
            self.where = f"{code.co_qualname}, line {frame.f_lineno}"
            sys.settrace(None)
            self._strike()


def _is_final(frame: FrameType | None) -> bool:
    """Whether it runs in a ``__del__``, out of which the interpreter lets no exception."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


def _interrupt() -> None:
    raise KeyboardInterrupt


def interrupted(
    work: Callable[[], object],
    folder: str = "nxkernel",
    strike: Callable[[], object] = _interrupt,
) -> Iterator[str | None]:
    """Do *work* again and again, with an interrupt at another of its places in *folder* each time.

    *strike*: what the interrupt does, as the handler of a signal would do it there.

    Yields after each time where that was, or None where the work was done without: at first, to
    see what places there are, and where it did not come by the place. A place is known by what it
    is and not by its number: of two times of the same work one may have more places, as the
    interpreter goes on to specialise it.
    """
    known: dict[_Place, int] = {}
    for place in itertools.chain([None] * LOOKS, _left(known)):
        shot = _struck(work, _Shot(place, folder, strike))
        for met in shot.places:
            known.setdefault(met, 0)
        if place is not None:
            known[place] = TRIES if shot.where else known[place] + 1
        yield shot.where


def _left(known: dict[_Place, int]) -> Iterator[_Place]:
    """Yield a place that is to be struck, for as long as there is one."""
    while left := next((place for place, tries in known.items() if tries < TRIES), None):
        yield left


def _struck(work: Callable[[], object], shot: _Shot) -> _Shot:
    before = sys.gettrace()
    # What the collector closes meanwhile would be struck as well, and nobody hears of that.
    collects = gc.isenabled()
    gc.disable()
    # Python 3.12 tells of opcodes only if a frame asked for them before the trace began.
    sys._getframe().f_trace_opcodes = True
    try:
        sys.settrace(shot.enter)
        work()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
        if collects:
            gc.enable()
    return shot
