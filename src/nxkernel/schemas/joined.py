"""Schemas in several documents, made one: nothing is fetched, because nothing is left to fetch.

A schema may refer to another document that was loaded beside it, by its place beside the own one
(``common.schema.json#/$defs/box``) or by the ``$id`` that it gives itself. Before it is compiled,
what it refers to is copied below its ``$defs``, under the document's name. A reference that leads
to no such document stays as it is, and the profile refuses it: an address is a name, or it is
nothing.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Any

import attrs

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas._copies import mapped
from nxkernel.schemas.draft7 import is_draft7
from nxkernel.schemas.profile import pointer
from nxkernel.schemas.published import published_names

__all__ = ["Find", "Joined", "joined"]

#: Returns name and content of the document at a place, or None where there is none.
Find = Callable[[str], "tuple[str, Any] | None"]
#: Most documents that one schema is made of.
MAX_DOCUMENTS = 64
#: What stands at the head of a document and has no place in the middle of another.
_HEAD = frozenset({"$id", "$schema"})
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/")


@attrs.frozen
class Joined:
    """A schema with every document that it refers to."""

    name: str
    #: One document; compile it.
    schema: Any
    #: Names of the documents below its ``$defs``.
    parts: tuple[str, ...] = ()

    def placed(self, error: SchemaInvalid) -> SchemaInvalid:
        """Return *error*, of the one document, with the place in the document it came from."""
        place = str(error.details.get("pointer", "#"))
        name, there = self.name, place
        for part in self.parts:
            lead = "#" + pointer(("$defs", part))
            if f"{place}/".startswith(f"{lead}/"):
                name, there = part, "#" + place[len(lead) :]
        message = error.message.replace(place, there, 1) if place != there else error.message
        details = {**error.details, "schema": name, "pointer": there}
        return SchemaInvalid(f"{name}{message}", details=details)


def joined(name: str, document: Any, find: Find) -> Joined:
    """Return *document*, whose place is *name*, joined with what it refers to.

    Raises:
        SchemaInvalid: for a document that cannot be part of another one, or too many of them.
    """
    if not isinstance(document, dict) or is_draft7(document):
        return Joined(name, document)
    join = _Join(find, name)
    schema = join.copied(name, document)
    while join.waiting:
        part = join.waiting.pop(0)
        content = join.content(part)
        join.copies[part] = {k: v for k, v in join.copied(part, content).items() if k not in _HEAD}
    if not join.copies:
        return Joined(name, document)
    defs = schema.get("$defs", {})
    if not isinstance(defs, dict) or defs.keys() & join.copies.keys():
        raise SchemaInvalid(f"{name}#/$defs: holds the name of a document that is referred to")
    parts = tuple(sorted(join.copies))
    return Joined(name, {**schema, "$defs": {**defs, **join.copies}}, parts)


@attrs.define
class _Join:
    find: Find
    name: str
    #: By name, as they go below ``$defs``.
    copies: dict[str, Any] = attrs.field(factory=dict)
    waiting: list[str] = attrs.field(factory=list)
    _contents: dict[str, Any] = attrs.field(factory=dict)

    def content(self, part: str) -> dict[str, Any]:
        content = self._contents[part]
        if not isinstance(content, dict) or is_draft7(content):
            what = "no object" if not isinstance(content, dict) else "of draft 7"
            raise SchemaInvalid(f"{part}#: is {what}, and cannot be referred to from {self.name}")
        return content

    def copied(self, name: str, document: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of the document *name*, its references leading into the one document."""
        lead = "" if name == self.name else pointer(("$defs", name))

        def moved(schema: dict[str, Any]) -> dict[str, Any]:
            ref = schema.get("$ref")
            if not isinstance(ref, str):
                return schema
            return {**schema, "$ref": self._target(ref, name, lead)}

        copy: dict[str, Any] = mapped(document, moved)
        return copy

    def _target(self, ref: str, name: str, lead: str) -> str:
        base, _, place = ref.partition("#")
        if not base:
            return f"#{lead}{place}"
        found = None if base in published_names() else self.find(_beside(name, base))
        if found is None:
            return ref
        part, content = found
        if part == self.name:
            return f"#{place}"
        if part not in self._contents:
            if len(self._contents) >= MAX_DOCUMENTS:
                raise SchemaInvalid(f"{self.name}#: refers to more than {MAX_DOCUMENTS} documents")
            self._contents[part] = content
            self.waiting.append(part)
        return f"#{pointer(('$defs', part))}{place}"


def _beside(name: str, base: str) -> str:
    """Return the place that *base* is, seen from the document *name*; an address is itself."""
    if _ADDRESS.match(base):
        return base
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), base))
