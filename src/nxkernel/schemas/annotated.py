"""JSON Schemas of annotations: what the plain data of an annotated value looks like.

The same table as ``docs/reference/values.md``, written as a schema. It describes the data that
crosses and not the Python value: a datetime is text, a set is a list without repetition.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import inspect
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any, Literal
from urllib.parse import quote

import attrs

from nxkernel._blob import Blob
from nxkernel._plain import Refused, plain
from nxkernel._structure.annotations import LISTS, MAPS, SETS, UNIONS, bare_of, is_record, origin_of
from nxkernel._structure.records import fields_of
from nxkernel.schemas.profile import pointer

__all__ = ["BLOB", "BYTES", "arguments_schema", "schema_of"]

#: bytes, as a validator meets them: described, never shown.
BYTES: Mapping[str, Any] = {
    "type": "object",
    "required": ["$bytes"],
    "properties": {"$bytes": {"type": "integer", "minimum": 0}},
    "additionalProperties": False,
}
#: A blob, likewise.
BLOB: Mapping[str, Any] = {
    "type": "object",
    "required": ["$blob", "media", "size"],
    "properties": {
        "$blob": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        "media": {"type": "string"},
        "size": {"type": "integer", "minimum": 0},
    },
    "additionalProperties": False,
}
_TIME = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
_ZONE = "([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
_SIMPLE: Mapping[Any, Mapping[str, Any]] = {
    bool: {"type": "boolean"},
    Blob: BLOB,
    bytes: BYTES,
    datetime.datetime: {"type": "string", "pattern": _TIME + _ZONE},
    Decimal: {"type": "string"},
    float: {"type": "number"},
    # Python's own tower: a bool may stand where an int is annotated.
    int: {"type": ["boolean", "integer"]},
    None: {"type": "null"},
    type(None): {"type": "null"},
    Path: {"type": "string"},
    PurePath: {"type": "string"},
    str: {"type": "string"},
    uuid.UUID: {"type": "string"},
}
Schema = dict[str, Any]


def schema_of(hint: Any) -> Schema:
    """Return the schema of the plain data of *hint*; ``{}`` where anything may come.

    Records become entries of ``$defs``, so that one may hold itself.
    """
    return _Writer().document(lambda writer: writer.schema(hint))


def arguments_schema(function: Any, hints: Mapping[str, Any]) -> Schema:
    """Return the schema of the object of all arguments of a hookspec's *function*.

    *hints* are its resolved annotations. An argument without a default is required.
    """
    named = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self"
    }
    return _Writer().document(
        lambda writer: {
            "type": "object",
            "properties": {name: writer.schema(hints.get(name, Any)) for name in sorted(named)},
            "required": sorted(n for n, p in named.items() if p.default is p.empty),
            "additionalProperties": False,
        }
    )


@attrs.define
class _Writer:
    """Writes one document; each record is written once."""

    defs: dict[str, Schema] = attrs.Factory(dict)
    names: dict[Any, str] = attrs.Factory(dict)

    def document(self, body: Callable[[_Writer], Schema]) -> Schema:
        written = body(self)
        return {**written, "$defs": dict(sorted(self.defs.items()))} if self.defs else written

    def schema(self, hint: Any) -> Schema:
        bare = bare_of(hint)
        if isinstance(bare, type) and issubclass(bare, enum.Flag):
            return {"type": "integer"}  # members add up to values that are no member
        if isinstance(bare, type) and issubclass(bare, enum.Enum):
            return _constants([member.value for member in bare])
        if bare in _SIMPLE:
            return dict(_SIMPLE[bare])
        if is_record(bare):
            return self._record(bare)
        return self._compound(bare, origin_of(bare), typing.get_args(bare))

    def _compound(self, bare: Any, origin: Any, args: tuple[Any, ...]) -> Schema:
        if origin in UNIONS:
            return _either([self.schema(member) for member in args])
        if origin is Literal:
            return _constants(args)
        if origin is tuple:
            return self._tuple(args)
        if origin in SETS:
            return {**self._list(args), "uniqueItems": True}
        if origin in LISTS:
            return self._list(args)
        if origin in MAPS:
            return self._map(args)
        return {}

    def _list(self, args: tuple[Any, ...]) -> Schema:
        return _with({"type": "array"}, "items", self.schema(args[0]) if args else {})

    def _map(self, args: tuple[Any, ...]) -> Schema:
        below = self.schema(args[1]) if args else {}
        return _with({"type": "object"}, "additionalProperties", below)

    def _tuple(self, args: tuple[Any, ...]) -> Schema:
        if not args or args[1:] == (Ellipsis,):
            return self._list(args)
        each = [self.schema(arg) for arg in args]
        size = len(each)
        fixed = {"type": "array", "prefixItems": each, "minItems": size, "maxItems": size}
        return {**fixed, "items": False}

    def _record(self, hint: Any) -> Schema:
        name = self.names.get(hint)
        if name is None:
            name = self.names[hint] = self._free_name(origin_of(hint).__name__)
            self.defs[name] = {}
            self.defs[name] = self._fields(hint)
        return {"$ref": "#" + quote(pointer(("$defs", name)), safe="/~$")}

    def _free_name(self, wanted: str) -> str:
        taken, count = set(self.defs), 2
        name = wanted
        while name in taken:
            name, count = f"{wanted}_{count}", count + 1
        return name

    def _fields(self, hint: Any) -> Schema:
        try:
            fields = fields_of(hint)
        except Refused:
            return {"type": "object"}  # an annotation that names nothing: the value says so itself
        return {
            "type": "object",
            "properties": {name: self.schema(fields[name]) for name in sorted(fields)},
            "required": sorted(fields.keys() - _optional(origin_of(hint))),
            "additionalProperties": False,
        }


def _constants(values: Iterable[Any]) -> Schema:
    """One of *values* as plain data; anything where one of them is no plain value."""
    try:
        data = [plain(each.value if isinstance(each, enum.Enum) else each) for each in values]
    except Refused:
        return {}
    if any(type(each) in (list, dict) and _has_bytes(each) for each in data):
        return {}
    texts = [each for each in data if type(each) is not bytes]
    rest = [dict(BYTES)] if len(texts) < len(data) else []
    return _either([{"enum": texts}, *rest]) if rest else {"enum": texts}


def _has_bytes(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value
    return any(type(p) is bytes or (type(p) in (list, dict) and _has_bytes(p)) for p in parts)


def _with(schema: Schema, keyword: str, below: Schema) -> Schema:
    return {**schema, keyword: below} if below else schema


def _either(members: list[Schema]) -> Schema:
    """One of *members*; plain types join into one list."""
    if any(not member for member in members):
        return {}
    plain = [member["type"] for member in members if member.keys() == {"type"}]
    names = sorted({n for each in plain for n in ([each] if isinstance(each, str) else each)})
    rest = [member for member in members if member.keys() != {"type"}]
    joined: list[Schema] = [{"type": names[0] if len(names) == 1 else names}] if names else []
    return joined[0] if not rest else {"anyOf": [*rest, *joined]}


def _optional(cls: Any) -> set[str]:
    """Names of the fields that have a default."""
    if attrs.has(cls):
        return {f.name for f in attrs.fields(cls) if f.default is not attrs.NOTHING}
    missing = dataclasses.MISSING
    return {
        f.name
        for f in dataclasses.fields(cls)
        if f.default is not missing or f.default_factory is not missing
    }
