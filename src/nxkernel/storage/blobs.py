"""A write-once store of raw bytes, addressed by their content.

A blob's name is ``sha256:<hex>`` of its bytes and nothing else, so that ``sha256sum`` finds the
same name: the domain-separated digests of :mod:`nxkernel._canonical` are for values, not for raw
bytes. There is no way to delete or replace a blob.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path

from nxkernel._blob import Blob
from nxkernel._system import files
from nxkernel.errors import StorageError
from nxkernel.types import Digest

__all__ = ["BlobStore", "blob_digest"]

_NAME = re.compile(r"sha256:([0-9a-f]{64})")


def blob_digest(data: bytes | Blob) -> Digest:
    """Return the content address of *data*."""
    if isinstance(data, Blob):
        return data.digest
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


class BlobStore:
    """Content-addressed, write-once blobs in a directory of the host's own file system.

    Several processes may put at the same time: a blob appears under its name only once it is
    complete and on disk.
    """

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root)
        self._incoming = self._root / "incoming"
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _failed("create the blob store", error) from error

    def put(self, data: bytes | Blob) -> Digest:
        """Store *data* and return its digest; storing it again changes nothing.

        Of a :class:`Blob` the bytes are stored; its media type belongs into a record.

        Raises:
            StorageError: when the disk refuses, or when the bytes already stored under this name
                are not these bytes.
        """
        digest = blob_digest(data)
        target = self._path(digest)
        if target.exists():
            self.get(digest)
            return digest
        try:
            self._write(data.view() if isinstance(data, Blob) else data, target)
        except OSError as error:
            raise _failed(f"store the blob {digest}", error) from error
        return digest

    def get(self, digest: Digest) -> bytes:
        """Return the bytes named *digest*, hashed again.

        Raises:
            StorageError: for an unknown or malformed name, and for bytes that do not hash to it.
        """
        try:
            data = self._path(digest).read_bytes()
        except FileNotFoundError:
            raise StorageError(f"no blob {digest}; store it before you refer to it") from None
        except OSError as error:
            raise _failed(f"read the blob {digest}", error) from error
        if blob_digest(data) != digest:
            raise StorageError(
                f"the bytes of blob {digest} do not match their name; "
                "restore the file from a copy, the store never overwrites it"
            )
        return data

    def blob(self, digest: Digest, media: str = "application/octet-stream") -> Blob:
        """Return the bytes named *digest* as a value that crosses to plugins.

        Raises:
            StorageError: as :meth:`get`.
            ValueError: when *media* is no media type.
        """
        return Blob(self.get(digest), media)

    def has(self, digest: Digest) -> bool:
        """Whether a blob of this name is stored; :meth:`get` alone checks its bytes."""
        return self._path(digest).is_file()

    def _path(self, digest: Digest) -> Path:
        match = _NAME.fullmatch(digest)
        if match is None:
            raise StorageError(f"{digest!r} is no blob digest; expected sha256:<64 hex digits>")
        name = match[1]
        return self._root / "sha256" / name[:2] / name[2:]

    def _write(self, data: bytes | memoryview, target: Path) -> None:
        """Make *data* durable first, then give it its name without replacing anything."""
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._incoming)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                files.set_mode(file.fileno(), name, 0o444)
                os.fsync(file.fileno())
            # A link, not a rename: a rename would replace what another process stored meanwhile.
            with contextlib.suppress(FileExistsError):
                os.link(name, target)
        finally:
            os.unlink(name)
        files.sync_folder(target.parent)
        files.sync_folder(target.parent.parent)


def _failed(action: str, error: OSError) -> StorageError:
    reason = error.strerror or type(error).__name__
    return StorageError(f"cannot {action}: {reason}; check the disk and the folder's owner")
