"""Containers: tuples, sets, and the lists and dicts that hold something with structure."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from itertools import repeat
from typing import Any

from nxkernel._canonical import encode
from nxkernel._plain import Refused, name_of, plain
from nxkernel._structure.annotations import bare_of, origin_of
from nxkernel._structure.hooks import Hooks, impossible, reject
from nxkernel._structure.walk import Convert, Walk, at, each

__all__ = ["list_hooks", "map_hooks", "set_hooks", "tuple_hooks"]


def _element(hint: Any) -> Any:
    return (typing.get_args(hint) or (Any,))[0]


def list_hooks(hint: Any, walk: Walk) -> Hooks:
    """Return the hooks of a list, by the annotation of its elements."""
    element = _element(hint)

    def lower(value: Any, levels: int) -> list[Any]:
        if type(value) not in (list, tuple):
            raise reject(hint, value)
        return each(value, repeat(element), walk.below(levels))

    def lift(data: Any) -> list[Any]:
        if type(data) is not list:
            raise reject(hint, data)
        return each(data, repeat(element), walk.lift)

    return lower, lift


def tuple_hooks(hint: Any, walk: Walk) -> Hooks:
    """Return the hooks of a tuple, which travels as a list."""

    def lower(value: Any, levels: int) -> list[Any]:
        if type(value) not in (list, tuple):
            raise reject(hint, value)
        return each(value, _elements(hint, len(value)), walk.below(levels))

    def lift(data: Any) -> tuple[Any, ...]:
        if type(data) is not list:
            raise reject(hint, data)
        return tuple(each(data, _elements(hint, len(data)), walk.lift))

    return lower, lift


def _elements(hint: Any, count: int) -> Iterable[Any]:
    """The annotations of the *count* elements of a tuple."""
    args = typing.get_args(hint)
    if hint is tuple or args[1:] == (Ellipsis,):
        return repeat(args[0] if args else Any)
    if len(args) != count:
        raise Refused(f"expected {name_of(hint)}, got {count} elements")
    return args


def _attempt(value: Any, hint: Any, below: Convert) -> Any:
    """Return the data of *value*, or why there is none."""
    try:
        return plain(below(value, hint))
    except Refused as refused:
        return refused


def set_hooks(hint: Any, walk: Walk) -> Hooks:
    """Return the hooks of a set, which travels as a list in the order of its elements' bytes."""
    element = _element(hint)
    cls = frozenset if origin_of(hint) is frozenset else set

    def lower(value: Any, levels: int) -> list[Any]:
        if type(value) not in (set, frozenset):
            raise reject(hint, value)
        # Elements have no place that two processes share, so a refusal names the set alone, and
        # the least of several reasons; their bytes have an order, so they cross in that.
        below = walk.below(levels)
        items = [_attempt(item, element, below) for item in value]
        if refused := [item for item in items if isinstance(item, Refused)]:
            least = min(refused, key=lambda refusal: refusal.reason)
            raise Refused(f"an element of the set: {least.reason}", least.type_name)
        return sorted(items, key=encode)

    def lift(data: Any) -> Any:
        if type(data) is not list:
            raise reject(hint, data)
        try:
            return cls(each(data, repeat(element), walk.lift))
        except TypeError:
            raise Refused(f"expected {name_of(hint)}") from None

    return lower, lift


def map_hooks(hint: Any, walk: Walk) -> Hooks:
    """Return the hooks of a dict with str keys, by the annotation of its values."""
    key, element = typing.get_args(hint) or (str, Any)
    if bare_of(key) not in (str, Any):
        return impossible(f"{name_of(hint)} cannot cross the process boundary; make its keys str")

    def lower(value: Any, levels: int) -> dict[Any, Any]:
        if type(value) is not dict:
            raise reject(hint, value)
        below = walk.below(levels)
        return {name: at(name, value, item, element, below) for name, item in value.items()}

    def lift(data: Any) -> dict[str, Any]:
        if type(data) is not dict:
            raise reject(hint, data)
        return {name: at(name, data, item, element, walk.lift) for name, item in data.items()}

    return lower, lift
