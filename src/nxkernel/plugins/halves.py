"""Half copies of plugins that killed hosts left behind: who makes one holds it, others sweep.

A copy is held by a lock on its own folder, which goes with the process that has it; where a system
has no such locks, age alone decides.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nxkernel._system import files

__all__ = ["PREFIX", "held", "sweep"]

#: How the name of a copy begins that is not settled yet.
PREFIX = ".admit-"
#: Seconds after which nobody can still be about to hold what he has made.
_OLD_S = 3600


def sweep(root: Path, now_ns: int, discard: Callable[[Path], None]) -> None:
    """Discard the half copies below *root* that are older than an hour and that nobody holds."""
    for place in sorted(root.glob(PREFIX + "*")):
        # One that another sweeps, or that cannot be removed, is no reason not to start.
        with suppress(OSError):
            if now_ns - place.lstat().st_mtime_ns > _OLD_S * 10**9:
                with held(place) as ours:
                    if ours:
                        discard(place)


@contextmanager
def held(place: Path) -> Iterator[bool]:
    """Hold the folder *place*, whatever its name becomes; False if another does. Never waits."""
    if sys.platform == "win32" or place.is_symlink():
        yield True
        return
    folder = os.open(place, os.O_RDONLY | files.DIRECTORY | files.CLOEXEC)
    try:
        yield _lock(folder)
    finally:
        os.close(folder)


def _lock(folder: int) -> bool:
    try:
        return files.try_lock(folder)
    except OSError:
        return True  # A file system without such locks: age alone decides.
