"""Remove a folder with all that is in it, whatever a plugin has made of it.

Descriptors lead down and ``..`` leads up again: neither a link that is swapped in, nor a nest that
is deeper than any path or stack, leads anywhere else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable
from typing import Any, Final

import attrs

from nxkernel._system.files import CLOEXEC, DIRECTORY, NOFOLLOW

__all__ = ["discard"]

_FOLDER: Final = os.O_RDONLY | DIRECTORY | NOFOLLOW | CLOEXEC
_PATH: Final[int] = getattr(os, "O_PATH", 0)
#: What its owner needs to look into a folder and to change it.
_FREE: Final = 0o700


@attrs.frozen
class _Level:
    """A folder above the one that is being emptied."""

    #: Which one it is, to be known again on the way up.
    identity: tuple[int, int]
    #: The folder below it that is being emptied.
    name: str
    #: Folders in it that are still to be emptied.
    left: list[str]


def discard(place: str | os.PathLike[str]) -> None:
    """Remove the folder *place*, also where modes forbid it; follow no link.

    Raises:
        OSError: for what cannot be removed, or is moved about meanwhile.
    """
    if sys.platform == "win32":
        shutil.rmtree(place, onerror=_again)
        return
    _empty(os.fspath(place))
    os.rmdir(place)


def _empty(place: str) -> None:
    fd, above = _opened(place), list[_Level]()
    try:
        left = _folders(fd)
        while left or above:
            if left:
                name = left.pop()
                above.append(_Level(_identity(fd), name, left))
                fd = _moved(fd, name)
                left = _folders(fd)
            else:
                level = above.pop()
                fd, left = _moved(fd, ".."), level.left
                if _identity(fd) != level.identity:
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), level.name)
                os.rmdir(level.name, dir_fd=fd)
    finally:
        os.close(fd)


def _folders(fd: int) -> list[str]:
    """Remove all from the folder *fd* but its folders; return those."""
    found = []
    for name in os.listdir(fd):
        if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            found.append(name)
        else:
            os.unlink(name, dir_fd=fd)
    return found


def _moved(fd: int, name: str) -> int:
    """Open *name* below the folder *fd*, which is closed."""
    inner = _opened(name, fd)
    os.close(fd)
    return inner


def _opened(name: str, at: int | None = None) -> int:
    """Open a folder so that it can be emptied."""
    try:
        fd = os.open(name, _FOLDER, dir_fd=at)
    except PermissionError:
        _free(name, at)
        fd = os.open(name, _FOLDER, dir_fd=at)
    try:
        if os.fstat(fd).st_mode & _FREE != _FREE:
            os.chmod(fd, _FREE)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _free(name: str, at: int | None) -> None:
    """Let its owner into a folder that nobody may read."""
    if not _PATH:
        os.chmod(name, _FREE, dir_fd=at, follow_symlinks=False)
        return
    # By its descriptor: at its name there may be a link by now, and chmod would follow it.
    fd = os.open(name, _PATH | _FOLDER, dir_fd=at)
    try:
        os.chmod(f"/proc/self/fd/{fd}", _FREE)
    finally:
        os.close(fd)


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _again(remove: Callable[[str], object], path: str, _error: Any) -> None:
    """Windows removes nothing that is read-only."""
    with contextlib.suppress(OSError):
        os.chmod(path, stat.S_IWRITE)
    remove(path)
