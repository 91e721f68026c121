"""Plain values: the kinds that cross the process boundary as they are.

None, bool, int of 64 bits, finite float, str, bytes, blobs, and list and dict (str keys) of those,
nested to a depth of 200. The types are exact: a subclass would arrive as something else. The walk
copies, so that nobody can change a value between its check and its encoding, and it is on the path
of every call: one loop for each container, no function call for the commonest scalars, and the path
of a refused value is put together only while the refusal unwinds.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import math
import sys
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import attrs

from nxkernel._blob import Blob
from nxkernel._canonical import MAX_DEPTH

__all__ = ["Refused", "name_of", "plain", "render", "too_deep"]

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


class Refused(Exception):
    """A value cannot cross. Gathers where it was found, from the inside out."""

    def __init__(
        self, reason: str, type_name: str = "", *, deep: bool = False, owner: Any = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        #: Whether the nesting is at fault, and no single place.
        self.deep = deep
        #: Qualified name of the type at fault.
        self.type_name = type_name
        #: The dict whose key is at fault, if it is a key.
        self.owner = owner
        #: Key or index, and the container that it was found in; the innermost first.
        self.trail: list[tuple[str | int, Any]] = []

    def under(self, key: str | int, container: Any) -> Refused:
        """Note that the value was found in *container* at *key*."""
        self.trail.append((key, container))
        return self

    @property
    def steps(self) -> list[str | int]:
        """Keys and indices from the outside in; of a cycle, one turn."""
        return [key for key, _ in reversed(self.trail)][: self._turn()]

    def explain(self) -> str:
        """Say what is wrong, and what to do."""
        if self.deep and self._turn():
            return "contains itself; pass a value without cycles"
        return self.reason

    def _turn(self) -> int | None:
        """Steps until a container comes back within itself; 0 if none does, None if it is moot."""
        if not self.deep:
            return None
        seen: set[int] = set()
        for index, (_, container) in enumerate(reversed(self.trail)):
            if id(container) in seen:
                return index
            seen.add(id(container))
        return 0


def too_deep(limit: int) -> Refused:
    """Return the refusal of a value with more than *limit* levels."""
    return Refused(f"nested deeper than {limit} levels; pass a flatter value", deep=True)


def plain(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Return a copy of *value* with tuples as lists; *depth* containers may nest.

    Raises:
        Refused: for the first value, in order, that cannot cross.
    """
    return _WALKS.get(type(value), _refuse)(value, depth)


def _list(value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
    if depth == 0:
        raise too_deep(MAX_DEPTH)
    out: list[Any] = []
    try:
        for item in value:
            kind = type(item)
            if kind is int:
                if not _INT_MIN <= item <= _INT_MAX:
                    _int(item, depth)
            elif kind is not str or not item.isascii():
                item = _WALKS.get(kind, _refuse)(item, depth - 1)
            out.append(item)
    except Refused as refused:
        raise refused.under(len(out), value) from None
    return out


def _dict(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    if depth == 0:
        raise too_deep(MAX_DEPTH)
    out: dict[str, Any] = {}
    key = ""
    try:
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                _key(key, value)
            kind = type(item)
            if kind is int:
                if not _INT_MIN <= item <= _INT_MAX:
                    _int(item, depth)
            elif kind is not str or not item.isascii():
                item = _WALKS.get(kind, _refuse)(item, depth - 1)
            out[key] = item
    except Refused as refused:
        raise (refused if refused.owner is value else refused.under(key, value)) from None
    return out


def _key(key: Any, owner: dict[Any, Any]) -> None:
    """Refuse a bad key. It is no step of a path that one could follow: the dict is at fault."""
    if type(key) is not str:
        name = name_of(type(key))
        raise Refused(f"a dict with a key of type {name}; make its keys str", name, owner=owner)
    try:
        key.encode()
    except UnicodeEncodeError:
        reason = "a dict with a lone surrogate in a key; make its keys text"
        raise Refused(reason, "str", owner=owner) from None


def _same(value: Any, _depth: int) -> Any:
    return value


def _int(value: int, _depth: int) -> int:
    if _INT_MIN <= value <= _INT_MAX:
        return value
    raise Refused("an int of more than 64 bits; pass it as str or bytes", "int")


def _float(value: float, _depth: int) -> float:
    if math.isfinite(value):
        return value
    raise Refused("a float that is not finite; pass None or a str instead", "float")


def _str(value: str, _depth: int) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused("a str with a lone surrogate; pass it as bytes", "str") from None
    return value


def _refuse(value: Any, _depth: int) -> Any:
    name = name_of(type(value))
    raise Refused(f"{name} cannot cross the process boundary; {_advice(value)}", name)


_WALKS: dict[type, Callable[[Any, int], Any]] = {
    type(None): _same,
    bool: _same,
    bytes: _same,
    Blob: _same,
    int: _int,
    float: _float,
    str: _str,
    list: _list,
    tuple: _list,
    dict: _dict,
}

_ANNOTATE = "annotate the argument with its type in the hookspec and in the hookimpl"
#: The first entry that fits says what to do with a value of a type that is refused.
_ADVICE: tuple[tuple[tuple[type, ...], str], ...] = (
    ((enum.Enum, datetime.datetime, uuid.UUID, PurePath, Decimal), _ANNOTATE),
    ((set, frozenset), "pass a sorted list, or annotate the argument with set[...]"),
    ((bytearray, memoryview), "pass bytes(value), or a Blob"),
    ((int,), "pass int(value)"),
    ((float,), "pass float(value)"),
    ((str,), "pass str(value)"),
    ((bytes,), "pass bytes(value)"),
    ((list, tuple), "pass list(value)"),
    ((Mapping,), "pass dict(value)"),
)


def _advice(value: Any) -> str:
    if not isinstance(value, type) and (attrs.has(type(value)) or dataclasses.is_dataclass(value)):
        return _ANNOTATE
    fitting = (text for kinds, text in _ADVICE if isinstance(value, kinds))
    return next(fitting, "pass plain data, or an annotated attrs class or dataclass")


def name_of(hint: Any) -> str:
    """Return the qualified name of a type, without ``builtins``, or an annotation as text.

    Annotations that are equal have one text: ``Optional[int]`` reads ``int | None``.
    """
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_argument, typing.get_args(hint)))
    if origin is typing.Annotated:
        return name_of(hint.__origin__)
    if origin is not None:
        arguments = ", ".join(map(_argument, typing.get_args(hint)))
        return f"{name_of(origin)}[{arguments}]"
    if isinstance(hint, type):
        module = hint.__module__
        if module.partition(".")[0] in sys.stdlib_module_names:
            # Where Python keeps a class changes: pathlib.Path is pathlib._local.Path in 3.13.
            module = module.partition("._")[0]
        return hint.__qualname__ if module == "builtins" else f"{module}.{hint.__qualname__}"
    return str(hint).removeprefix("typing.")


def _argument(argument: Any) -> str:
    if argument is type(None):
        return "None"
    return "..." if argument is Ellipsis else name_of(argument)


def render(root: str, steps: list[str | int]) -> str:
    """Write a path as one would in Python: ``frame.meta[3]``, ``frame.boxes["a b"]``."""
    return root + "".join(map(_step, steps))


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step.isidentifier() else f'["{_escaped(step)}"]'


def _escaped(key: str) -> str:
    """The key as in a Python literal; what cannot be seen or printed is escaped."""
    text = key.replace("\\", "\\\\") if key.isprintable() else key.encode("unicode_escape").decode()
    return text.replace('"', '\\"')
