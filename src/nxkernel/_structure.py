"""Values with structure: what crosses only where an annotation says so.

cattrs holds one hook for each kind of annotation, in both directions, and generates the code for
attrs classes and dataclasses. The hooks are strict: a value of another type than the annotation's
is refused, never converted, because the call must mean the same with and without the boundary.
Each hook notes the key or index that it is at, so that a refusal can name the whole path.
"""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import datetime
import enum
import re
import types
import typing
import uuid
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import repeat
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import attrs

from nxkernel._canonical import encode
from nxkernel._plain import Refused, name_of, plain, too_deep

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["needs_structuring", "structure", "unstructure"]

#: Deepest nesting of annotated containers: each level costs several frames of Python's stack.
MAX_LEVELS = 50

#: Takes a value and the levels that are left below it.
Lower = Callable[[Any, int], Any]
#: Takes plain data.
Lift = Callable[[Any], Any]

_UNIONS = (Union, types.UnionType)
_LISTS = (list, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable)
_SETS = (set, frozenset, abc.Set, abc.MutableSet)
_MAPS = (dict, abc.Mapping, abc.MutableMapping)
_SCALARS = (type(None), bool, int, float, str, bytes)
#: Python's own numeric tower: a bool is an int, and an int may stand for a float.
_ACCEPTS: dict[type, tuple[type, ...]] = {int: (int, bool), float: (float, int)}
#: RFC 3339, section 5.6, with "T" and "Z" in capitals.
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def needs_structuring(hint: Any) -> bool:
    """Return whether *hint* asks for more than plain values."""
    try:
        return _needs(hint)
    except TypeError:  # an annotation that cannot be hashed counts as absent
        return False


@lru_cache(maxsize=1024)
def _needs(hint: Any) -> bool:
    bare = _bare(hint)
    origin = _origin(bare)
    if origin is tuple or origin in _SETS or _is_record(bare) or _leaf(bare):
        return True
    if origin in (*_UNIONS, *_LISTS, *_MAPS):
        return any(map(needs_structuring, typing.get_args(bare)))
    return False


def unstructure(value: Any, hint: Any, levels: int = MAX_LEVELS) -> Any:
    """Return *value* as data without structure, by its annotation.

    Raises:
        Refused: when the value is not what the annotation says.
    """
    return _hooks(hint)[0](value, levels)


def structure(data: Any, hint: Any) -> Any:
    """Return the value that the plain *data* stands for, by the annotation.

    Raises:
        Refused: when the data is not what the annotation says.
    """
    return _hooks(hint)[1](data)


def _hooks(hint: Any) -> tuple[Lower, Lift]:
    try:
        return _known_hooks(hint)
    except TypeError:  # see needs_structuring
        return _anything()


@lru_cache(maxsize=1024)
def _known_hooks(hint: Any) -> tuple[Lower, Lift]:
    bare = _bare(hint)
    return next((build(bare) for applies, build in _RULES if applies(bare)), _anything())


def _bare(hint: Any) -> Any:
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


def _origin(hint: Any) -> Any:
    return typing.get_origin(hint) or hint


def _among(*origins: Any) -> Callable[[Any], bool]:
    return lambda bare: _origin(bare) in origins


class _Mismatch(Refused):
    """The value is of another type than the annotation's."""


def _reject(expected: Any, value: Any) -> Refused:
    name = name_of(type(value))
    return _Mismatch(f"expected {name_of(expected)}, got {name}", name)


def _anything() -> tuple[Lower, Lift]:
    return lambda value, _: plain(value), lambda data: data


# --- one value ------------------------------------------------------------------------------------


def _scalar(hint: Any) -> tuple[Lower, Lift]:
    accepted = _ACCEPTS.get(hint, (hint,))

    def check(value: Any, _levels: int = 0) -> Any:
        if type(value) not in accepted:
            raise _reject(hint, value)
        return value

    return check, check


@attrs.frozen
class _Leaf:
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
    datetime.datetime: _Leaf(datetime.datetime, _TEXT, _lower_datetime, _lift_datetime),
    uuid.UUID: _Leaf(uuid.UUID, _TEXT, str, uuid.UUID),
    Path: _Leaf(PurePath, _TEXT, str, Path),
    PurePath: _Leaf(PurePath, _TEXT, str, PurePath),
    Decimal: _Leaf(Decimal, _TEXT, lambda v: str(_finite(v)), lambda d: _finite(Decimal(d))),
}


def _leaf(bare: Any) -> _Leaf | None:
    if not isinstance(bare, type):
        return None
    if issubclass(bare, enum.Enum):
        kinds = frozenset(type(member.value) for member in bare)
        return _Leaf(bare, kinds, lambda value: plain(value.value), bare)
    return _LEAVES.get(bare)


def _leaf_hooks(hint: Any) -> tuple[Lower, Lift]:
    leaf = _leaf(hint)
    assert leaf is not None

    def lower(value: Any, _levels: int) -> Any:
        if not isinstance(value, leaf.cls):
            raise _reject(hint, value)
        return leaf.lower(value)

    def lift(data: Any) -> Any:
        if type(data) not in leaf.kinds:
            raise _reject(hint, data)
        try:
            return leaf.lift(data)
        except (ValueError, InvalidOperation, Refused):
            raise Refused(f"expected {name_of(hint)}") from None

    return lower, lift


# --- containers -----------------------------------------------------------------------------------


def _zip(values: Any, hints: Iterable[Any], convert: Callable[[Any, Any], Any]) -> list[Any]:
    """Convert each value by the hint beside it."""
    out: list[Any] = []
    try:
        for value, hint in zip(values, hints, strict=False):
            out.append(convert(value, hint))
    except Refused as refused:
        raise refused.under(len(out), values) from None
    return out


def _below(levels: int) -> Callable[[Any, Any], Any]:
    """How a container with that many levels left lowers what it holds."""
    if levels == 0:
        raise too_deep(MAX_LEVELS)
    return lambda value, hint: unstructure(value, hint, levels - 1)


def _element(hint: Any) -> Any:
    return (typing.get_args(hint) or (Any,))[0]


def _list_hooks(hint: Any) -> tuple[Lower, Lift]:
    element = _element(hint)

    def lower(value: Any, levels: int) -> list[Any]:
        if type(value) not in (list, tuple):
            raise _reject(hint, value)
        return _zip(value, repeat(element), _below(levels))

    def lift(data: Any) -> list[Any]:
        if type(data) is not list:
            raise _reject(hint, data)
        return _zip(data, repeat(element), structure)

    return lower, lift


def _tuple_hooks(hint: Any) -> tuple[Lower, Lift]:
    def lower(value: Any, levels: int) -> list[Any]:
        if type(value) not in (list, tuple):
            raise _reject(hint, value)
        return _zip(value, _elements(hint, len(value)), _below(levels))

    def lift(data: Any) -> tuple[Any, ...]:
        if type(data) is not list:
            raise _reject(hint, data)
        return tuple(_zip(data, _elements(hint, len(data)), structure))

    return lower, lift


def _elements(hint: Any, count: int) -> Iterable[Any]:
    """The annotations of the *count* elements of a tuple."""
    args = typing.get_args(hint)
    if hint is tuple or args[1:] == (Ellipsis,):
        return repeat(args[0] if args else Any)
    if len(args) != count:
        raise Refused(f"expected {name_of(hint)}, got {count} elements")
    return args


def _attempt(value: Any, hint: Any, below: Callable[[Any, Any], Any]) -> Any:
    """Return the data of *value*, or why there is none."""
    try:
        return plain(below(value, hint))
    except Refused as refused:
        return refused


def _set_hooks(hint: Any) -> tuple[Lower, Lift]:
    element = _element(hint)
    cls = frozenset if _origin(hint) is frozenset else set

    def lower(value: Any, levels: int) -> list[Any]:
        if type(value) not in (set, frozenset):
            raise _reject(hint, value)
        # Elements have no place that two processes share, so a refusal names the set alone, and
        # the least of several reasons; their bytes have an order, so they cross in that.
        below = _below(levels)
        items = [_attempt(item, element, below) for item in value]
        if refused := [item for item in items if isinstance(item, Refused)]:
            least = min(refused, key=lambda each: each.reason)
            raise Refused(f"an element of the set: {least.reason}", least.type_name)
        return sorted(items, key=encode)

    def lift(data: Any) -> Any:
        if type(data) is not list:
            raise _reject(hint, data)
        try:
            return cls(_zip(data, repeat(element), structure))
        except TypeError:
            raise Refused(f"expected {name_of(hint)}") from None

    return lower, lift


def _map_hooks(hint: Any) -> tuple[Lower, Lift]:
    key, element = typing.get_args(hint) or (str, Any)
    if _bare(key) not in (str, Any):
        return _impossible(f"{name_of(hint)} cannot cross the process boundary; make its keys str")

    def lower(value: Any, levels: int) -> dict[Any, Any]:
        if type(value) is not dict:
            raise _reject(hint, value)
        below = _below(levels)
        return {name: _at(name, value, item, element, below) for name, item in value.items()}

    def lift(data: Any) -> dict[str, Any]:
        if type(data) is not dict:
            raise _reject(hint, data)
        return {name: _at(name, data, item, element, structure) for name, item in data.items()}

    return lower, lift


def _at(key: str, container: Any, value: Any, hint: Any, convert: Callable[[Any, Any], Any]) -> Any:
    try:
        return convert(value, hint)
    except Refused as refused:
        raise refused.under(key, container) from None


def _impossible(reason: str) -> tuple[Lower, Lift]:
    """Refuse every value of an annotation that cannot be kept."""

    def refuse(_value: Any, _levels: int = 0) -> Any:
        raise Refused(reason)

    return refuse, refuse


# --- attrs classes and dataclasses ----------------------------------------------------------------


def _is_record(hint: Any) -> bool:
    cls = _origin(hint)
    return isinstance(cls, type) and (attrs.has(cls) or dataclasses.is_dataclass(cls))


def _fields(hint: Any) -> dict[str, Any]:
    """The annotation of each field that the constructor takes."""
    cls = _origin(hint)
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


def _record_hooks(hint: Any) -> tuple[Lower, Lift]:
    cls = _origin(hint)

    def lower(value: Any, levels: int) -> dict[str, Any]:
        # A subclass may hold more than the annotation knows; what is not sent would be lost.
        if type(value) is not cls:
            raise _reject(hint, value)
        below = _below(levels)
        return {
            name: _at(name, value, getattr(value, name), field, below)
            for name, field in _known_fields(hint).items()
        }

    def lift(data: Any) -> Any:
        if type(data) is not dict:
            raise _reject(hint, data)
        return _build(hint, data)

    return lower, lift


@lru_cache(maxsize=1024)
def _known_fields(hint: Any) -> dict[str, Any]:
    return _fields(hint)


def _build(hint: Any, data: dict[str, Any]) -> Any:
    """Call the constructor; what it raises is the data's fault."""
    name = name_of(hint)
    if unknown := sorted(data.keys() - _known_fields(hint).keys()):
        raise Refused(f"expected {name}, got the unknown field {unknown[0]!r}")
    try:
        return _constructor(hint)(data, hint)
    except (Refused, RecursionError):
        raise
    except KeyError as error:
        raise Refused(f"expected {name} with the field {error}") from None
    except Exception as error:
        raise Refused(f"expected {name} ({type(error).__name__})") from None


@lru_cache(maxsize=1024)
def _constructor(hint: Any) -> Callable[[Any, Any], Any]:
    """Let cattrs generate the call: it knows aliases, defaults and keyword-only fields."""
    from cattrs.gen import make_dict_structure_fn, override

    fields: dict[str, Any] = {
        name: override(struct_hook=_field_hook(name, field))
        for name, field in _known_fields(hint).items()
    }
    # cattrs wants the arguments of a generic class; left out, each of them may be anything.
    return make_dict_structure_fn(_fill(hint, {}), _converter(), **fields)


def _field_hook(name: str, hint: Any) -> Callable[[Any, Any], Any]:
    return lambda data, _: _at(name, None, data, hint, structure)


@lru_cache(maxsize=1)
def _converter() -> Converter:
    from cattrs import Converter

    return Converter(forbid_extra_keys=True, detailed_validation=False)


# --- unions ---------------------------------------------------------------------------------------


def _union_hooks(hint: Any) -> tuple[Lower, Lift]:
    """Choose a member by the kind of its data.

    Members that look alike on the wire are refused, whatever the value: which of ``datetime | str``
    a text was would be a guess.
    """
    members = typing.get_args(hint)
    rich = [member for member in members if needs_structuring(member)]
    simple = _any_kind(member for member in members if member not in rich)
    choices = _choices(rich)
    kinds = [*simple, *(kind for choice in choices for kind in choice.kinds)]
    if len(set(kinds)) < len(kinds):
        return _impossible(f"{name_of(hint)} is ambiguous: its members look alike as plain data")

    return _union_lower(hint, rich, simple), _union_lift(hint, choices, simple)


def _union_lower(hint: Any, rich: list[Any], simple: frozenset[type]) -> Lower:
    def lower(value: Any, levels: int) -> Any:
        for member in rich:
            try:
                return unstructure(value, member, levels)
            except _Mismatch as mismatch:
                if mismatch.trail:
                    raise
        if (list if type(value) is tuple else type(value)) in simple:
            return plain(value)
        raise _reject(hint, value)

    return lower


def _union_lift(hint: Any, choices: list[_Choice], simple: frozenset[type]) -> Lift:
    def lift(data: Any) -> Any:
        if type(data) in simple:
            return data
        for choice in choices:
            if type(data) in choice.kinds:
                return structure(data, _chosen(hint, choice, data))
        raise _reject(hint, data)

    return lift


def _chosen(hint: Any, choice: _Choice, data: Any) -> Any:
    try:
        return choice.member(data)
    except ValueError:
        raise Refused(f"expected {name_of(hint)}, got the fields of none of them") from None


@attrs.frozen
class _Choice:
    """Members of a union that share a kind of data, and how to tell them apart."""

    kinds: tuple[type, ...]
    member: Callable[[Any], Any]


def _choices(members: list[Any]) -> list[_Choice]:
    records = [member for member in members if _is_record(_bare(member))]
    others = [member for member in members if member not in records]
    return [_Choice(tuple(_kinds(other)), _always(other)) for other in others] + _tell(records)


def _tell(records: list[Any]) -> list[_Choice]:
    """Tell records apart by the fields that only one of them has, or by a Literal field."""
    from cattrs.disambiguators import create_default_dis_func

    alone = [_Choice((dict,), _always(record)) for record in records]
    if len(records) < 2:
        return alone
    try:
        return [_Choice((dict,), create_default_dis_func(_converter(), *records))]
    except (TypeError, ValueError):
        return alone  # the same kind twice: ambiguous


def _always(member: Any) -> Callable[[Any], Any]:
    return lambda _: member


def _any_kind(hints: Iterable[Any]) -> frozenset[type]:
    return frozenset().union(*map(_kinds, hints))


def _kinds(hint: Any) -> frozenset[type]:
    """The types that the data of *hint* can have."""
    bare = _bare(hint)
    origin = _origin(bare)
    if leaf := _leaf(bare):
        return leaf.kinds
    if origin in _UNIONS:
        return _any_kind(typing.get_args(bare))
    if origin is Literal:
        return frozenset(map(type, typing.get_args(bare)))
    if bare in (Any, object):
        return frozenset((*_SCALARS, list, dict))
    if origin is tuple or origin in (*_LISTS, *_SETS):
        return frozenset({list})
    if origin in _MAPS or _is_record(bare):
        return frozenset({dict})
    return frozenset(_ACCEPTS.get(bare, (bare,))) if bare in _SCALARS else frozenset()


#: The first rule whose predicate holds makes the hooks of an annotation without wrapping.
_RULES: tuple[tuple[Callable[[Any], bool], Callable[[Any], tuple[Lower, Lift]]], ...] = (
    (lambda bare: _leaf(bare) is not None, _leaf_hooks),
    (_is_record, _record_hooks),
    (_among(*_UNIONS), _union_hooks),
    (_among(tuple), _tuple_hooks),
    (_among(*_SETS), _set_hooks),
    (_among(*_LISTS), _list_hooks),
    (_among(*_MAPS), _map_hooks),
    (_among(*_SCALARS), _scalar),
)
