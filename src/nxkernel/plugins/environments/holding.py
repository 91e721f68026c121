"""Holding: an environment that a kernel's workers import from is not removed under them."""

from __future__ import annotations

import os
from pathlib import Path

from nxkernel import _forks
from nxkernel._system import files

__all__ = ["Holds"]


class Holds:
    """The environments that one kernel uses; closing lets all of them go."""

    def __init__(self) -> None:
        self._handles: dict[Path, int] = {}
        _forks.register(self)

    def take(self, folder: Path) -> bool:
        """Hold *folder*; False if it is gone, or about to go."""
        if folder in self._handles:
            return True
        with _forks.whole():
            try:
                handle = os.open(folder, os.O_RDONLY | files.DIRECTORY | files.CLOEXEC)
            except OSError:
                return False
            if not _is_locked(handle, folder):
                os.close(handle)
                return False
            self._handles[folder] = handle
        return True

    def close(self) -> None:
        """Let go of everything."""
        while self._handles:
            os.close(self._handles.popitem()[1])

    def abandon(self) -> None:
        """In a forked child: what is held is the parent's."""
        self.close()


def _is_locked(handle: int, folder: Path) -> bool:
    """Lock what was opened, beside others; it may have been moved away before that."""
    try:
        locked = files.try_lock(handle, shared=True)
        return locked and os.path.samestat(os.fstat(handle), folder.stat())
    except OSError:
        return False
