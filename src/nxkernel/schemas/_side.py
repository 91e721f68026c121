"""One side of a proof: a document, what its references lead to, and what it accepts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import attrs

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas._keywords import ANNOTATIONS
from nxkernel.schemas._pointers import parts_of, resolve
from nxkernel.schemas.registry import SchemaRegistry

__all__ = ["Side", "Steps"]


@attrs.define
class Steps:
    """What a proof may still take: alternatives within alternatives multiply."""

    left: int = 10_000

    def take(self) -> bool:
        """Take one, if there is one."""
        self.left -= 1
        return self.left >= 0


@attrs.frozen
class Side:
    """One document, for its references."""

    document: Any
    #: Shared by both sides of a proof.
    steps: Steps = attrs.Factory(Steps)

    def resolved(self, schema: Any) -> Any:
        """Follow *schema* while it is nothing but a reference."""
        seen = 0
        while isinstance(schema, Mapping) and set(schema) - ANNOTATIONS == {"$ref"} and seen < 100:
            schema, seen = self.target(schema["$ref"]), seen + 1
        return schema

    def target(self, ref: str) -> Any:
        """Return what *ref* refers to."""
        return resolve(self.document, ref)

    def conjuncts(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the schema itself, and what it says as well by ``allOf`` and beside a reference."""
        yield schema
        more = list(schema.get("allOf", ()))
        if "$ref" in schema:
            more.append(self.target(schema["$ref"]))
        for part in map(self.resolved, more):
            if isinstance(part, Mapping):
                yield from self.conjuncts(part)

    def accepts(self, schema: Any, value: Any) -> bool:
        """Whether *value* is valid under *schema*, a part of the document.

        Raises:
            SchemaInvalid: for a part whose references lead elsewhere than to the definitions.
        """
        if schema is self.document or not isinstance(schema, Mapping):
            return SchemaRegistry().validate(value, schema) == []
        whole = {**schema, "$defs": self._definitions(schema)}
        return SchemaRegistry().validate(value, whole) == []

    def _definitions(self, part: Any) -> dict[str, Any]:
        """Return those that *part* needs, and those that they need."""
        found: dict[str, Any] = {}
        todo = list(_references(part))
        while todo:
            ref = todo.pop()
            if not ref.startswith("#/$defs/"):
                # By itself the part would be what "#" means.
                raise SchemaInvalid("a reference leads out of the part")
            name = parts_of(ref)[1]
            if name not in found:
                found[name] = self.document["$defs"][name]
                todo += _references(found[name])
        return found

    def surely_accepts(self, schema: Any, value: Any) -> bool:
        """As :meth:`accepts`; no where a reference leads out of the part."""
        with suppress(SchemaInvalid):
            return self.accepts(schema, value)
        return False

    def may_accept(self, schema: Any, value: Any) -> bool:
        """As :meth:`accepts`; yes where a reference leads out of the part."""
        with suppress(SchemaInvalid):
            return self.accepts(schema, value)
        return True


def _references(value: Any) -> Iterator[str]:
    """Yield what may be a reference in *value*; a constant may look like one."""
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
