"""Canonical bytes and digests: the only place where bytes become a :data:`Digest`.

Canonical form, version 1: MessagePack as msgspec writes it with ``order="sorted"``, string keys
only, finite floats, integers of 64 bits, bytes as ``bin``, no Unicode normalisation. One extension
type, 1, stands for a blob, by its digest, size and media type. A digest is
``SHA-256(domain || u64le(length) || bytes)``; the domain keeps digests of different things apart
even when their bytes are equal.
"""

from __future__ import annotations

import hashlib
import marshal
import re
import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any

import msgspec

from nxkernel._blob import MAX_BLOBS, NONE, Blob, Blobs, name_of, reference, referred
from nxkernel._census import MAX_VALUES, has_too_many
from nxkernel._shape import JSON_TYPES, Misshapen, Shape, glance, is_plain, mark, marked, survey
from nxkernel.types import Digest

__all__ = [
    "DATA",
    "SHORT",
    "STREAM",
    "NotCanonical",
    "Sequence",
    "blobs_of",
    "bounded",
    "decode",
    "digest",
    "encode",
    "offered",
    "raw_digest",
    "read",
    "refers",
    "sealed",
    "seen",
    "shown",
    "surveyed",
    "trusted",
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
#: Deepest nesting that the quick ways take; a value of data rarely has more, and the careful ways
#: have no such bound.
_QUICK_DEPTH = 64
_QUICK_LEVELS = range(_QUICK_DEPTH)
#: How deep the decoder that checks types goes; with each level it takes twice as long to make.
_TYPED_DEPTH = 6
#: Bytes up to which a value is bounded by its bytes alone, and copied without a thought.
SHORT = 1024
# What the bytes of plain data lack: bin, extensions, short floats, and floats that are not finite.
# Like the next, it may also match inside a string or a number.
_ODD = re.compile(rb"[\xc4-\xca\xd4-\xd8]|\xcb[\x7f\xff][\xf0-\xff]")
# That none of their first bytes is there at all is told in a fifth of the time.
_ODD_HEADS = bytes((*range(0xC4, 0xCC), *range(0xD4, 0xD9)))
# What plain numbers are not: floats that are not finite, and integers of more than 63 bits. If the
# first byte is not there at all, that is told in a tenth of the time that a pattern takes, and in a
# tenth of that again if one asks for a number and not for bytes.
_ENDLESS = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
_HUGE = re.compile(rb"\xcf[\x80-\xff]")
# The heads of lists and maps.
_NESTING = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
_LARGEST = 1.7976931348623157e308
_sha256, _u64 = hashlib.sha256, struct.Struct("<Q").pack
#: The last version of marshal that looks at each part by itself.
_marshalled, _NO_REFERENCES = marshal.dumps, 2


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
_encode = _encoder.encode
#: Decodes what :func:`read` does if it refers to no blob, without a word of its own for bytes that
#: nobody would have sent.
trusted: Callable[[bytes], Any] = _decoder.decode


def encode(value: Any) -> bytes:
    """Encode plain values to canonical bytes.

    *value* must already be lowered (:func:`nxkernel._values.lower`): this function trusts keys
    and floats.

    Raises:
        NotCanonical: for a type that MessagePack lacks, a lone surrogate, or a cycle.
    """
    try:
        return _encode(value)
    except (OverflowError, UnicodeEncodeError, RecursionError, TypeError) as error:
        raise NotCanonical(f"no canonical form: {type(error).__name__}") from None


@cache
def _typed() -> msgspec.msgpack.Decoder[Any]:
    """Return what decodes plain data of JSON's types alone, of few levels, and nothing else.

    It checks while it decodes, at no cost that could be measured: types, keys, that floats are
    finite and integers of 63 bits. What it refuses may be in order: the careful way says.
    """
    whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    finite = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
    leaf: Any = None | bool | whole | finite | str
    found = leaf
    for _ in range(_TYPED_DEPTH):
        found = leaf | list.__class_getitem__(found) | dict.__class_getitem__((str, found))
    return msgspec.msgpack.Decoder(found)


def sealed(value: Any) -> bytes | None:
    """Return the canonical bytes of *value* if it is certain that it is plain, else None.

    Plain data of JSON's own types and bytes, exactly, is most of what crosses. Of that a few steps
    of the interpreter tell what :func:`nxkernel._plain.plain` finds out part by part. None says
    nothing.

    What the bytes say was so in one moment, whoever else changes *value* meanwhile.
    """
    try:
        data = _encode(value)
    except Exception:  # the code of a class that is about to be refused may have run
        return None
    return data if _is_sealed(value, data) else None


def _is_sealed(value: Any, data: bytes) -> bool:
    """Whether *value*, of which *data* are the bytes, is plain for certain."""
    # What has been encoded ends, whatever it refers to.
    size = len(data)
    if size > MAX_VALUES or ((0xCB in data or 0xCF in data) and _is_odd(data)):
        numbers = _is_odd(data)
        return glance(value, _QUICK_DEPTH, MAX_VALUES, binary=True, numbers=numbers) is not None
    # It has no more parts than bytes.
    return is_plain(value, _QUICK_LEVELS, size)


def offered(value: Any) -> tuple[bytes, Shape | None] | None:
    """Return what :func:`sealed` does, and what :func:`shown` does of a small value.

    In fewer steps than the two: of what has been encoded and decoded to something equal, only types
    other than JSON's can still be in the way, and :mod:`marshal` refuses nearly all of them. What
    it writes as well (tuples, sets, buffers) is equal to nothing of JSON's. None says nothing.
    """
    try:
        data = _encode(value)
        if len(data) <= SHORT and (shape := shown(data)) is not None:
            # First: a class of the caller's own has no say in what is equal.
            _marshalled(value, _NO_REFERENCES)
            return (data, shape) if shape.value == value else None
    except Exception:  # as there
        return None
    return (data, None) if _is_sealed(value, data) else None


def _is_odd(data: bytes) -> bool:
    """Whether there may be a number in *data* that no plain value has."""
    return _is_endless(data) or (0xCF in data and _HUGE.search(data) is not None)


def _is_endless(data: bytes) -> bool:
    """Whether there may be a float in *data* that is not finite."""
    return 0xCB in data and _ENDLESS.search(data) is not None


def read(data: bytes, blobs: Blobs = NONE) -> Any:
    """Decode canonical bytes of this side's own making, or of one that is trusted: unchecked.

    *blobs* are those that the bytes may refer to.

    Raises:
        NotCanonical: when they are no MessagePack, or refer to other blobs.
    """
    decoder = msgspec.msgpack.Decoder(ext_hook=_resolver(blobs)) if blobs else _decoder
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise NotCanonical(f"malformed MessagePack: {type(error).__name__}") from None


def shown(data: bytes) -> Shape | None:
    """Return the shape of the value of canonical *data* of this side's own making, if it is quick.

    It is of plain data of JSON's own types, of few levels. None says nothing.
    """
    try:
        value = _typed().decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return Shape(value, _TYPED_DEPTH, len(data), marked=mark(data) is not None)


def seen(value: Any, data: bytes | None = None) -> Shape | None:
    """Return the shape of *value* if it can be told quickly: plain data of JSON's own types.

    *data*: its canonical bytes, if it has been encoded already. None says nothing.

    Raises:
        NotCanonical: when it cannot be encoded.
    """
    if data is not None and (size := len(data)) <= SHORT and _is_even(data):
        nested = size - len(data.translate(None, _NESTING))
        return Shape(value, nested, size, marked=mark(data) is not None)
    found = glance(value, _QUICK_DEPTH, MAX_VALUES)
    if found is None:
        return None
    data = encode(value) if data is None else data
    if _is_endless(data) and glance(value, *found, numbers=True) is None:
        return None
    return Shape(value, *found, marked=marked(data))


def _is_even(data: bytes) -> bool:
    """Whether *data* certainly lack what the bytes of plain data lack."""
    return len(data.translate(None, _ODD_HEADS)) == len(data) or _ODD.search(data) is None


def refers(data: bytes) -> bool:
    """Whether canonical bytes may refer to a blob; most do not, which is told at once."""
    return 0xC7 in data and _REFERENCE.search(data) is not None


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
    if len(data) > SHORT:
        bounded(data)
    if not blobs and (shape := _quickly(data)) is not None:
        return shape
    value = read(data, blobs)
    if not blobs and (shape := _proven(value, data)) is not None:
        return shape
    try:
        shape = survey(value, MAX_DEPTH, MAX_VALUES)
    except Misshapen as error:
        raise NotCanonical(str(error)) from None
    if not shape.types <= _TYPES:
        raise NotCanonical("extension type -1")  # a timestamp, which msgspec knows by itself
    if encode(value) != data:
        raise NotCanonical("the bytes are not the canonical encoding of their value")
    return shape.after(data)


def _quickly(data: bytes) -> Shape | None:
    """Decode what is certain to be in order; None says nothing."""
    try:
        value = _typed().decode(data)
        if _encoder.encode(value) == data:
            return Shape(value, _TYPED_DEPTH, len(data), marked=mark(data) is not None)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        pass
    return None


def _proven(value: Any, data: bytes) -> Shape | None:
    """Return the shape of a value of more levels, if it is certain to be that of *data*."""
    try:
        shape = seen(value, data) if encode(value) == data else None
    except NotCanonical:
        return None
    return shape if shape is not None and shape.depth <= _QUICK_DEPTH else None


def bounded(data: bytes) -> bytes:
    """Return *data*, which are canonical bytes that are about to be sent or decoded.

    Raises:
        NotCanonical: when they hold more than :data:`MAX_VALUES` values.
    """
    if len(data) > SHORT and has_too_many(data):
        raise NotCanonical(f"more than {MAX_VALUES} values; send large data as bytes")
    return data


def raw_digest(data: bytes, domain: bytes = DATA) -> bytes:
    """Return the 32 bytes of the domain-separated SHA-256 of *data*."""
    size = len(data)
    # A small copy is made sooner than a second call.
    small = _sha256(domain + _u64(size) + data) if size <= SHORT else _hashed(data, domain)
    raw: bytes = small.digest()
    return raw


def _hashed(data: bytes, domain: bytes) -> Any:
    state = _sha256(domain + _u64(len(data)))
    state.update(data)
    return state


def digest(data: bytes, domain: bytes = DATA) -> Digest:
    """Return ``sha256:<hex>`` of *data* in *domain*."""
    size = len(data)
    small = _sha256(domain + _u64(size) + data) if size <= SHORT else _hashed(data, domain)
    return Digest("sha256:" + small.hexdigest())


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
