"""Surroundings other than usual, for whoever looks for what results depend on.

Entered in the process that workers come from, before anything that could keep a clock by its name
is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from nxkernel.worker import listings

__all__ = ["enter"]


def enter(told: Mapping[str, Any]) -> None:
    """Take over what the host has *told*, for this process and all that come from it."""
    listings.keep(told.get("listing", "sorted"))
    if told.get("processors"):
        _stay_on(told["processors"])
    if told.get("clock_s"):
        from nxkernel.worker import ahead

        ahead.install(int(told["clock_s"]))


def _stay_on(processors: Sequence[int]) -> None:
    """Run on *processors* alone, and count no others.

    The system lets a process see how many there are, whatever it may use: what asks Python gets
    the answer of a machine that has no more.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)
    number = len(processors)
    for name in ("cpu_count", "process_cpu_count"):
        if hasattr(os, name):
            setattr(os, name, lambda: number)
