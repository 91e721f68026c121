"""Annotations: what is left of one without its wrapping, and the groups that they fall into."""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Union

import attrs

from nxkernel._blob import Blob

__all__ = [
    "ACCEPTS",
    "LISTS",
    "MAPS",
    "SCALARS",
    "SETS",
    "UNIONS",
    "among",
    "bare_of",
    "is_record",
    "origin_of",
]

UNIONS = (Union, types.UnionType)
LISTS = (list, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable)
SETS = (set, frozenset, abc.Set, abc.MutableSet)
MAPS = (dict, abc.Mapping, abc.MutableMapping)
SCALARS = (type(None), bool, int, float, str, bytes, Blob)
#: Python's own numeric tower: a bool is an int, and an int may stand for a float.
ACCEPTS: dict[type, tuple[type, ...]] = {int: (int, bool), float: (float, int)}


def bare_of(hint: Any) -> Any:
    """Take off Annotated, NewType and type aliases."""
    while True:
        if typing.get_origin(hint) is Annotated:
            hint = hint.__origin__
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":  # the type statement of Python 3.12
            hint = hint.__value__
        else:
            return hint


def origin_of(hint: Any) -> Any:
    """Return the class of a generic annotation, and any other annotation as it is."""
    return typing.get_origin(hint) or hint


def among(*origins: Any) -> Callable[[Any], bool]:
    """Return whether an annotation is of one of *origins*, as a predicate."""
    return lambda bare: origin_of(bare) in origins


def is_record(hint: Any) -> bool:
    """Return whether *hint* is an attrs class or a dataclass, generic or not."""
    cls = origin_of(hint)
    return isinstance(cls, type) and (attrs.has(cls) or dataclasses.is_dataclass(cls))
