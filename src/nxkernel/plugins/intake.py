"""Intake: one walk over a plugin's folder that hashes each file, and copies what it hashes.

A plugin's folder may change at any time, also during the walk. So its files are read once, from
descriptors that follow no link, and what was read is hashed and written.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Protocol, Self, TypeVar

import attrs

from nxkernel import _canonical
from nxkernel._system import folders
from nxkernel._system.folders import Folder
from nxkernel.errors import PluginDisabled
from nxkernel.types import Digest

__all__ = ["FileDigest", "Intake", "Tree", "is_leftover", "is_leftover_path", "tree_digest"]

T = TypeVar("T")
DOMAIN = b"nx.tree.v1\0"
MAX_FILES = 10_000
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_TREE_BYTES = 1024 * 1024 * 1024
#: Deepest folder within a plugin.
MAX_DEPTH = 32
#: Written by tools, never part of a plugin: neither hashed nor copied.
IGNORED_FOLDERS = frozenset(
    {
        *("__pycache__", ".git", ".hg", ".svn", ".idea", ".vscode", ".venv", "node_modules"),
        *(".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".tox"),
    }
)
IGNORED_SUFFIXES = (".pyc", ".pyo", ".swp", "~")
IGNORED_FILES = frozenset({".DS_Store", ".git", "Thumbs.db"})
_CHUNK = 1024 * 1024
#: The descriptor of a copy that is not made.
NOWHERE = -1


@attrs.frozen(order=True)
class FileDigest:
    """One file of a plugin."""

    #: Relative to the plugin's folder, with slashes.
    path: str
    #: In bytes.
    size: int
    #: SHA-256 of the bytes, 64 hexadecimal digits, as ``sha256sum`` prints it.
    sha256: str


@attrs.frozen(kw_only=True)
class Tree:
    """All files of a plugin, as they were hashed."""

    #: Digest over the paths, sizes and contents of all files.
    tree_digest: Digest
    #: In the order of their paths.
    files: tuple[FileDigest, ...]

    @classmethod
    def of(cls, files: Iterable[FileDigest]) -> Self:
        """Return the tree of *files*, in whatever order they come."""
        ordered = tuple(sorted(files, key=_path))
        return cls(tree_digest=tree_digest(ordered), files=ordered)


_path = attrgetter("path")


def tree_digest(files: Iterable[FileDigest]) -> Digest:
    """Return the digest of a tree of *files*: the same for the same files in any order."""
    rows = [[file.path, file.size, bytes.fromhex(file.sha256)] for file in sorted(files, key=_path)]
    return _canonical.digest(_canonical.encode(rows), DOMAIN)


def is_leftover(name: str, mode: int) -> bool:
    """Whether tools wrote what is called *name*: it is no part of a plugin."""
    if stat.S_ISDIR(mode):
        return name in IGNORED_FOLDERS
    return name in IGNORED_FILES or name.endswith(IGNORED_SUFFIXES)


class Target(Protocol):
    """Where copies go."""

    def make(self, name: str) -> None:
        """Make the folder *name*."""

    def remove(self, name: str) -> None:
        """Remove the empty folder *name*."""

    def seal(self, mode: int) -> None:
        """Give the folder itself *mode*."""

    def enter(self, name: str) -> AbstractContextManager[Target]:
        """Open the folder *name*."""

    def create(self, name: str, mode: int) -> AbstractContextManager[int]:
        """Open the new file *name* for writing."""


def is_leftover_path(path: str) -> bool:
    """Whether the file *path* is passed over for its own name, or that of a folder around it."""
    *folders, name = path.split("/")
    return not IGNORED_FOLDERS.isdisjoint(folders) or is_leftover(name, stat.S_IFREG)


@attrs.define
class Intake:
    """One walk over a plugin's folder, counting against the limits."""

    plugin: str
    #: Which files and folders are the plugin's, or None for all.
    covers: Callable[[str], bool] | None = None
    count: int = 0
    size: int = 0
    #: What each name is on a system that tells neither case nor composition apart.
    _names: dict[str, str] = attrs.Factory(dict)

    def refuse(self, path: str, reason: str) -> PluginDisabled:
        """Return the error that says what is wrong with *path*, or with the plugin for ``""``."""
        place = f"{self.plugin}/{path}" if path else self.plugin
        return PluginDisabled(f"{place}: {reason}", details={"path": path})

    def run(self, source: Path, target: Path | None) -> Iterator[FileDigest]:
        """Yield each file of *source*, copied to the empty folder *target*; None copies nothing.

        Raises:
            PluginDisabled: for what no plugin may have, or what changes while it is read.
            OSError: when the copy cannot be written.
        """
        try:
            with folders.opened(source) as at, _opened(target) as to:
                yield from self._folder(at, to, ())
        except (FileNotFoundError, NotADirectoryError):
            raise self.refuse("", "the folder is gone, or changed while it was read") from None
        except PermissionError:
            raise self.refuse("", "the folder cannot be read; change its owner or mode") from None
        if not self.count:
            raise self.refuse("", "the folder holds no files")

    def _folder(self, at: Folder, to: Target, parts: tuple[str, ...]) -> Iterator[FileDigest]:
        if len(parts) > MAX_DEPTH:
            raise self.refuse("/".join(parts), f"folders are nested deeper than {MAX_DEPTH}")
        for name in sorted(at.names()):
            path = "/".join((*parts, name))
            if self.covers is not None and not self.covers(path):
                continue
            mode = at.look(name).st_mode
            if is_leftover(name, mode):
                continue
            self._check_name(path, name)
            self._check_twin(path)
            if stat.S_ISDIR(mode):
                yield from self._subfolder(name, at, to, (*parts, name))
            else:
                self._check_kind(path, mode)
                yield self._file(path, name, at, to)
        to.seal(0o555)

    def _subfolder(
        self, name: str, at: Folder, to: Target, parts: tuple[str, ...]
    ) -> Iterator[FileDigest]:
        to.make(name)
        path = "/".join(parts)
        with self._source(at.enter(name), path) as inner, to.enter(name) as copy:
            files = list(self._folder(inner, copy, parts))
        if not files:
            to.remove(name)  # no digest would know of it
        yield from files

    def _check_name(self, path: str, name: str) -> None:
        if not name.isprintable() or not _is_unicode(name):
            raise self.refuse(ascii(path)[1:-1], "rename it: its name is not printable text")

    def _check_twin(self, path: str) -> None:
        """Two files here that would be one elsewhere: the lockfile could not hold there."""
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        twin = self._names.setdefault(folded, path)
        if twin != path:
            raise self.refuse(
                path,
                f"is the same name as {twin!a} where case and composition of letters do not "
                "count; rename one of them",
            )

    def _check_kind(self, path: str, mode: int) -> None:
        if stat.S_ISLNK(mode):
            raise self.refuse(path, "is a symbolic link; put the file itself in the plugin")
        if not stat.S_ISREG(mode):
            raise self.refuse(path, "is a device, fifo or socket; remove it")

    def _file(self, path: str, name: str, at: Folder, to: Target) -> FileDigest:
        self.count += 1
        if self.count > MAX_FILES:
            raise self.refuse("", f"holds more than {MAX_FILES} files")
        with self._source(at.read(name), path) as source:
            # What was looked at by name may have been swapped since.
            before = os.fstat(source)
            self._check_kind(path, before.st_mode)
            self._check_size(path, before.st_size)
            with to.create(name, 0o444) as copy:
                size, sha256 = self._content(path, source, copy)
            if _moved(before, os.fstat(source)):
                raise self.refuse(path, "changed while it was read; try again")
        return FileDigest(path, size, sha256)

    @contextmanager
    def _source(self, opening: AbstractContextManager[T], path: str) -> Iterator[T]:
        with ExitStack() as stack:
            try:
                opened = stack.enter_context(opening)
            except OSError as error:
                raise self.refuse(path, _why_unread(error)) from None
            yield opened

    def _content(self, path: str, source: int, copy: int) -> tuple[int, str]:
        """Copy to the end, hashing what is written; return size and digest."""
        state = hashlib.sha256()
        size = 0
        while chunk := os.read(source, _CHUNK):
            size += len(chunk)
            self._check_size(path, size)
            state.update(chunk)
            if copy != NOWHERE:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(copy, view) :]
        self.size += size
        return size, state.hexdigest()

    def _check_size(self, path: str, size: int) -> None:
        if size > MAX_FILE_BYTES:
            raise self.refuse(path, f"is too large: {_mib(size)}; a file may have {_LARGEST_FILE}")
        if self.size + size > MAX_TREE_BYTES:
            raise self.refuse(
                path, f"is too large with the files before it; a plugin may have {_LARGEST_TREE}"
            )


def _why_unread(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.ENXIO):
        return "changed while it was read"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "cannot be read; change its owner or mode"
    return f"cannot be read ({errno.errorcode.get(error.errno or 0, 'unknown')})"


def _mib(size: int) -> str:
    return f"{-(-size // 2**20)} MiB"


_LARGEST_FILE, _LARGEST_TREE = _mib(MAX_FILE_BYTES), _mib(MAX_TREE_BYTES)


def _moved(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether somebody wrote to a file between two looks at it."""
    return (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)


def _is_unicode(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


# -- hashing alone -------------------------------------------------------------------------------


class _Nowhere:
    """Takes what is copied, and keeps nothing."""

    def make(self, name: str) -> None:
        pass

    def remove(self, name: str) -> None:
        pass

    def seal(self, mode: int) -> None:
        pass

    @contextmanager
    def enter(self, name: str) -> Iterator[_Nowhere]:
        yield self

    @contextmanager
    def create(self, name: str, mode: int) -> Iterator[int]:
        yield NOWHERE


@contextmanager
def _opened(target: Path | None) -> Iterator[Target]:
    if target is None:
        yield _Nowhere()
        return
    with folders.opened(target) as to:
        yield to
