"""Values as a validator sees them: JSON, with bytes and blobs described and never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nxkernel._blob import Blob
from nxkernel._shape import Shape
from nxkernel.schemas import CompiledSchema, SchemaIssue
from nxkernel.schemas.instance import shape_of

__all__ = ["as_json", "bare", "escaped", "holds", "issues_of"]

_SCALARS = frozenset({bool, float, int, str, type(None)})
_OURS = re.compile(r"\$+(blob|bytes)")


def issues_of(contract: CompiledSchema, value: Any, data: bytes) -> list[SchemaIssue]:
    """Say what is wrong with *value*; it is copied only where it holds more than JSON.

    *data*: its canonical bytes.
    """
    seen = shape_of(value, data)
    if seen is None or seen.marked:
        return contract.validate(as_json(value))
    return [] if contract.fits(seen) else contract.validate(value, shape=seen)


def holds(contract: CompiledSchema, value: Any, seen: Shape | None) -> bool:
    """Whether *value* is valid, without a word of why it is not.

    Where that cannot be said quickly it is said by the reference. *seen*: what :func:`bare` says.
    """
    if seen is not None and contract.fits(seen):
        return True
    if not contract.quick:
        return not contract.validate(as_json(value) if seen is None else value, shape=seen)
    return seen is None and contract.holds(as_json(value))


def bare(value: Any, shape: Shape | None) -> Shape | None:
    """The shape of a *value* of JSON's types alone, or None.

    *shape*: what was seen of it or of another.
    """
    seen = shape if shape is not None and shape.value is value else shape_of(value)
    return None if seen is None or seen.marked or not seen.json else seen


def as_json(value: Any) -> Any:
    """Return a copy of a plain *value* in which a validator meets nothing but JSON.

    bytes become ``{"$bytes": <their length>}``, a blob becomes ``{"$blob": <its digest>, "media":
    <type>, "size": <length>}``. A key of the value's own that reads ``$bytes`` or ``$blob``, after
    any number of ``$``, gets one more ``$``, so that no dict passes for either.
    """
    if type(value) in _SCALARS:
        return value  # most of what there is; asking for abstract classes takes ten times as long
    if isinstance(value, bytes):
        return {"$bytes": len(value)}
    if isinstance(value, Blob):
        return {"$blob": value.digest, "media": value.media, "size": value.size}
    if isinstance(value, Mapping):
        return {escaped(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value


def escaped(key: str) -> str:
    """Return *key* as :func:`as_json` writes it."""
    return "$" + key if key.startswith("$") and _OURS.fullmatch(key) else key
