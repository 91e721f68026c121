"""Canonical bytes and digests: the only place where bytes become a :data:`Digest`.

Canonical form, version 1: MessagePack as msgspec writes it with ``order="sorted"``, string keys
only, finite floats, integers of 64 bits, bytes as ``bin``, no extension types, no Unicode
normalisation. A digest is ``SHA-256(domain || u64le(length) || bytes)``; the domain keeps digests
of different things apart even when their bytes are equal.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from datetime import datetime
from typing import Any

import msgspec

from nxkernel.types import Digest

__all__ = ["DATA", "NotCanonical", "decode", "digest", "encode", "raw_digest"]

#: Domain of values that cross the process boundary.
DATA = b"nx.data.v1\0"
#: Deepest nesting of lists and maps; jsonschema, the reference, gives up soon after.
MAX_DEPTH = 200
# A float64 with all exponent bits set is an infinity or a NaN; the other three begin a timestamp,
# the one extension type that msgspec knows by itself. The pattern may also match inside a string,
# so a hit only means "look closer", but no hit means that there is none.
_SUSPECT = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]|[\xd6\xd7]\xff|\xc7\x0c\xff")


class NotCanonical(ValueError):
    """The bytes or the value have no canonical form."""


def _refuse(value: object) -> Any:
    raise NotCanonical(f"a value of type {type(value).__name__} has no canonical form")


def _refuse_ext(code: int, _data: memoryview) -> Any:
    raise NotCanonical(f"extension type {code}")


_encoder = msgspec.msgpack.Encoder(order="sorted", enc_hook=_refuse)
_decoder = msgspec.msgpack.Decoder(ext_hook=_refuse_ext)


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


def decode(data: bytes) -> Any:
    """Decode canonical bytes and prove that they are canonical.

    Raises:
        NotCanonical: for malformed or truncated bytes, another encoding of the same value, a
            non-finite float, an extension type, a map key that is no string, or nesting beyond
            200.
    """
    try:
        value = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise NotCanonical(f"malformed MessagePack: {type(error).__name__}") from None
    if len(data) > 1 and isinstance(value, list | dict):
        _check_shape(value)
    if _SUSPECT.search(data):
        _check_leaves(value)
    if encode(value) != data:
        raise NotCanonical("the bytes are not the canonical encoding of their value")
    return value


def _check_shape(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        children: list[Any] = []
        for item in level:
            if type(item) is dict:
                if not all(type(key) is str for key in item):
                    raise NotCanonical("a map key is no string")
                children += item.values()
            else:
                children += item
        level = [child for child in children if type(child) is list or type(child) is dict]
        if not level:
            return
    raise NotCanonical(f"nested deeper than {MAX_DEPTH}")


def _check_leaves(value: Any) -> None:
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is dict:
            stack += item.values()
        elif type(item) is list:
            stack += item
        elif type(item) is float and not math.isfinite(item):
            raise NotCanonical("a float is not finite")
        elif type(item) is datetime:
            raise NotCanonical("extension type -1")


def raw_digest(data: bytes, domain: bytes = DATA) -> bytes:
    """Return the 32 bytes of the domain-separated SHA-256 of *data*."""
    state = hashlib.sha256(domain)
    state.update(struct.pack("<Q", len(data)))
    state.update(data)
    return state.digest()


def digest(data: bytes, domain: bytes = DATA) -> Digest:
    """Return ``sha256:<hex>`` of *data* in *domain*."""
    return Digest("sha256:" + raw_digest(data, domain).hex())
