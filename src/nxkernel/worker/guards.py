"""Guards in Python: early and clear behaviour for ordinary code, never a wall.

The filter refuses every change of mode and times, because it cannot see whose file it is. Ordinary
code makes such changes to its own files all the time (`shutil.copy`, `zipfile`, `tarfile`), so in
the plugin's own folders they become no-ops that are recorded. Anywhere else the kernel answers.
"""

from __future__ import annotations

import functools
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = ["FileShims", "install_file_shims"]

_SHIMMED: Final = ("chmod", "fchmod", "lchmod", "utime")
#: Recorded at most; the count goes on.
_KEPT: Final = 64


class FileShims:
    """What was passed over: changes of mode and times below the write roots."""

    def __init__(self, write_roots: Sequence[str] = ()) -> None:
        self._roots: Sequence[str] = ()
        self.cover(write_roots)
        #: Every change that was passed over.
        self.count = 0
        #: The last of them: name of the function, path or descriptor.
        self.skipped: deque[tuple[str, str]] = deque(maxlen=_KEPT)

    def cover(self, write_roots: Sequence[str]) -> None:
        """Have changes below *write_roots* passed over, and no others."""
        # Where they really are is looked up when there is a change: most plugins make none.
        self._roots = write_roots

    def covers(self, target: Any, *, dir_fd: int | None, follow_symlinks: bool) -> bool:
        """Say whether *target*, a path or a descriptor, is a file of the plugin's own.

        Raises OSError where the file does not exist, like the call that it stands for.
        """
        if isinstance(target, int):
            return _is_writable_file(target)
        os.stat(target, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        if dir_fd is not None:
            return False  # without /proc its path cannot be known
        path = os.path.realpath(os.fsdecode(target))
        roots = map(os.path.realpath, self._roots)
        return any(path == root or path.startswith(root + os.sep) for root in roots)

    def record(self, function: str, target: Any) -> None:
        """Note one change that was passed over."""
        self.count += 1
        shown = str(target) if isinstance(target, int) else os.fsdecode(target)
        self.skipped.append((function, shown))


def install_file_shims(write_roots: Sequence[str] = ()) -> FileShims:
    """Make chmod and utime below *write_roots* recorded no-ops; return the record.

    Replaces functions of the module `os`, for the rest of the process.
    """
    shims = FileShims(write_roots)
    for name in _SHIMMED:
        original = getattr(os, name, None)
        if original is not None:
            _replace(name, original, _shim(name, original, shims))
    return shims


def _shim(name: str, original: Callable[..., None], shims: FileShims) -> Callable[..., None]:
    @functools.wraps(original)
    def shim(target: Any, *args: Any, **kwargs: Any) -> None:
        where = {
            "dir_fd": kwargs.get("dir_fd"),
            "follow_symlinks": kwargs.get("follow_symlinks", True),
        }
        if shims.covers(target, **where):
            shims.record(name, target)
        else:
            original(target, *args, **kwargs)

    return shim


def _replace(name: str, original: Callable[..., None], shim: Callable[..., None]) -> None:
    setattr(os, name, shim)
    # The library asks these sets which keywords a function takes.
    for supporting in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if original in supporting:
            supporting.add(shim)


def _is_writable_file(descriptor: int) -> bool:
    """Only files below a write root can be open for writing here: the kernel saw to that."""
    if sys.platform == "win32":
        return False
    import fcntl

    mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    return mode != os.O_RDONLY and stat.S_ISREG(os.fstat(descriptor).st_mode)
