"""Unions: the members of an annotation, and which of them a value or its data is."""

from __future__ import annotations

import functools
import operator
import typing
from collections.abc import Callable
from typing import Any

import attrs

from nxkernel._plain import Refused, name_of, plain
from nxkernel._structure.annotations import bare_of, is_record
from nxkernel._structure.hooks import Hooks, Lift, Lower, Mismatch, impossible, reject
from nxkernel._structure.kinds import any_kind, kinds_of, needs_structuring
from nxkernel._structure.records import constructor_fields
from nxkernel._structure.walk import Walk

__all__ = ["union_hooks"]


def union_hooks(hint: Any, walk: Walk) -> Hooks:
    """Choose a member by the kind of its data.

    Members that look alike on the wire are refused, whatever the value: which of ``datetime | str``
    a text was would be a guess.
    """
    members = typing.get_args(hint)
    rich = [member for member in members if needs_structuring(member)]
    simple = any_kind(member for member in members if member not in rich)
    choices = _choices(rich)
    kinds = [*simple, *(kind for choice in choices for kind in choice.kinds)]
    if len(set(kinds)) < len(kinds):
        return impossible(f"{name_of(hint)} is ambiguous: its members look alike as plain data")

    return _lower(hint, rich, simple, walk), _lift(hint, choices, simple, walk)


def _lower(hint: Any, rich: list[Any], simple: frozenset[type], walk: Walk) -> Lower:
    def lower(value: Any, levels: int) -> Any:
        for member in rich:
            try:
                return walk.lower(value, member, levels)
            except Mismatch as mismatch:
                if mismatch.trail:
                    raise
        if (list if type(value) is tuple else type(value)) in simple:
            return plain(value)
        raise reject(hint, value)

    return lower


def _lift(hint: Any, choices: list[_Choice], simple: frozenset[type], walk: Walk) -> Lift:
    def lift(data: Any) -> Any:
        if type(data) in simple:
            return data
        for choice in choices:
            if type(data) in choice.kinds:
                return walk.lift(data, _chosen(hint, choice, data))
        raise reject(hint, data)

    return lift


def _chosen(hint: Any, choice: _Choice, data: Any) -> Any:
    try:
        return choice.member(data)
    except (KeyError, TypeError, ValueError):  # no field, or no Literal, that tells them apart
        raise Refused(f"expected {name_of(hint)}, got the fields of none of them") from None


@attrs.frozen
class _Choice:
    """Members of a union that share a kind of data, and how to tell them apart."""

    kinds: tuple[type, ...]
    member: Callable[[Any], Any]


def _choices(members: list[Any]) -> list[_Choice]:
    records = [member for member in members if is_record(bare_of(member))]
    others = [member for member in members if member not in records]
    return [_Choice(tuple(kinds_of(other)), _always(other)) for other in others] + _tell(records)


def _tell(records: list[Any]) -> list[_Choice]:
    """Tell records apart by the fields that only one of them has, or by a Literal field."""
    from cattrs import Converter
    from cattrs.disambiguators import create_default_dis_func

    alone = [_Choice((dict,), _always(record)) for record in records]
    if len(records) < 2:
        return alone
    known = {_likeness(record): record for record in records}
    try:
        # Without overrides of its own: for those cattrs would make hooks for the fields as well.
        choose = create_default_dis_func(Converter(), *known, overrides={})
    except (TypeError, ValueError):
        return alone  # the same kind twice: ambiguous
    return [_Choice((dict,), lambda data: _original(choose(data), known))]


def _original(likeness: Any, known: dict[Any, Any]) -> Any:
    """The record of a likeness; of a union, where a Literal is shared by several, their union."""
    if likeness in known:
        return known[likeness]
    return functools.reduce(operator.or_, map(known.__getitem__, typing.get_args(likeness)))


def _likeness(record: Any) -> Any:
    """A class of our own attrs with the same fields: cattrs would misread those of another copy."""
    fields = {
        field.name: attrs.field(
            type=field.hint, default=attrs.NOTHING if field.required else None, kw_only=True
        )
        for field in constructor_fields(record)
    }
    return attrs.make_class("Likeness", fields)


def _always(member: Any) -> Callable[[Any], Any]:
    return lambda _: member
