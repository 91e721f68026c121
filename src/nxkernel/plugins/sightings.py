"""Sightings: what was seen of files when their bytes were hashed, so as not to hash them again.

A sighting holds, of each file, what the system says about it: which file it is, its size, its mode
and when it was last changed. As long as all of that is the same, and no change was so recent that
its time could be that of a later one as well, the bytes are taken for what they were.

The time of change (``st_ctime``) is set by the system and by nobody else: who writes, renames,
links, or sets times or modes moves it. What it cannot tell are writes through a mapping that was
there before. So a sighting of a plugin's own folder only saves looking again: what runs is the
copy. Copies lie where no plugin may write, and nobody maps them. See ADR 0026.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import msgspec

from nxkernel.plugins.intake import MAX_DEPTH, MAX_FILES, FileDigest, Tree, is_leftover
from nxkernel.plugins.sources import Source
from nxkernel.types import Digest

__all__ = ["Moment", "Sightings", "see"]

#: A change within this many nanoseconds before a look may share its time with one after it: file
#: systems count in steps of up to two seconds.
YOUNG_NS = 2 * 10**9
#: Seconds for which one moment is that of all looks: an older one has fewer files pass for old.
SHARED_S = 1.0
#: Windows has no time of change: there, everything is hashed each time.
_CHANGES_HAVE_TIMES: Final = sys.platform != "win32"

#: path, mode, uid, device, inode, size, time of modification, time of change.
Row = tuple[str, int, int, int, int, int, int, int]


class _Record(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What is kept of one folder."""

    rows: list[Row]
    #: path, size and SHA-256 of each file, and the digest of them all; empty for a copy.
    files: list[tuple[str, int, str]]
    digest: str = ""


_decoder = msgspec.msgpack.Decoder(_Record)


def see(
    folder: Path, covers: Callable[[str], bool] | None = None, *, whole: bool = False
) -> list[Row] | None:
    """Return what the system says about each file below *folder*, by path, or None.

    None for what no plugin may have, or for more than it may have. *covers* says what counts.
    *whole*: folders count too, and what tools left behind.
    """
    rows: list[Row] = []
    try:
        _look(os.fspath(folder), "", whole, covers, rows, 0)
        if whole:
            rows.append(_row(".", os.lstat(folder)))
    except (OSError, _TooMuchError):
        return None
    rows.sort()
    return rows


class _TooMuchError(Exception):
    """Not worth keeping."""


def _look(
    folder: str,
    prefix: str,
    whole: bool,
    covers: Callable[[str], bool] | None,
    rows: list[Row],
    depth: int,
) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            if covers is not None and not covers(path):
                continue
            found = entry.stat(follow_symlinks=False)
            mode = found.st_mode
            if not whole and is_leftover(entry.name, mode):
                continue
            if stat.S_ISDIR(mode):
                _look(entry.path, path + "/", whole, covers, rows, depth + 1)
            elif not stat.S_ISREG(mode):
                raise _TooMuchError
            if whole or not stat.S_ISDIR(mode):
                rows.append(_row(path, found))
            if len(rows) > 2 * MAX_FILES or depth > MAX_DEPTH:
                raise _TooMuchError


def _row(path: str, found: os.stat_result) -> Row:
    return (
        path,
        found.st_mode,
        found.st_uid,
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


@attrs.define
class Moment:
    """The time, as the file system has it, from which on bytes are read; and what is kept then."""

    ns: int
    _put: Callable[[bytes, _Record], None]

    def keep(self, copy: Path, before: list[Row] | None) -> None:
        """Keep that the whole of *copy* was as seen *before* all through."""
        if self._is_old(before) and see(copy, whole=True) == before:
            self._put(os.fsencode(copy), _Record(before or [], []))

    def keep_source(self, source: Source, before: list[Row] | None, hashed: Tree) -> None:
        """Keep that *source* held *hashed*, if it was as seen *before* all through."""
        if self._is_old(before) and see(source.folder, source.only) == before:
            listed = [(file.path, file.size, file.sha256) for file in hashed.files]
            self._put(source.key, _Record(before or [], listed, hashed.tree_digest))

    def _is_old(self, rows: list[Row] | None) -> bool:
        return rows is not None and all(row[-1] <= self.ns - YOUNG_NS for row in rows)


class Sightings:
    """A folder of sightings, for one user."""

    def __init__(self, root: Path, now: Callable[[], float] = time.monotonic) -> None:
        """Keep them below *root*, which must be as closed as what they are about.

        *now*: real time, whatever the kernel's clock says: what it bounds is the file system's.
        """
        self._root = root
        self._now = now
        self._moment: Moment | None = None
        self._until = 0.0

    def moment(self) -> Moment:
        """Return one before the first byte is read; what is kept is worth nothing otherwise.

        To ask the file system takes a new file, which costs more than the look at a small plugin.
        """
        now = self._now()
        if self._moment is None or now >= self._until:
            self._moment, self._until = Moment(self._ask(), self._put), now + SHARED_S
        return self._moment

    def _ask(self) -> int:
        """Return the time, as the file system has it."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".at-", dir=self._root)
        try:
            return os.fstat(descriptor).st_ctime_ns
        finally:
            os.close(descriptor)
            os.unlink(name)

    def recall(self, source: Source) -> Tree | None:
        """Return what *source* held when it was hashed, if it has not changed since."""
        record = self._get(source.key)
        if record is None or not record.digest:
            return None
        if see(source.folder, source.only) != record.rows:
            return None
        files = tuple(FileDigest(*row) for row in record.files)
        return Tree(tree_digest=Digest(record.digest), files=files)

    def knows(self, source: Source) -> bool:
        """Whether *source* was hashed before; it may have changed."""
        return self._get(source.key) is not None

    def unchanged(self, copy: Path) -> bool:
        """Whether the whole of *copy* is as it was when it was checked."""
        record = self._get(os.fsencode(copy))
        return record is not None and see(copy, whole=True) == record.rows

    def _get(self, key: bytes) -> _Record | None:
        if not _CHANGES_HAVE_TIMES:
            return None
        try:
            return _decoder.decode(self._file(key).read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None  # Looked at again, as if never seen.

    def _put(self, key: bytes, record: _Record) -> None:
        # What cannot be kept costs a look at the next boot, and nothing else.
        target = self._file(key)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            beside.write_bytes(msgspec.msgpack.encode(record))
            os.replace(beside, target)
        except OSError:
            beside.unlink(missing_ok=True)

    def _file(self, key: bytes) -> Path:
        named = hashlib.sha256(key).hexdigest()
        return self._root / named[:40]
