"""What crosses the process boundary, in both directions: the border that both sides share.

``lower`` turns a value into plain data before it is encoded, ``lift`` turns decoded data into the
value that an annotation promises. Without an annotation that asks for more, only plain values
cross, and they arrive as they were but for tuples, which arrive as lists. The table is in
``docs/reference/values.md``. Nothing is ever pickled.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

from nxkernel import _structure
from nxkernel._arguments import Arguments
from nxkernel._blob import NONE, Blobs
from nxkernel._canonical import MAX_DEPTH, blobs_of, bounded, encode, sealed
from nxkernel._plain import Refused, plain, render
from nxkernel._structure import needs_structuring
from nxkernel.errors import CallRejected

__all__ = [
    "NotLiftable",
    "hints_of",
    "item_hint",
    "lift",
    "lower",
    "lower_arguments",
    "needs_structuring",
    "packed",
    "packed_arguments",
]


class NotLiftable(ValueError):
    """Plain data is not what the annotation says.

    Attributes:
        path: where, as a JSON path: ``$.items[3]``.
        expected: what should be there.
    """

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path}: {expected}")
        self.path = path
        self.expected = expected


def lower(value: Any, hint: Any = Any, path: str = "value") -> Any:
    """Return *value* as plain data, by its annotation *hint*.

    The data shares no container with *value*. ``path`` is how a refusal calls the value.

    Raises:
        CallRejected: ``call.rejected``, naming the path and the type of the first part that cannot
            cross, and what to do.
    """
    return _lower(value, hint, path, MAX_DEPTH, "")


def lower_arguments(args: Mapping[str, Any], hints: Mapping[str, Any], hook: str) -> dict[str, Any]:
    """Return the arguments of a call of *hook* as one plain dict, by their annotations.

    Raises:
        CallRejected: as :func:`lower`, with ``hook`` set.
    """
    # The dict of the arguments is the outermost of the levels that may nest.
    depth = MAX_DEPTH - 1
    return {name: _lower(value, hints.get(name), name, depth, hook) for name, value in args.items()}


def packed(
    value: Any, hint: Any = Any, path: str = "value", *, tried: bool = False
) -> tuple[bytes, Blobs]:
    """Return the canonical bytes of what :func:`lower` gives, and the blobs in it.

    *tried*: it is known that the value is not certainly plain.

    Raises:
        CallRejected: as :func:`lower`.
        NotCanonical: when it has too many values or blobs.
    """
    data = None if tried or needs_structuring(hint) else sealed(value)
    if data is not None:
        return bounded(data), NONE
    plain = lower(value, hint, path)
    data = bounded(encode(plain))
    return data, blobs_of(plain, data)


def packed_arguments(
    args: dict[str, Any], hints: Mapping[str, Any] | None, hook: str
) -> tuple[Arguments, bytes]:
    """Return what :func:`lower_arguments` gives, and its canonical bytes.

    *hints* are None where they are known to ask for plain data alone.

    Raises:
        CallRejected: as :func:`lower_arguments`.
        NotCanonical: when it has too many values.
    """
    if hints is None or not any(map(needs_structuring, map(hints.get, args))):
        data = sealed(args)
        if data is not None:
            # What crosses is what the bytes say, whatever becomes of what was given.
            return Arguments(bounded(data)), data
    lowered = lower_arguments(args, hints or {}, hook)
    data = bounded(encode(lowered))
    return Arguments(data, lowered), data


def _lower(value: Any, hint: Any, path: str, depth: int, hook: str) -> Any:
    try:
        if needs_structuring(hint):
            value = _structure.unstructure(value, hint)
        return plain(value, depth)
    except Refused as refused:
        raise _rejected(refused, path, hook) from None
    except RecursionError:
        shallow = Refused("nested deeper than this stack allows; pass a flatter value")
        raise _rejected(shallow, path, hook) from None


def _rejected(refused: Refused, path: str, hook: str) -> CallRejected:
    where = render(path, refused.steps)
    return CallRejected(
        f"{where}: {refused.explain()}",
        hook=hook,
        details={"path": where, "type": refused.type_name},
    )


def lift(data: Any, hint: Any = Any) -> Any:
    """Return the value that the plain *data* stands for, by the annotation *hint*.

    Raises:
        NotLiftable: naming the JSON path and what was expected there.
    """
    if not needs_structuring(hint):
        return data
    try:
        return _structure.structure(data, hint)
    except Refused as refused:
        raise NotLiftable(render("$", refused.steps), refused.explain()) from None
    except RecursionError:
        raise NotLiftable("$", "nested deeper than this stack allows") from None


#: What a function that streams may say that it returns.
_STREAMS = (
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)


def item_hint(hint: Any) -> Any:
    """Return what the annotation of a stream says of each item: ``T`` of ``Iterator[T]``.

    ``Any`` where it says nothing of them.
    """
    if typing.get_origin(hint) in _STREAMS:
        return (typing.get_args(hint) or (Any,))[0]
    return Any


def hints_of(function: Any) -> Mapping[str, Any]:
    """Return the annotations of *function* by name; ``return`` is its result.

    An annotation that cannot be resolved counts as absent: it may name a module that only a type
    checker imports.
    """
    function = inspect.unwrap(getattr(function, "__func__", function))
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:
        return _one_by_one(function)


def _one_by_one(function: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            found |= typing.get_type_hints(
                holder, getattr(function, "__globals__", {}), include_extras=True
            )
        except Exception:  # any code may run in an annotation; see hints_of
            continue
    return found
