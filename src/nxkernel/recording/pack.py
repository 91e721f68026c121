"""The file of a recording: appended to by one kernel, read by anybody."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

import attrs

from nxkernel import _locks
from nxkernel._blob import NONE, Blob, Blobs, name_of
from nxkernel._canonical import raw_digest
from nxkernel.errors import IntegrityError, StorageError
from nxkernel.recording.frames import MAGIC, Damage, Frame, frame, frames_of

__all__ = ["NAME", "Pack", "PackWriter", "raw_name"]

#: Of the file in the run directory.
NAME: Final = "recording.pack"
_SHA256 = 32
NO_VALUES: Mapping[bytes, bytes] = MappingProxyType({})
#: Names that a writer remembers, so that it writes no object twice in a row. Twice is allowed:
#: what a host remembers must not grow with the run.
_REMEMBERED = 65_536


def raw_name(digest: str) -> bytes:
    """Return the 32 bytes of ``sha256:<hex>``."""
    return bytes.fromhex(digest.removeprefix("sha256:"))


class PackWriter:
    """Appends to one recording; safe for threads. What is written survives a SIGKILL of the host.

    Raises:
        StorageError: ``recording.failed``, when the file cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = _locks.lock()
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._size = 0
        try:
            self._file = open(path, "xb", buffering=0, opener=_private)  # noqa: SIM115
        except OSError as error:
            raise self._failed(error) from None
        self._write(MAGIC)

    def append(
        self, *records: bytes, values: Mapping[bytes, bytes] = NO_VALUES, blobs: Blobs = NONE
    ) -> None:
        """Append objects that are not there yet, then the frames *records*, as one piece.

        *values*: canonical bytes by the 32 bytes of their digest.
        """
        with self._lock:
            known = self._known
            objects = [frame("v", k, v) for k, v in values.items() if k not in known]
            objects += [frame("b", k, v.view()) for k, v in blobs.items() if k not in known]
            self._write(b"".join((*objects, *records)))
            self._remember((*values, *blobs))

    def _remember(self, names: Iterable[bytes]) -> None:
        for name in names:
            self._known[name] = None
            self._known.move_to_end(name)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _write(self, data: bytes) -> None:
        """Write all of *data* or nothing: half a frame in the middle would damage the file."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except (OSError, ValueError) as error:
            self._undo()
            raise self._failed(error) from None
        self._size += len(data)

    def _undo(self) -> None:
        with suppress(OSError, ValueError):
            self._file.truncate(self._size)
            self._file.seek(self._size)

    def _failed(self, error: OSError | ValueError) -> StorageError:
        why = getattr(error, "strerror", None) or "it is closed"
        return StorageError(
            f"the recording {self._path.name} of {self._path.parent.name} cannot be written: {why}",
            code="recording.failed",
        )

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()


def _private(path: str, flags: int) -> int:
    """Open for this user alone: it holds what calls and answers hold."""
    return os.open(path, flags, 0o600)


@attrs.define(eq=False)
class Pack:
    """A recording's file, opened for reading: its objects by name, its records in order.

    The index of objects is built by one pass over the heads; bodies are read, and checked against
    their names, when they are asked for.
    """

    path: Path
    _file: BinaryIO
    _objects: dict[bytes, Frame] = attrs.Factory(dict)
    #: Frames that are no objects, in order.
    records: list[Frame] = attrs.Factory(list)
    #: Bytes at the end that are no whole frame: the host was ended in the middle of a write.
    torn: int = 0

    @classmethod
    def open(cls, path: Path) -> Pack:
        """Open the recording at *path*, or in the run directory *path*.

        Raises:
            StorageError: ``recording.missing``, when there is none.
            IntegrityError: ``recording.damaged``, when it is not what was written.
        """
        path = path / NAME if path.is_dir() else path
        try:
            file = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise StorageError(
                f"{path} cannot be read: {error.strerror}; a run is recorded when its stack lists "
                "nx.Recording(run)",
                code="recording.missing",
            ) from None
        pack = cls(path, file)
        try:
            pack._scan()
        except BaseException:
            pack.close()
            raise
        return pack

    def _scan(self) -> None:
        size, end = self._file.seek(0, os.SEEK_END), len(MAGIC)
        try:
            for found in frames_of(self._read, size):
                end = found.start + found.size
                if found.kind in "vb":
                    self._objects.setdefault(self._read(found.start, _SHA256), found)
                else:
                    self.records.append(found)
        except Damage as error:
            raise self._damaged(str(error)) from None
        self.torn = max(0, size - end)

    def _read(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)

    def body(self, found: Frame) -> bytes:
        """Return the body of a frame.

        Raises:
            IntegrityError: ``recording.damaged``.
        """
        try:
            return found.checked(self._read(found.start, found.size))
        except Damage as error:
            raise self._damaged(str(error)) from None

    def value(self, digest: str) -> bytes:
        """Return the canonical bytes with that digest.

        Raises:
            IntegrityError: ``recording.damaged``, when they are not there, or others are.
        """
        name = raw_name(digest)
        data = self._object(name, "v")
        if raw_digest(data) != name:
            raise self._damaged(f"the value {digest} has other bytes than its name says")
        return data

    def blobs(self, names: tuple[bytes, ...]) -> Blobs:
        """Return the blobs of these names.

        Raises:
            IntegrityError: ``recording.damaged``, when one is not there, or has other bytes.
        """
        return {name: self._blob(name) for name in names}

    def _blob(self, name: bytes) -> Blob:
        blob = Blob(self._object(name, "b"))
        if name_of(blob) != name:
            raise self._damaged(f"the blob {name.hex()} has other bytes than its name says")
        return blob

    def _object(self, name: bytes, kind: str) -> bytes:
        found = self._objects.get(name)
        if found is None or found.kind != kind:
            raise self._damaged(f"the object {name.hex()} is not in it")
        return self.body(found)[_SHA256:]

    def _damaged(self, what: str) -> IntegrityError:
        return IntegrityError(f"{self.path}: {what}", code="recording.damaged")

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()
