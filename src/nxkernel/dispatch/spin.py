"""Looking a little while before blocking, where it is found to be faster and harms nobody.

To be woken by another processor takes 20 to 90 µs, longer than most small calls. Who looks for the
answer for as long as it usually takes has it at once. But he keeps a processor busy, and where
caller and worker would have shared one, he drives the worker off it. Which of the two a machine and
its moment want cannot be known, so it is measured: for each hook some calls block, some look, and
the next thousand do what was faster. Nobody looks while another call is under way in the kernel, or
where there is one processor.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import attrs

from nxkernel._system.pollers import glimpse

__all__ = ["BUDGET_S", "MOST_PUT_OFF", "STAY", "WINDOW", "Look", "Spin"]

#: Waits until a descriptor can be read, or for what the given function blocks for; returns what
#: that says, which is true if anything is ready, or the descriptor in a set.
Look = Callable[[int, Callable[[], Any]], Any]

#: Longest look, in seconds.
BUDGET_S: Final = 100e-6
#: A hook whose answers take longer than this is not worth a look.
_HOPELESS_S: Final = 4 * BUDGET_S
#: Looking has to be so much faster, because it takes the processor from others.
_GAIN: Final = 0.9
#: Calls for each of the two while they are compared; how many times that the better one stays.
WINDOW, STAY = 32, 32
#: Most calls in an event loop that do without a look after one that was for nothing.
MOST_PUT_OFF: Final = 1024


def _processors() -> int:
    """How many this process may use; elsewhere than on Linux nobody has measured this."""
    if sys.platform != "linux":
        return 1
    return len(os.sched_getaffinity(0))


@attrs.define
class _Habit:
    """What calls of one hook do: blocking is measured, then looking, then the better one stays."""

    looks: bool = False
    settled: bool = False
    left: int = WINDOW
    taken: list[float] = attrs.Factory(list)
    blocking_s: float = 0.0

    def told(self, seconds: float = 0.0) -> None:
        """A call has waited for so long; what does not matter where it is settled."""
        if not self.settled:
            self.taken.append(seconds)
        self.left -= 1
        if self.left <= 0:
            self._turn()

    def _turn(self) -> None:
        if self.settled:
            self.looks, self.settled, self.left = False, False, WINDOW
        elif not self.looks:
            self.blocking_s = statistics.median(self.taken)
            self.looks = self.blocking_s < _HOPELESS_S
            self.settled = not self.looks
            self.left = WINDOW * (STAY if self.settled else 1)
        else:
            self.looks = statistics.median(self.taken) < _GAIN * self.blocking_s
            self.settled, self.left = True, WINDOW * STAY
        self.taken = []


@attrs.define(eq=False)
class _Glance:
    """How calls of one hook look that an event loop awaits: never for longer than is worth it."""

    spin: Spin
    #: Calls that are left before one looks again, and how many the next miss puts off.
    left: int = 0
    put_off: int = 1

    def __call__(self, fd: int, _block: Callable[[], Any]) -> bool:
        """Look whether *fd* can be read soon; False at once where it rarely can."""
        if self.spin.processors < 2 or self.spin.calls() != 1:
            return False
        if self.left:
            self.left -= 1
            return False
        if self.spin.look(fd, BUDGET_S):
            self.put_off = 1
            return True
        self.left, self.put_off = self.put_off, min(2 * self.put_off, MOST_PUT_OFF)
        return False


@attrs.define(eq=False, kw_only=True)
class Spin:
    """How the calls of one kernel wait.

    Two threads may meet in one habit. Then each tells it a time less or more, and no more than
    that: neither is alone, and soon nobody looks.
    """

    #: How many calls are under way.
    calls: Callable[[], int]
    processors: int = attrs.field(factory=_processors)
    look: Callable[[int, float], bool] = glimpse
    now: Callable[[], float] = perf_counter
    _habits: dict[str, _Habit] = attrs.Factory(dict)
    _glances: dict[str, _Glance] = attrs.Factory(dict)

    def glance_of(self, hook: str) -> Look:
        """Return what looks for the calls of *hook* that an event loop awaits, and never blocks.

        The loop stands still while it looks. So each time that it was for nothing, twice as many
        calls do without.
        """
        glance = self._glances.get(hook)
        if glance is None:
            glance = self._glances[hook] = _Glance(self)
        return glance

    def wait(self, hook: str, fd: int, block: Callable[[], Any]) -> Any:
        """Wait until *fd* can be read, or for what *block* waits for; return what is ready."""
        if self.processors < 2 or self.calls() != 1:
            return block()
        habit = self._habits.get(hook)
        if habit is None:
            habit = self._habits[hook] = _Habit()
        if habit.settled and not habit.looks and habit.left > 1:
            habit.left -= 1  # as it would do when told
            return block()
        began = self.now()
        ready = {fd} if habit.looks and self.look(fd, BUDGET_S) else block()
        habit.told(self.now() - began)
        return ready
