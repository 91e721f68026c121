"""Blobs: bytes as a value of their own, named by their content.

A blob is what its digest, its size and its media type say; where its bytes lie is nobody's
business but the transport's. So a value that holds one has the same canonical bytes, digest and
seed however the blob crosses: what stands in it is a *reference*, 32 bytes of SHA-256, the size as
eight bytes little-endian, and the media type.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from nxkernel.types import Digest

__all__ = [
    "MAX_BLOBS",
    "NONE",
    "Blob",
    "Blobs",
    "name_of",
    "named",
    "reference",
    "referred",
    "weight",
]

_Bytes = bytes  # within the class, the word is a method
#: Blobs by name, which is the SHA-256 of their bytes.
Blobs = Mapping[bytes, "Blob"]
NONE: Final[Blobs] = MappingProxyType({})
#: Most blobs in one value.
MAX_BLOBS: Final = 1024

_OCTETS: Final = "application/octet-stream"
# RFC 6838, section 4.2, in small letters.
_NAME = "[a-z0-9][a-z0-9!#$&^_.+-]{0,62}"
_MEDIA = re.compile(f"{_NAME}/{_NAME}")
_SHA256, _SIZE = 32, 8
_HEAD: Final = _SHA256 + _SIZE


class Blob:
    """Bytes that cross by their name, with a media type; it never changes.

    Two blobs are equal when their bytes, that is their digests, and their media types are. What is
    read of a blob stays valid for as long as it is held, also after the call that brought it.
    """

    __slots__ = ("__weakref__", "_media", "_name", "_store")

    _media: str
    _name: _Bytes
    _store: _Bytes | memoryview

    def __init__(self, data: Any, media: str = _OCTETS) -> None:
        """Make a blob of the bytes of *data*: bytes, or anything with a buffer, which is copied.

        *media*: ``type/subtype`` in small letters, without parameters.

        Raises:
            TypeError: when *data* has no bytes.
            ValueError: when *media* is no media type.
        """
        store = data if type(data) is bytes else bytes(memoryview(data))
        _set(self, store, hashlib.sha256(store).digest(), _checked(media))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], media: str = _OCTETS) -> Blob:
        """Read the whole file at *path*.

        Raises:
            OSError: when it cannot be read.
            ValueError: when *media* is no media type.
        """
        _checked(media)
        with open(path, "rb") as file:
            return cls(file.read(), media)

    @property
    def digest(self) -> Digest:
        """The content address, ``sha256:<64 hex digits>``: what ``sha256sum`` prints."""
        return cast("Digest", "sha256:" + self._name.hex())

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self._store)

    @property
    def media(self) -> str:
        """The media type."""
        return self._media

    def bytes(self) -> _Bytes:
        """Return its bytes, copied unless they are bytes already."""
        return self._store if type(self._store) is _Bytes else _Bytes(self._store)

    def view(self) -> memoryview:
        """Return its bytes as a read-only view, without a copy."""
        return memoryview(self._store)

    def __bytes__(self) -> _Bytes:
        return self.bytes()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Blob):
            return NotImplemented
        return (self._name, self._media) == (other._name, other._media)

    def __hash__(self) -> int:
        return hash((self._name, self._media))

    def __repr__(self) -> str:
        return f"<Blob {self.digest} {self.size} {self._media}>"

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"a blob does not change: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a blob does not change: {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Blob, (self.bytes(), self._media)


# How messages for people call it, wherever it is defined.
Blob.__module__ = "nxkernel"


def _set(blob: Blob, store: bytes | memoryview, name: bytes, media: str) -> None:
    for slot, value in (("_store", store), ("_name", name), ("_media", media)):
        object.__setattr__(blob, slot, value)


def _checked(media: str) -> str:
    if type(media) is not str or not _MEDIA.fullmatch(media):
        raise ValueError(
            f"{media!r} is no media type; write type/subtype in small letters, without parameters"
        )
    return media


def named(store: bytes | memoryview, name: bytes, media: str = _OCTETS) -> Blob:
    """Return the blob of *store*, which never changes and is known to have this *name*."""
    blob = Blob.__new__(Blob)
    _set(blob, store, name, media)
    return blob


def name_of(blob: Blob) -> bytes:
    """Return the SHA-256 of its bytes."""
    return blob._name


def reference(blob: Blob) -> bytes:
    """Return what stands for *blob* in the value that holds it."""
    return b"%b%b%b" % (blob._name, blob.size.to_bytes(_SIZE, "little"), blob._media.encode())


def referred(data: bytes, blobs: Blobs) -> Blob:
    """Return the blob that a reference names, one of *blobs*.

    Raises:
        ValueError: when it is no reference, or none of *blobs* is what it says.
    """
    name, size, media = data[:_SHA256], data[_SHA256:_HEAD], data[_HEAD:].decode("latin-1")
    if not _MEDIA.fullmatch(media):
        raise ValueError("a reference to a blob is malformed")
    blob = blobs.get(name)
    if blob is None:
        raise ValueError("it refers to a blob that did not come with it")
    if int.from_bytes(size, "little") != blob.size:
        raise ValueError("it refers to a blob of another size")
    return blob if blob._media == media else named(blob._store, name, media)


def weight(blobs: Blobs) -> int:
    """Return how many bytes *blobs* have together."""
    return sum(blob.size for blob in blobs.values())
