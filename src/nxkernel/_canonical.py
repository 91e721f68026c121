"""Canonical bytes and digests: the only place where bytes become a :data:`Digest`.

Canonical form, version 1: MessagePack as msgspec writes it with ``order="sorted"``, string keys
only, finite floats, integers of 64 bits, bytes as ``bin``, no Unicode normalisation. One extension
type, 1, stands for a blob, by its digest, size and media type. A digest is
``SHA-256(domain || u64le(length) || bytes)``; the domain keeps digests of different things apart
even when their bytes are equal.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nxkernel._blob import MAX_BLOBS, NONE, Blob, Blobs, name_of, reference, referred
from nxkernel._census import MAX_VALUES, has_too_many
from nxkernel._shape import JSON_TYPES, Misshapen, Shape, survey
from nxkernel.types import Digest

__all__ = [
    "DATA",
    "STREAM",
    "NotCanonical",
    "Sequence",
    "blobs_of",
    "bounded",
    "decode",
    "digest",
    "encode",
    "raw_digest",
    "refers",
    "surveyed",
]

#: Domain of values that cross the process boundary.
DATA = b"nx.data.v1\0"
#: Domain of the items of a stream, as they follow one another.
STREAM = b"nx.stream.v1\0"
#: Deepest nesting of lists and maps; jsonschema, the reference, gives up soon after.
MAX_DEPTH = 200
#: What a value is made of: JSON's types, bytes and blobs.
_TYPES = frozenset((*JSON_TYPES, bytes, Blob))
#: The extension type of a reference to a blob.
_BLOB = 1
# The head of such a reference, which is never as short as a form of fixed length. The pattern may
# also match inside a string.
_REFERENCE = re.compile(rb"\xc7[\x2b-\xa7]\x01")


class NotCanonical(ValueError):
    """The bytes or the value have no canonical form."""


def _refer(value: object) -> Any:
    if type(value) is Blob:
        return msgspec.msgpack.Ext(_BLOB, reference(value))
    raise NotCanonical(f"a value of type {type(value).__name__} has no canonical form")


def _resolver(blobs: Blobs) -> Callable[[int, memoryview], Any]:
    """Return what makes a blob of its reference."""

    def resolve(code: int, data: memoryview) -> Blob:
        if code != _BLOB:
            raise NotCanonical(f"extension type {code}")
        try:
            return referred(bytes(data), blobs)
        except ValueError as error:
            raise NotCanonical(str(error)) from None

    return resolve


_encoder = msgspec.msgpack.Encoder(order="sorted", enc_hook=_refer)
_decoder = msgspec.msgpack.Decoder(ext_hook=_resolver(NONE))


def encode(value: Any) -> bytes:
    """Encode plain values to canonical bytes.

    *value* must already be lowered (:func:`nxkernel._values.lower`): this function trusts keys
    and floats.

    Raises:
        NotCanonical: for a type that MessagePack lacks, a lone surrogate, or a cycle.
    """
    try:
        return _encoder.encode(value)
    except (OverflowError, UnicodeEncodeError, RecursionError, TypeError) as error:
        raise NotCanonical(f"no canonical form: {type(error).__name__}") from None


def refers(data: bytes) -> bool:
    """Whether canonical bytes may refer to a blob; most do not, which is told at once."""
    return _REFERENCE.search(data) is not None


def blobs_of(value: Any, data: bytes) -> Blobs:
    """Return the blobs in *value*, whose canonical bytes are *data*, in the order of their names.

    Raises:
        NotCanonical: when there are more than :data:`MAX_BLOBS`.
    """
    if not refers(data):
        return NONE
    found: dict[bytes, Blob] = {}
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is Blob:
            found[name_of(item)] = item
        elif isinstance(item, Mapping):
            stack += item.values()
        elif type(item) is list:
            stack += item
    if len(found) > MAX_BLOBS:
        raise NotCanonical(f"more than {MAX_BLOBS} blobs; send small ones as bytes")
    return {name: found[name] for name in sorted(found)}


def decode(data: bytes, blobs: Blobs = NONE) -> Any:
    """Decode canonical bytes and prove that they are canonical.

    *blobs* are those that the bytes may refer to.

    Raises:
        NotCanonical: for malformed or truncated bytes, another encoding of the same value, a
            non-finite float, an extension type but that of a reference to one of *blobs*, a map
            key that is no string, nesting beyond 200, or more than :data:`MAX_VALUES` values.
    """
    return surveyed(data, blobs).value


def surveyed(data: bytes, blobs: Blobs = NONE) -> Shape:
    """Decode as :func:`decode` does, and return with the value what was seen of it on the way.

    Raises:
        NotCanonical: as :func:`decode`.
    """
    decoder = msgspec.msgpack.Decoder(ext_hook=_resolver(blobs)) if blobs else _decoder
    try:
        value = decoder.decode(bounded(data))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise NotCanonical(f"malformed MessagePack: {type(error).__name__}") from None
    try:
        shape = survey(value, MAX_DEPTH, MAX_VALUES)
    except Misshapen as error:
        raise NotCanonical(str(error)) from None
    if not shape.types <= _TYPES:
        raise NotCanonical("extension type -1")  # a timestamp, which msgspec knows by itself
    if encode(value) != data:
        raise NotCanonical("the bytes are not the canonical encoding of their value")
    return shape.after(data)


def bounded(data: bytes) -> bytes:
    """Return *data*, which are canonical bytes that are about to be sent or decoded.

    Raises:
        NotCanonical: when they hold more than :data:`MAX_VALUES` values.
    """
    if has_too_many(data):
        raise NotCanonical(f"more than {MAX_VALUES} values; send large data as bytes")
    return data


def raw_digest(data: bytes, domain: bytes = DATA) -> bytes:
    """Return the 32 bytes of the domain-separated SHA-256 of *data*."""
    state = hashlib.sha256(domain)
    state.update(struct.pack("<Q", len(data)))
    state.update(data)
    return state.digest()


def digest(data: bytes, domain: bytes = DATA) -> Digest:
    """Return ``sha256:<hex>`` of *data* in *domain*."""
    return Digest("sha256:" + raw_digest(data, domain).hex())


class Sequence:
    """The digest of a sequence of values, of which none has to be kept.

    That of no items is the digest of no bytes; each item makes it the digest of what it was before
    and of the item's own, 32 bytes each, one behind the other.
    """

    def __init__(self) -> None:
        self._state = raw_digest(b"", STREAM)

    def add(self, item: Digest) -> None:
        """Append the item whose canonical bytes have the digest *item*."""
        own = bytes.fromhex(item.removeprefix("sha256:"))
        self._state = raw_digest(self._state + own, STREAM)

    @property
    def digest(self) -> Digest:
        """The digest of the items so far."""
        return Digest("sha256:" + self._state.hex())
