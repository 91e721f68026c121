"""Flags of ``os.open`` and locks on whole files, as far as each system has them.

A flag that a system lacks is 0: Windows closes descriptors at exec by itself, and never waits for
another end when it opens a file.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import Final

__all__ = [
    "BINARY",
    "CLOEXEC",
    "DIRECTORY",
    "NOFOLLOW",
    "NONBLOCK",
    "has_mode",
    "is_others_to_write",
    "is_ours",
    "set_mode",
    "sync_data",
    "sync_folder",
    "try_lock",
    "try_own",
    "unlock",
]

#: Windows would change the ends of lines.
BINARY: Final[int] = getattr(os, "O_BINARY", 0)
CLOEXEC: Final[int] = getattr(os, "O_CLOEXEC", 0)
DIRECTORY: Final[int] = getattr(os, "O_DIRECTORY", 0)
NOFOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
NONBLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)


if sys.platform == "win32":
    import msvcrt

    #: A byte far behind any content: Windows keeps others from reading what is locked.
    _PLACE = 1 << 40

    def try_lock(fd: int, *, shared: bool = False) -> bool:
        """Lock the file for this descriptor; False while another one holds it.

        There are no shared locks here: two readers that look at the same moment see each other.
        """
        os.lseek(fd, _PLACE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def try_own(fd: int, *, shared: bool = False) -> bool:
        """Lock the file for this process; False while another one holds it."""
        return try_lock(fd, shared=shared)

    def unlock(fd: int) -> None:
        """Let go of the lock; closing the descriptor does so too."""
        os.lseek(fd, _PLACE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(fd: int, *, shared: bool = False) -> bool:
        """Lock the file for this descriptor; False while another one holds it.

        *shared*: beside others that share it.
        """
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def try_own(fd: int, *, shared: bool = False) -> bool:
        """Lock the file for this process; False while another one holds it.

        A record lock of POSIX: a fork does not inherit it, a process does not see its own, and
        closing any descriptor of the file lets go of it. *fd* is open for writing, or for reading
        with *shared*: beside others that share it.
        """
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.lockf(fd, kind | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as POSIX leaves it open
            return False
        return True

    def unlock(fd: int) -> None:
        """Let go of the lock; closing the last copy of the descriptor does so too."""
        fcntl.flock(fd, fcntl.LOCK_UN)


def sync_data(fd: int) -> None:
    """Make the content of a file durable, and of the rest what it takes to find it again."""
    if sys.platform == "linux":
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make the names in *folder* durable; Windows does that by itself, and opens no folder."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY | DIRECTORY | CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def set_mode(fd: int, path: str | os.PathLike[str], mode: int) -> None:
    """Set the mode of the open file *fd*, whose name is *path*.

    By its name on Windows, where a mode says read-only or not and nothing else.
    """
    if sys.platform == "win32":
        os.chmod(path, mode)
    else:
        os.fchmod(fd, mode)


def has_mode(found: os.stat_result, mode: int) -> bool:
    """Whether a file has exactly *mode*, as far as this system knows modes."""
    if sys.platform == "win32":
        return stat.S_ISDIR(found.st_mode) or bool(found.st_mode & 0o222) == bool(mode & 0o222)
    return stat.S_IMODE(found.st_mode) == mode


def is_others_to_write(found: os.stat_result) -> bool:
    """Whether a mode lets others write; the lists of Windows are not looked at."""
    return sys.platform != "win32" and bool(found.st_mode & 0o022)


def is_ours(found: os.stat_result) -> bool:
    """Whether a file belongs to this user; Windows keeps owners elsewhere, and says 0 here."""
    return sys.platform == "win32" or found.st_uid == os.geteuid()
