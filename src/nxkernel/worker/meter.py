"""What a call used, as far as its own process can tell."""

from __future__ import annotations

import sys
from time import perf_counter_ns, process_time_ns  # by name: a guard may take the module's
from typing import Final

from nxkernel._tally import Tally
from nxkernel._wire import Used

__all__ = ["LOOK_US", "Meter"]

#: Processor time below which nobody asks how much memory the process had, in microseconds. The
#: question costs about one, which is nothing beside this and a lot beside a small call; and in so
#: little time no process can touch more than a few MiB.
LOOK_US: Final = 200

if sys.platform != "win32":
    import resource

    _UNIT = 1024 if sys.platform == "darwin" else 1  # bytes there, KiB elsewhere

    def peak_kb() -> int | None:
        """Return the most memory that this process ever had, in KiB."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _UNIT

else:

    def peak_kb() -> int | None:
        """Return None: nobody has asked that system yet."""
        return None


class Meter:
    """Measures one call, from its making on.

    The processor time is that of the whole process, so that threads of the plugin count. What
    calls on top of this one used is theirs: they say it to :attr:`others_ns`.
    """

    __slots__ = ("_began_ns", "_began_wall_ns", "_tally", "others_ns")

    def __init__(self) -> None:
        self._tally: Tally | None = None
        self.others_ns = 0
        self._began_wall_ns = perf_counter_ns()
        self._began_ns = process_time_ns()

    @property
    def tally(self) -> Tally:
        """Where the call counts its rows."""
        if self._tally is None:
            self._tally = Tally()
        return self._tally

    def read(self, below: Meter) -> tuple[int, Used]:
        """Return the microseconds that passed and what was used; *below* is told of it."""
        spent = process_time_ns() - self._began_ns
        below.others_ns += spent
        own = spent - self.others_ns
        cpu_us = own // 1000 if own > 0 else 0
        peak = peak_kb() if cpu_us >= LOOK_US else None
        used = Used(cpu_us, peak, None if self._tally is None else self._tally.rows)
        return (perf_counter_ns() - self._began_wall_ns) // 1000, used
