"""Temporary folders that are told from those of the dead: their owner holds a lock on each.

The operating system lets go of the lock whatever way a process ends, so whoever gets it knows that
nobody will come back, and removes what a killed host has left. A process id would not do: it is
reused, and means nothing in another container. Age would not do: a host may run for months.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from nxkernel import _forks
from nxkernel._system import files
from nxkernel._system.removal import discard

__all__ = ["Held", "sweep", "temporary"]

#: The end of a name says that whoever made the folder holds it while he lives. Others are let
#: alone: what a person has named is not ours to remove, nor what another version has made.
_HELD: Final = ".held"
_OURS: Final = re.compile(r"nxkernel-[a-z]+-\w{8}\.held")
_FOLDER: Final = os.O_RDONLY | files.DIRECTORY | files.CLOEXEC | files.NOFOLLOW


@contextmanager
def temporary(kind: str) -> Iterator[Path]:
    """Yield a new folder that goes with this process at the latest, or with the next that looks.

    *kind*: what it is for, in small letters; part of its name.
    """
    sweep()
    folder = Held.new(kind)
    try:
        yield folder.path
    finally:
        folder.remove()


def sweep(root: Path | None = None) -> None:
    """Remove what killed hosts of this user have left in *root*, by default the temporary files.

    In *root* each folder must be one that is held while it is in use. Never waits, and passes over
    what it cannot remove: that is no reason not to start.
    """
    if sys.platform == "win32":
        return  # It opens no folder, so none is held there.
    _settle()
    place = tempfile.gettempdir() if root is None else root
    with suppress(OSError):
        for name in sorted(os.listdir(place)):
            if root is None and not _OURS.fullmatch(name):
                continue
            with suppress(OSError):
                _bury(os.path.join(place, name))


def _settle() -> None:
    """Have `tempfile` find its folder and its names: it takes a lock for the first of each.

    A child that is forked by another thread meanwhile would inherit that lock, and wait for it
    for ever at its own first file.
    """
    with _forks.whole():
        tempfile.mktemp()  # Makes nothing; its name is not used.


def _bury(place: str) -> None:
    """Remove *place* if it is a folder of this user that nobody holds."""
    found = os.lstat(place)
    if not stat.S_ISDIR(found.st_mode) or not files.is_ours(found):
        return
    fd = os.open(place, _FOLDER)
    try:
        if files.try_lock(fd) and _is(fd, place):
            discard(place)
    finally:
        os.close(fd)


def _is(fd: int, place: str | Path) -> bool:
    """Whether the folder *fd* is the one that stands at *place*."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(place))
    except FileNotFoundError:
        return False


class Held:
    """A folder, and the lock that says that its owner lives."""

    def __init__(self, make: Callable[[], Path]) -> None:
        """Take the folder that *make* has made; it is asked again while somebody sweeps that."""
        # No fork before it is registered: a child that kept the lock would outlive its owner.
        with _forks.whole():
            self.path, self._fd = _take(make)
            self._ours = True
            _forks.register(self)

    @classmethod
    def new(cls, kind: str) -> Self:
        """Make one for temporary files. *kind*: what it is for, in small letters."""
        return cls(lambda: Path(tempfile.mkdtemp(prefix=f"nxkernel-{kind}-", suffix=_HELD)))

    def remove(self) -> None:
        """Remove the folder; in a forked child, do nothing: it is its parent's."""
        if self._ours:
            # What cannot be removed now is found by those who sweep.
            with suppress(OSError):
                discard(self.path)
            self.abandon()

    def abandon(self) -> None:
        """Close the descriptor without a word: the lock lives until its last copy is closed."""
        if self._ours:
            self._ours = False
            if self._fd >= 0:
                os.close(self._fd)


def _take(make: Callable[[], Path]) -> tuple[Path, int]:
    """Have a folder made and lock it; the descriptor is -1 where there are no such locks."""
    while True:
        place = make()
        if sys.platform == "win32":
            return place, -1
        with suppress(FileNotFoundError):  # Swept before it was locked, like below.
            fd = os.open(place, _FOLDER)
            if _lock(fd) and _is(fd, place):
                return place, fd
            os.close(fd)


def _lock(fd: int) -> bool:
    """Lock it; False while one who sweeps holds it.

    A file system without locks has none for those who sweep either: there the folder stays.
    """
    try:
        return files.try_lock(fd)
    except OSError:
        return True
