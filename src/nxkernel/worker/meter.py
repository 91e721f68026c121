"""What a call used, as far as its own process can tell."""

from __future__ import annotations

import sys
from time import perf_counter_ns, process_time_ns  # by name: a guard may take the module's
from typing import Final

import msgspec

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


#: Where nobody has counted.
_NOBODY: Final = Tally()


class Meter(msgspec.Struct, eq=False):  # made without a step of the interpreter
    """Measures one call, from its making on.

    The processor time is that of the whole process, so that threads of the plugin count. What
    calls on top of this one used is theirs: they say it to :attr:`others_ns`.
    """

    others_ns: int = 0
    #: What passed until it was read, with all calls on top.
    spent_ns: int = 0
    began_wall_ns: int = msgspec.field(default_factory=perf_counter_ns)
    began_ns: int = msgspec.field(default_factory=process_time_ns)
    counted: Tally = _NOBODY

    @property
    def tally(self) -> Tally:
        """Where the call counts its rows."""
        if self.counted is _NOBODY:
            self.counted = Tally()
        return self.counted

    def read(self) -> tuple[int, Used]:
        """Return the microseconds that passed and what was used."""
        spent = self.spent_ns = process_time_ns() - self.began_ns
        own = spent - self.others_ns
        cpu_us = own // 1000 if own > 0 else 0
        return (perf_counter_ns() - self.began_wall_ns) // 1000, Used(
            cpu_us, None if cpu_us < LOOK_US else peak_kb(), self.counted.rows
        )

    def tell(self, below: Meter) -> None:
        """Tell the call *below* of what was read: it is not its own."""
        below.others_ns += self.spent_ns
