"""How much lies below some folders: measured without following a link, and in bounded time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from nxkernel._system import files

__all__ = ["ENDLESS", "Ledger"]

#: What an entry counts at least: files without content fill a disk as well.
ENTRY_BYTES: Final = 1024
#: Folders within folders that are looked into; each costs an open file while it is.
DEEPEST: Final = 100
#: Stands for the size of what nests deeper: beyond every limit.
ENDLESS: Final = 1 << 62
_BLOCK: Final = 512
_FOLDER: Final = os.O_RDONLY | files.DIRECTORY | files.NOFOLLOW | files.CLOEXEC


class _TooDeep(Exception):
    """Folders nest deeper than anybody looks."""


@attrs.define
class Ledger:
    """The growth of what lies below *roots*, since the first look."""

    roots: Sequence[str]
    #: The one of them that was made for its plugin, and held nothing before.
    own: str = ""
    _before: int | None = attrs.field(default=None, init=False)

    def growth(self, limit: int | None) -> int:
        """Return by how many bytes it has grown; beyond *limit* it need not be exact.

        The first look gives 0. Space is counted as the disk has it: a sparse file by its blocks, a
        file with two names once.
        """
        if self._before is None:
            self._before = _measure(self.roots, None)
            if self._before >= ENDLESS and _measure([self.own], None) >= ENDLESS:
                # The plugin was faster than the first look: nothing of that was there before.
                self._before = 0
            return 0
        most = None if limit is None else self._before + limit
        return _measure(self.roots, most) - self._before


def _measure(roots: Sequence[str], most: int | None) -> int:
    total, seen = 0, set[tuple[int, int]]()
    try:
        for size, identity in _sizes(roots):
            if identity is not None and identity in seen:
                continue
            if identity is not None:
                seen.add(identity)
            total += size
            if most is not None and total > most:
                return total
    except _TooDeep:
        return ENDLESS
    return total


def _sizes(roots: Sequence[str]) -> Iterator[tuple[int, tuple[int, int] | None]]:
    """Yield the size of each entry, and its identity where it may have another name."""
    for root in sorted(roots):
        try:
            found = os.lstat(root)
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from _below(root, None, DEEPEST)
        else:
            yield _size(found)


def _below(
    name: str, parent: int | None, depth: int
) -> Iterator[tuple[int, tuple[int, int] | None]]:
    """Walk by descriptors: a long path has no name, and a folder may be moved meanwhile."""
    if depth == 0:
        raise _TooDeep
    try:
        folder = os.open(name, _FOLDER, dir_fd=parent)
    except OSError:
        return  # Gone, or no folder any more.
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                yield _size(found)
                if stat.S_ISDIR(found.st_mode):
                    yield from _below(entry.name, folder, depth - 1)
    finally:
        os.close(folder)


def _size(found: os.stat_result) -> tuple[int, tuple[int, int] | None]:
    size = max(ENTRY_BYTES, getattr(found, "st_blocks", found.st_size // _BLOCK) * _BLOCK)
    return size, (found.st_dev, found.st_ino) if found.st_nlink > 1 else None
