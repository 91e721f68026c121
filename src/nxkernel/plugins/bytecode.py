"""Byte code of one plugin for one interpreter: compiled once, by a worker that ran no plugin code.

A worker compiles its plugin's verified copy before it imports the first line of it, and hands over
what comes out. That is kept as verified copies are: named by its digest, closed to writing, and
checked before it is used. A plugin that breaks its own compiler gains nothing: what it made is
loaded by its own workers alone, which run its code anyway. See ADR 0029.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from nxkernel._system.files import is_ours
from nxkernel._temporary import Held
from nxkernel.errors import NxError, PluginDisabled
from nxkernel.plugins.codestore import CodeStore, survey
from nxkernel.plugins.intact import is_intact
from nxkernel.plugins.sightings import Sightings, see

__all__ = ["Bytecode", "Compilation", "sources_of"]

#: Larger sources are compiled at each import: their byte code would be a frame of many megabytes.
MAX_SOURCE = 4 * 1024 * 1024
#: Most bytes of byte code that are kept of one plugin.
MAX_BYTES = 256 * 1024 * 1024
#: Most bytes of it that the host holds until it is whole: most plugins have less.
IN_MEMORY = 256 * 1024
#: How a file of byte code ends; not ``.pyc``: no tool takes it for one of its own.
SUFFIX = ".bytecode"
#: Bytes of a file's name, at most; a source of a longer one is compiled at each import.
_LONGEST = 255
_NAME = re.compile(r"[0-9a-f]{64}")


def sources_of(paths: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """Return which of a plugin's files, each with its size in bytes, are worth compiling ahead."""
    return tuple(path for path, size in paths if path.endswith(".py") and size <= MAX_SOURCE)


class Bytecode:
    """A folder of byte code, for the workers of one plugin under one interpreter."""

    def __init__(self, place: Path, sources: Sequence[str], seen: Sightings | None) -> None:
        """*place*: the folder, made if it is missing. *sources*: what is compiled, by path."""
        self.sources = tuple(sources)
        self._seen = seen
        self._store = CodeStore(place, seen)
        self._found: Path | None = None

    @property
    def place(self) -> str:
        """The folder that workers may read, whatever comes to lie in it."""
        return str(self._store.root)

    def ready(self) -> str:
        """Return the folder of what was compiled, checked; ``""`` if that is still to be done."""
        if self._found is None:
            names = [name for name in os.listdir(self._store.root) if _NAME.fullmatch(name)]
            places = (self._store.root / name for name in sorted(names))
            self._found = next(filter(self._is_right, places), None)
        return str(self._found or "")

    def compilation(self) -> Compilation:
        """Return what takes in the byte code that a worker makes of the sources."""
        return Compilation(self)

    def keep(self, compiled: Path | Mapping[str, bytes]) -> None:
        """Keep what was compiled, into a folder or by path; else it is compiled again."""
        with suppress(NxError, OSError):
            if isinstance(compiled, Path):
                self._found = self._store.admit(compiled).path
            elif compiled:
                self._found = self._store.put(compiled)

    def _is_right(self, place: Path) -> bool:
        if self._seen is not None and self._seen.unchanged(place):
            return True
        try:
            return self._is_whole(place)
        except (PluginDisabled, OSError):
            return False

    def _is_whole(self, place: Path) -> bool:
        """Whether everything in *place* is what its name says; then that is kept in mind."""
        if not is_ours(place.lstat()):
            return False
        if self._seen is None:
            return _holds_its_name(place)
        moment = self._seen.moment()
        before = see(place, whole=True)
        whole = _holds_its_name(place)
        if whole:
            moment.keep(place, before)
        return whole


def _holds_its_name(place: Path) -> bool:
    tree = survey(place)
    return tree.tree_digest == f"sha256:{place.name}" and is_intact(place, tree.files)


class Compilation:
    """Takes in the byte code of one plugin, in the order of its sources."""

    def __init__(self, bytecode: Bytecode) -> None:
        self._bytecode = bytecode
        self._left = list(bytecode.sources)
        self._size = 0
        #: What has come, by path; in a folder once it is more than `IN_MEMORY`.
        self._files: dict[str, bytes] = {}
        self._folder: Held | None = None

    @property
    def current(self) -> str:
        """The source that is being compiled, or ``""`` when all are done."""
        return self._left[0] if self._left else ""

    def take(self, path: str, data: bytes) -> bool:
        """Take the byte code of *path*, empty if it has none; False if that was not its turn."""
        if path != self.current or not path:
            return False
        del self._left[0]
        self._size += len(data)
        name = os.fsencode(path.rpartition("/")[2] + SUFFIX)
        if data and self._size <= MAX_BYTES and len(name) <= _LONGEST:
            self._files[path + SUFFIX] = data
            if self._size > IN_MEMORY:
                self._spill()
        if not self._left:
            self._settle()
        return True

    def _spill(self) -> None:
        """Write what is held to a folder, so that no plugin fills the host's memory."""
        files, self._files = self._files, {}
        for path, data in files.items():
            with suppress(OSError):
                self._write(path, data)

    def _write(self, path: str, data: bytes) -> None:
        if self._folder is None:
            self._folder = Held.new("compiled")
        target = self._folder.path / PurePosixPath(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def _settle(self) -> None:
        if self._size <= MAX_BYTES:
            self._bytecode.keep(self._files if self._folder is None else self._folder.path)
        self.close()

    def close(self) -> None:
        """Drop what was not kept; closing twice is nothing."""
        self._files = {}
        if self._folder is not None:
            self._folder.remove()
            self._folder = None
