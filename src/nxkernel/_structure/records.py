"""Records: attrs classes and dataclasses, which travel as a dict of their fields."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from functools import lru_cache
from typing import Any

import attrs

from nxkernel._plain import Refused, name_of
from nxkernel._structure.annotations import origin_of
from nxkernel._structure.hooks import Hooks, reject
from nxkernel._structure.walk import Convert, Walk, at

__all__ = ["Field", "constructor_fields", "fields_of", "record_hooks"]


def record_hooks(hint: Any, walk: Walk) -> Hooks:
    """Return the hooks of a record, by the annotations of its fields."""
    cls = origin_of(hint)

    def lower(value: Any, levels: int) -> dict[str, Any]:
        # A subclass may hold more than the annotation knows; what is not sent would be lost.
        if type(value) is not cls:
            raise reject(hint, value)
        below = walk.below(levels)
        return {
            field.name: at(field.name, value, getattr(value, field.name), field.hint, below)
            for field in constructor_fields(hint)
        }

    def lift(data: Any) -> Any:
        if type(data) is not dict:
            raise reject(hint, data)
        return _build(hint, data, walk.lift)

    return lower, lift


def _build(hint: Any, data: dict[str, Any], lift: Convert) -> Any:
    """Call the constructor; what it raises is the data's fault."""
    name = name_of(hint)
    known = constructor_fields(hint)
    if unknown := sorted(data.keys() - {field.name for field in known}):
        raise Refused(f"expected {name}, got the unknown field {unknown[0]!r}")
    arguments = {}
    for field in known:
        if field.name in data:
            arguments[field.argument] = at(field.name, None, data[field.name], field.hint, lift)
        elif field.required:
            raise Refused(f"expected {name} with the field {field.name!r}")
    try:
        return origin_of(hint)(**arguments)
    except (Refused, RecursionError):
        raise
    except Exception as error:
        raise Refused(f"expected {name} ({type(error).__name__})") from None


@attrs.frozen
class Field:
    """A field that the constructor takes."""

    name: str
    #: What the constructor calls it.
    argument: str
    hint: Any
    #: Whether the constructor has no default for it.
    required: bool


@lru_cache(maxsize=1024)
def constructor_fields(hint: Any) -> tuple[Field, ...]:
    """Return the fields of a record, in the order of its class.

    The class may come from another copy of attrs than ours, and from an older one: what is asked
    of it is public in all of them. Which fields are required is asked of the constructor, because
    the mark for "no default" of one copy is not that of another.
    """
    cls = origin_of(hint)
    listed: Any = attrs.fields(cls) if attrs.has(cls) else dataclasses.fields(cls)
    hints = _resolved(cls)
    known = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(hint), strict=False))
    needed = _needed(cls)
    return tuple(
        Field(f.name, argument, _fill(hints.get(f.name, Any), known), argument in needed)
        for f in listed
        if f.init and (argument := _argument(cls, f))
    )


def _argument(cls: Any, field: Any) -> str:
    if not attrs.has(cls):
        return str(field.name)
    # Before aliases came, attrs took leading underscores off.
    return str(getattr(field, "alias", None) or field.name.lstrip("_"))


def _needed(cls: Any) -> frozenset[str]:
    """The arguments without a default; none if the constructor does not say."""
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return frozenset()
    return frozenset(p.name for p in parameters if p.default is p.empty)


def _resolved(cls: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception as error:  # an annotation is code
        reason = f"has an annotation that cannot be resolved ({type(error).__name__}: {error})"
        raise Refused(f"{name_of(cls)} {reason}; import what it names at run time") from None


def _fill(hint: Any, known: dict[Any, Any]) -> Any:
    """Put the arguments of a generic class in the place of its type variables."""
    if isinstance(hint, typing.TypeVar):
        return known.get(hint, Any)
    if parameters := getattr(hint, "__parameters__", ()):  # of a class or of an alias
        return hint[tuple(known.get(parameter, Any) for parameter in parameters)]
    return hint


def fields_of(hint: Any) -> dict[str, Any]:
    """Return the annotation of each field that the constructor of a record takes.

    Raises:
        Refused: when an annotation cannot be resolved.
    """
    return {field.name: field.hint for field in constructor_fields(hint)}
