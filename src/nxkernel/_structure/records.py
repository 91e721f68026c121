"""Records: attrs classes and dataclasses, which travel as a dict of their fields."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs

from nxkernel._plain import Refused, name_of
from nxkernel._structure.annotations import origin_of
from nxkernel._structure.hooks import Hooks, reject
from nxkernel._structure.walk import Convert, Walk, at

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["converter", "record_hooks"]


def record_hooks(hint: Any, walk: Walk) -> Hooks:
    """Return the hooks of a record, by the annotations of its fields."""
    cls = origin_of(hint)

    def lower(value: Any, levels: int) -> dict[str, Any]:
        # A subclass may hold more than the annotation knows; what is not sent would be lost.
        if type(value) is not cls:
            raise reject(hint, value)
        below = walk.below(levels)
        return {
            name: at(name, value, getattr(value, name), field, below)
            for name, field in _fields(hint).items()
        }

    def lift(data: Any) -> Any:
        if type(data) is not dict:
            raise reject(hint, data)
        return _build(hint, data, walk.lift)

    return lower, lift


def _build(hint: Any, data: dict[str, Any], lift: Convert) -> Any:
    """Call the constructor; what it raises is the data's fault."""
    name = name_of(hint)
    if unknown := sorted(data.keys() - _fields(hint).keys()):
        raise Refused(f"expected {name}, got the unknown field {unknown[0]!r}")
    try:
        return _constructor(hint, lift)(data, hint)
    except (Refused, RecursionError):
        raise
    except KeyError as error:
        raise Refused(f"expected {name} with the field {error}") from None
    except Exception as error:
        raise Refused(f"expected {name} ({type(error).__name__})") from None


@lru_cache(maxsize=1024)
def _constructor(hint: Any, lift: Convert) -> Callable[[Any, Any], Any]:
    """Let cattrs generate the call: it knows aliases, defaults and keyword-only fields."""
    from cattrs.gen import make_dict_structure_fn, override

    fields: dict[str, Any] = {
        name: override(struct_hook=_field_hook(name, field, lift))
        for name, field in _fields(hint).items()
    }
    # cattrs wants the arguments of a generic class; left out, each of them may be anything.
    return make_dict_structure_fn(_fill(hint, {}), converter(), **fields)


def _field_hook(name: str, hint: Any, lift: Convert) -> Callable[[Any, Any], Any]:
    return lambda data, _: at(name, None, data, hint, lift)


@lru_cache(maxsize=1024)
def _fields(hint: Any) -> dict[str, Any]:
    """The annotation of each field that the constructor takes."""
    cls = origin_of(hint)
    listed: Any = attrs.fields(cls) if attrs.has(cls) else dataclasses.fields(cls)
    hints = _resolved(cls)
    known = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(hint), strict=False))
    return {f.name: _fill(hints.get(f.name, Any), known) for f in listed if f.init}


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


@lru_cache(maxsize=1)
def converter() -> Converter:
    """Return the one converter of cattrs; cattrs loads when the first is needed."""
    from cattrs import Converter

    return Converter(forbid_extra_keys=True, detailed_validation=False)
