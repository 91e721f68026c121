"""Folders in a stated order: by name, whatever the file system keeps them by.

The order of ext4 follows from hashes, that of tmpfs from the history, that of a copy from who made
it: a plugin that goes through a folder would see another one on each machine. `glob`, `os.walk`,
`shutil` and `pathlib` ask the two functions that are replaced here; `posix` keeps its own, which
the import system asks.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

__all__ = ["Scan", "install", "keep"]

#: Another order than by name, for whoever looks for results that depend on it.
_kept = "sorted"


def keep(order: str) -> None:
    """List by *order* from now on: ``sorted`` by name, ``reversed``, or ``shuffled`` by a hash."""
    global _kept
    _kept = order


def _in_order(entries: Iterable[Any], name: Callable[[Any], Any]) -> list[Any]:
    found = sorted(entries, key=name, reverse=_kept == "reversed")
    if _kept == "shuffled":
        found.sort(key=lambda entry: hashlib.blake2b(os.fsencode(name(entry))).digest())
    return found


def install() -> None:
    """Sort what `os.listdir` and `os.scandir` give, for the rest of the process."""
    for name, kind in (("listdir", _Listing), ("scandir", _Scanning)):
        original = getattr(os, name)
        stand_in = kind(original)
        setattr(os, name, stand_in)
        if original in os.supports_fd:
            os.supports_fd.add(stand_in)
        _hand_on(name, original, stand_in)


def _hand_on(name: str, original: Any, stand_in: Any) -> None:
    """From Python 3.13 on, `pathlib` goes by a class of `glob` that keeps the function itself."""
    for kind in vars(glob).values():
        kept = vars(kind).get(name) if isinstance(kind, type) else None
        if isinstance(kept, staticmethod) and kept.__func__ is original:
            setattr(kind, name, staticmethod(stand_in))


class _Listing:
    """Stands for `os.listdir`. No function: in a class it would become a method."""

    def __init__(self, original: Any) -> None:
        functools.update_wrapper(self, original)
        self.__module__, self._original = "os", original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """List by name."""
        return _in_order(self._original(*args, **kwargs), _itself)

    def __reduce__(self) -> str:
        """Pickled, and copied, as what `os` calls by this name."""
        return str(self._original.__name__)


class _Scanning(_Listing):
    """Stands for `os.scandir`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Scan by name."""
        with self._original(*args, **kwargs) as entries:
            return Scan(_in_order(entries, _name))


def _itself(name: Any) -> Any:
    return name


def _name(entry: os.DirEntry[Any]) -> Any:
    return entry.name


class Scan(Iterator["os.DirEntry[Any]"]):
    """What `os.scandir` returns: an iterator over entries that can be closed."""

    def __init__(self, entries: list[os.DirEntry[Any]]) -> None:
        self._entries = iter(entries)

    def __next__(self) -> os.DirEntry[Any]:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is left."""
        self._entries = iter(())
