"""Walk folders without following a link, even while somebody moves things about.

By descriptors where a system has them: each step is taken from the folder that was looked at, not
from its name. Windows has names only: there each step is looked at before and after.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

from nxkernel._system.files import BINARY, CLOEXEC, DIRECTORY, NOFOLLOW, NONBLOCK, set_mode

__all__ = ["Folder", "by_descriptor", "by_name", "opened"]

_FOLDER: Final = os.O_RDONLY | DIRECTORY | CLOEXEC
#: Not blocking: a fifo in a file's place must not hold anybody up.
_FILE: Final = os.O_RDONLY | NOFOLLOW | NONBLOCK | CLOEXEC | BINARY
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOFOLLOW | CLOEXEC | BINARY


class Folder(Protocol):
    """An open folder. Every method raises OSError; a link where none may be is ELOOP or ENOTDIR."""

    def names(self) -> list[str]:
        """Return the names in it, in no order."""

    def look(self, name: str) -> os.stat_result:
        """Return what *name* itself is; a link is a link."""

    def seen(self) -> os.stat_result:
        """Return what the folder itself is."""

    def enter(self, name: str) -> AbstractContextManager[Folder]:
        """Open the folder *name*."""

    def read(self, name: str) -> AbstractContextManager[int]:
        """Open the file *name* for reading; look at what was opened before you trust it."""

    def create(self, name: str, mode: int) -> AbstractContextManager[int]:
        """Open the new file *name* for writing; it gets *mode* when that went well."""

    def make(self, name: str) -> None:
        """Make the folder *name*, for this user alone."""

    def remove(self, name: str) -> None:
        """Remove the empty folder *name*."""

    def seal(self, mode: int) -> None:
        """Give the folder itself *mode*."""


class _Descriptor:
    """A folder by its descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def names(self) -> list[str]:
        return os.listdir(self._fd)

    def look(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self._fd, follow_symlinks=False)

    def seen(self) -> os.stat_result:
        return os.fstat(self._fd)

    @contextmanager
    def enter(self, name: str) -> Iterator[Folder]:
        with _open(name, _FOLDER | NOFOLLOW, self._fd) as fd:
            yield _Descriptor(fd)

    def read(self, name: str) -> AbstractContextManager[int]:
        return _open(name, _FILE, self._fd)

    @contextmanager
    def create(self, name: str, mode: int) -> Iterator[int]:
        with _open(name, _NEW, self._fd) as fd:
            yield fd
            set_mode(fd, name, mode)

    def make(self, name: str) -> None:
        os.mkdir(name, 0o700, dir_fd=self._fd)

    def remove(self, name: str) -> None:
        os.rmdir(name, dir_fd=self._fd)

    def seal(self, mode: int) -> None:
        set_mode(self._fd, "", mode)


class _Name:
    """A folder by its name."""

    def __init__(self, path: str) -> None:
        self._path = path

    def _at(self, name: str) -> str:
        return os.path.join(self._path, name)

    def names(self) -> list[str]:
        return os.listdir(self._path)

    def look(self, name: str) -> os.stat_result:
        return os.lstat(self._at(name))

    def seen(self) -> os.stat_result:
        return os.lstat(self._path)

    @contextmanager
    def enter(self, name: str) -> Iterator[Folder]:
        path = self._at(name)
        _refuse_link(os.lstat(path), path)
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        yield _Name(path)

    @contextmanager
    def read(self, name: str) -> Iterator[int]:
        path = self._at(name)
        before = os.lstat(path)
        _refuse_link(before, path)
        with _open(path, _FILE) as fd:
            if not os.path.samestat(before, os.fstat(fd)):
                raise OSError(errno.ELOOP, "changed while it was opened", path)
            yield fd

    @contextmanager
    def create(self, name: str, mode: int) -> Iterator[int]:
        path = self._at(name)
        with _open(path, _NEW) as fd:
            yield fd
        os.chmod(path, mode)

    def make(self, name: str) -> None:
        os.mkdir(self._at(name), 0o700)

    def remove(self, name: str) -> None:
        os.rmdir(self._at(name))

    def seal(self, mode: int) -> None:
        os.chmod(self._path, mode)


@contextmanager
def by_descriptor(path: str | os.PathLike[str], *, follow: bool = True) -> Iterator[Folder]:
    """Open the folder *path*; unless *follow* is set, it may be no link itself."""
    with _open(os.fspath(path), _FOLDER | (0 if follow else NOFOLLOW)) as fd:
        yield _Descriptor(fd)


@contextmanager
def by_name(path: str | os.PathLike[str], *, follow: bool = True) -> Iterator[Folder]:
    """Open the folder *path*; unless *follow* is set, it may be no link itself."""
    if not follow:
        _refuse_link(os.lstat(path), os.fspath(path))
    real = os.path.realpath(path, strict=True)
    if not os.path.isdir(real):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), real)
    yield _Name(real)


#: The way of this system.
opened = by_name if sys.platform == "win32" else by_descriptor


@contextmanager
def _open(name: str, flags: int, at: int | None = None) -> Iterator[int]:
    fd = os.open(name, flags, 0o600, dir_fd=at)
    try:
        yield fd
    finally:
        os.close(fd)


def _refuse_link(found: os.stat_result, path: str) -> None:
    """Refuse symbolic links, and on Windows whatever else points to another place (junctions)."""
    attributes: int = getattr(found, "st_file_attributes", 0)
    if stat.S_ISLNK(found.st_mode) or attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
