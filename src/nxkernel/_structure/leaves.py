"""Leaves: values that travel as one scalar, by their class."""

from __future__ import annotations

import datetime
import enum
import re
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePath
from typing import Any

import attrs

from nxkernel._plain import Refused, name_of, plain
from nxkernel._structure.annotations import ACCEPTS
from nxkernel._structure.hooks import Hooks, Lift, reject

__all__ = ["Leaf", "is_leaf", "leaf_hooks", "leaf_of", "scalar_hooks"]

#: RFC 3339, section 5.6, with "T" and "Z" in capitals.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def scalar_hooks(hint: Any) -> Hooks:
    """Return the hooks of a scalar: it crosses as it is, if it is of that type."""
    accepted = ACCEPTS.get(hint, (hint,))

    def check(value: Any, _levels: int = 0) -> Any:
        if type(value) not in accepted:
            raise reject(hint, value)
        return value

    return check, check


@attrs.frozen
class Leaf:
    """A class whose values travel as one scalar."""

    #: What a value must be an instance of.
    cls: type
    #: What its data may be.
    kinds: frozenset[type]
    lower: Callable[[Any], Any]
    lift: Lift


def _lower_datetime(value: datetime.datetime) -> str:
    offset = value.utcoffset()
    if offset is None:
        raise Refused("a naive datetime; give it a time zone", "datetime.datetime")
    if offset % datetime.timedelta(minutes=1):
        raise Refused("a UTC offset with seconds; convert it to UTC", "datetime.datetime")
    return value.isoformat()


def _lift_datetime(data: str) -> datetime.datetime:
    if not _RFC3339.fullmatch(data):
        raise ValueError(data)
    return datetime.datetime.fromisoformat(data)


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise Refused("a Decimal that is not finite; pass None instead", "decimal.Decimal")
    return value


_TEXT = frozenset({str})
_LEAVES = {
    datetime.datetime: Leaf(datetime.datetime, _TEXT, _lower_datetime, _lift_datetime),
    uuid.UUID: Leaf(uuid.UUID, _TEXT, str, uuid.UUID),
    Path: Leaf(PurePath, _TEXT, str, Path),
    PurePath: Leaf(PurePath, _TEXT, str, PurePath),
    Decimal: Leaf(Decimal, _TEXT, lambda v: str(_finite(v)), lambda d: _finite(Decimal(d))),
}


def leaf_of(bare: Any) -> Leaf | None:
    """Return the leaf that the annotation stands for, if it does."""
    if not isinstance(bare, type):
        return None
    if issubclass(bare, enum.Enum):
        kinds = frozenset(list if type(m.value) is tuple else type(m.value) for m in bare)
        return Leaf(bare, kinds, lambda value: plain(value.value), _member_of(bare))
    return _LEAVES.get(bare)


def _member_of(cls: type[enum.Enum]) -> Lift:
    """Find the member by its value, which may have been a tuple."""

    def lift(data: Any) -> Any:
        if type(data) is not list:
            return cls(data)
        found = [m for m in cls if type(m.value) in (list, tuple) and plain(m.value) == data]
        return found[0] if found else cls(data)

    return lift


def is_leaf(bare: Any) -> bool:
    """Return whether the values of the annotation travel as one scalar."""
    return leaf_of(bare) is not None


def leaf_hooks(hint: Any) -> Hooks:
    """Return the hooks of a class that :func:`is_leaf`."""
    leaf = leaf_of(hint)
    assert leaf is not None

    def lower(value: Any, _levels: int) -> Any:
        if not isinstance(value, leaf.cls):
            raise reject(hint, value)
        return leaf.lower(value)

    def lift(data: Any) -> Any:
        if type(data) not in leaf.kinds:
            raise reject(hint, data)
        try:
            return leaf.lift(data)
        except (ValueError, InvalidOperation, Refused):
            raise Refused(f"expected {name_of(hint)}") from None

    return lower, lift
