"""The files that SQLite keeps beside a database, without which a grant of it is of little use."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Final

__all__ = ["SUFFIXES", "with_neighbours"]

#: Rollback journal, index of the write-ahead log, and that log.
SUFFIXES: Final = ("-journal", "-shm", "-wal")


def with_neighbours(paths: Iterable[str], *, of: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return *paths*, each file among them followed by what is there of its three neighbours.

    They are known by their names alone: reading a database's header here would, when it is closed,
    drop every lock that this process holds on it. A symbolic link is no neighbour.

    SQLite removes them, and later makes new ones, when the last one closes the database. A rule of
    Landlock does not cover the new ones, and SQLite fails. A mount of the removed ones goes on
    showing them, and SQLite goes on with them, beside what everybody else sees: at level
    ``isolated`` only those may be shown that cannot be removed.

    Args:
        of: the files whose neighbours are added; None for all.
    """
    wanted = None if of is None else frozenset(of)
    return tuple(
        name
        for path in paths
        for name in (path, *(_neighbours(path) if wanted is None or path in wanted else ()))
    )


def _neighbours(path: str) -> list[str]:
    names = [path + suffix for suffix in SUFFIXES] if _is_file(path) else []
    return [name for name in names if _is_file(name)]


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False
