"""Examples of the values that an application meets, made from what their classes say of them."""

from __future__ import annotations

import types
import typing
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs

import nxkernel as nx
from nxkernel._pickling import Portable
from nxkernel._remote import RemoteTraceback
from nxkernel._shape import Shape
from nxkernel.storage import BlobStore
from nxkernel.testing import FakeClock
from tests.support import public_face

#: Of what has no fields to be filled, and of what takes not every value.
BY_HAND: dict[type, list[Any]] = {
    nx.Blob: [nx.Blob(b"\x89PNG", "image/png"), nx.Blob(b"")],
    nx.HookspecMarker: [nx.HookspecMarker("zoo")],
    FakeClock: [FakeClock()],
    Shape: [Shape({"a": [1]}, 2, 3)],
    nx.Grant: [nx.Grant(read=("/srv",), network=("tcp:443",), calls=("read_tokens",))],
    nx.Sandbox: [nx.Sandbox(require="process", prefer="confined")],
    nx.Limits: [nx.Limits(memory_mb=64, timeout_s=1.5, log_kb=1)],
    nx.Surroundings: [nx.Surroundings(environment={"TZ": "UTC"}, processors=[0], swapped=True)],
    nx.Hosting: [
        nx.Hosting(
            python=Path("/usr/bin/python3"),
            environment=types.MappingProxyType({"A": "b"}),
            inproc_allowlist={"ocr.rapid": "it is being debugged"},
            limits=nx.Limits(memory_mb=64),
        )
    ],
}
#: What a field of such a type has.
LEAVES: dict[Any, Any] = {
    Any: {"a": [1, None, 0.5], "b": "ü"},
    None: None,
    type(None): None,
    bool: True,
    bytearray: bytearray(b"\x01"),
    bytes: b"\x00\xff",
    dict: {"a": 1},
    float: 0.25,
    int: 7,
    list: [1],
    object: "thing",
    str: "ocr.rapid",
    Sequence: array("q", [1, 2]),
    Path: Path("/srv/plugins"),
    Exception: nx.PluginFailed("bad", plugin="ocr.rapid"),
    type: nx.PluginFailed,
}


def of(cls: type, place: Path) -> list[Any]:
    """Return examples of *cls*: with all that it can have, and with no more than it must."""
    if cls is BlobStore:
        return [BlobStore(place)]
    if issubclass(cls, BaseException):
        return [_raised(cls)]
    if cls in BY_HAND:
        return [*BY_HAND[cls], *([cls()] if attrs.has(cls) else [])]
    return [cls(**_fields(cls, bare=False)), cls(**_fields(cls, bare=True))]


def _raised(cls: Any) -> BaseException:
    """An error as a call makes it: with a cause, a note, and whom it concerns."""
    if cls is nx.HookFailed:
        outcome = nx.Outcome(**_fields(nx.Outcome, bare=False))
        error: Any = cls("no value", result=nx.HookResult(hook="act", outcomes=(outcome,)))
    else:
        error = cls("no", code="some.code", plugin="a", hook="act", details={"frames": [1]})
    error.__cause__ = RemoteTraceback("Traceback ...")
    error.add_note("seen in a test")
    return typing.cast("BaseException", error)


@cache
def _hints(cls: Any) -> Mapping[str, Any]:
    # What a module has by its own import comes before what it imports for type checkers alone.
    known = {name: next(iter(found)) for name, found in public_face.everywhere().items()}
    # Only from Python 3.12 on can an array be written with the type of its items.
    arrays = {"array": Sequence}
    return typing.get_type_hints(cls, known | vars(public_face.home_of(cls)) | arrays)


def _fields(cls: Any, *, bare: bool) -> dict[str, Any]:
    if not attrs.has(cls):
        return {}
    views = issubclass(cls, Portable)
    return {
        each.alias: _value(_hints(cls)[each.name], views)
        for each in attrs.fields(cls)
        if each.init and not (bare and each.default is not attrs.NOTHING)
    }


def _value(hint: Any, views: bool) -> Any:
    """Return something of the type *hint*; with *views* a mapping is a read-only one."""
    if hint in LEAVES:
        return LEAVES[hint]
    if isinstance(hint, typing.NewType):
        return _value(hint.__supertype__, views)
    if isinstance(hint, type) and public_face.ours(hint):
        return BY_HAND[hint][0] if hint in BY_HAND else _inner(hint)
    kind, parts = typing.get_origin(hint), typing.get_args(hint)
    if kind is typing.Literal:
        return parts[0]
    if kind in (types.UnionType, typing.Union):
        return _value(next(each for each in parts if each is not type(None)), views)
    return _container(kind, parts, views)


def _inner(cls: Any) -> Any:
    return _raised(cls) if issubclass(cls, BaseException) else cls(**_fields(cls, bare=True))


def _container(kind: Any, parts: tuple[Any, ...], views: bool) -> Any:
    if kind in (dict, Mapping):
        made = {_value(parts[0], views=False): _value(parts[1], views=False)}
        return types.MappingProxyType(made) if views and kind is Mapping else made
    if kind is Callable:
        return lambda: _value(parts[1], views)
    if kind in (tuple, list, frozenset):
        return kind(_value(each, views) for each in parts if each is not ...)
    return LEAVES[kind]
