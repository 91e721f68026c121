"""Schemas that are known by name: what one may refer to from another without fetching anything.

A schema refers to a published one by its ``$id``, ``{"$ref": "urn:nxkernel:sst:token:1"}``. Before
it is compiled, what it refers to is copied into it, so that every reference ends up inside the
document; a name that is not known stays where it is, and the profile refuses it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas._copies import mapped
from nxkernel.schemas.contracts import load_contract, names_of_contracts

__all__ = ["bundled", "is_name", "named", "published", "published_names"]

#: What stands at the head of a document and has no place in the middle of another.
_HEAD = frozenset({"$id", "$schema", "$defs", "examples"})


def is_name(value: object) -> bool:
    """Whether *value* is written as the name of a schema, known or not."""
    return isinstance(value, str) and value.startswith("urn:")


def named(value: Any) -> Any:
    """Return the schema that *value* stands for: a name is a reference to what it names."""
    return {"$ref": value} if is_name(value) else value


def published_names() -> tuple[str, ...]:
    """Return the names of all published schemas, sorted."""
    return tuple(sorted(_documents()))


def published(name: str) -> dict[str, Any]:
    """Return a copy of the schema called *name*, such as ``urn:nxkernel:sst:token:1``.

    Raises:
        SchemaInvalid: when there is none.
    """
    document = _documents().get(name)
    if document is None:
        near = get_close_matches(name, published_names(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SchemaInvalid(f"{name!r} names no published schema{hint}")
    return copy.deepcopy(dict(document))


@cache
def _documents() -> Mapping[str, dict[str, Any]]:
    found = (load_contract(name) for name in names_of_contracts())
    return {document["$id"]: document for document in found if "$id" in document}


def bundled(schema: Any) -> Any:
    """Return *schema* (plain values) with every published schema that it refers to inside it.

    They stand under ``$defs`` by their own names, and their definitions beside them as
    ``<name>.<definition>``.

    Raises:
        SchemaInvalid: for a definition of the schema's own that has such a name.
    """
    wanted = sorted(set(_names_in(schema)))
    if not wanted:
        return schema
    defs = dict(schema.get("$defs", {}))
    for name in wanted:
        added = _hoisted(name)
        if clash := sorted(added.keys() & defs.keys()):
            raise SchemaInvalid(f"#/$defs/{clash[0]}: is the name of a published schema")
        defs |= added
    return {**mapped(schema, _pointed), "$defs": defs}


def _names_in(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        ref = schema.get("$ref")
        if isinstance(ref, str) and is_name(ref) and ref in _documents():
            yield ref
        for value in schema.values():
            yield from _names_in(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _names_in(value)


def _pointed(schema: dict[str, Any]) -> dict[str, Any]:
    """Write a reference by name as one to the copy."""
    ref = schema.get("$ref")
    known = isinstance(ref, str) and is_name(ref) and ref in _documents()
    return {**schema, "$ref": f"#/$defs/{ref}"} if known else schema


def _hoisted(name: str) -> dict[str, Any]:
    """What goes under ``$defs`` for the schema called *name*: it never refers to another one."""

    def moved(schema: dict[str, Any]) -> dict[str, Any]:
        ref = schema.get("$ref")
        return schema if ref is None else {**schema, "$ref": _place(name, ref)}

    document = _documents()[name]
    found = {name: {k: v for k, v in document.items() if k not in _HEAD}}
    found |= {f"{name}.{key}": value for key, value in document.get("$defs", {}).items()}
    return {key: mapped(value, moved) for key, value in found.items()}


def _place(name: str, ref: str) -> str:
    return f"#/$defs/{name}" if ref == "#" else ref.replace("#/$defs/", f"#/$defs/{name}.", 1)
