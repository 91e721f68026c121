"""The clock as a value: what the kernel is handed instead of reading time itself."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells time to the parts that need it."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""


class SystemClock:
    """The clock of the machine; built by the composition root alone."""

    # The functions themselves: a call looks at the time a dozen times.
    monotonic = staticmethod(time.monotonic)
    wall_ns = staticmethod(time.time_ns)
