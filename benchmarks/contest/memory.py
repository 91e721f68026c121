"""What processes take: their share of what they have in common, and what is theirs alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["descendants", "settled", "taken"]


def descendants(pid: int) -> set[int]:
    """Return the processes below *pid*."""
    found: set[int] = set()
    left = [pid]
    while left:
        for task in Path(f"/proc/{left.pop()}/task").glob("*/children"):
            children = [int(each) for each in _read(task).split()]
            found.update(children)
            left += children
    return found


def taken(pids: set[int]) -> list[float]:
    """Return PSS and private memory of *pids* together, in MiB, from ``smaps_rollup``."""
    pss = private = 0
    for pid in pids:
        for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
            name, _, rest = line.partition(":")
            if name == "Pss":
                pss += int(rest.split()[0])
            elif name in ("Private_Clean", "Private_Dirty"):
                private += int(rest.split()[0])
    return [pss / 1024, private / 1024]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # It has ended in the meantime.


def settled(pids: Callable[[], set[int]]) -> list[float]:
    """Wait until what they take together grows no more, and return it."""
    before, now = [-1.0], [0.0]
    while now[0] > before[0] + 0.1:
        time.sleep(0.5)
        before, now = now, taken(pids())
    return now
