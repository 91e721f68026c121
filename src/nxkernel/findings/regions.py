"""The part of a schema that speaks of the elements of one list, as a schema of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import CompiledSchema, SchemaRegistry
from nxkernel.schemas._copies import mapped
from nxkernel.schemas._pointers import parts_of
from nxkernel.schemas.profile import Path

__all__ = ["Regions"]

#: Stands for any element in the way to a list, and for those of the list itself.
_ANY = 0
_ROOT = "#/$defs/root"


class Regions:
    """Finds schemas of elements and compiles each once."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._known: dict[tuple[str, Path], CompiledSchema | None] = {}

    def element(self, compiled: CompiledSchema, path: Path) -> CompiledSchema | None:
        """Return what *compiled* says of each element of the list at *path* of a value.

        None where it says nothing that can be told apart from the rest: only what is reached by
        ``properties``, ``additionalProperties``, ``items``, ``$ref`` and ``allOf`` can.
        """
        steps = tuple(_ANY if isinstance(part, int) else part for part in path)
        key = (compiled.digest, steps)
        if key not in self._known:
            self._known[key] = self._compiled(compiled.schema, (*steps, _ANY))
        return self._known[key]

    def _compiled(self, root: Any, steps: Path) -> CompiledSchema | None:
        # Copies and no references: a reference into the middle of a schema has rules of its own.
        parts = [mapped(_get(root, place), _moved) for place in _places(root, steps)]
        if not parts:
            return None
        whole = {"$defs": {"root": mapped(_headless(root), _moved)}, "allOf": parts}
        try:
            return self._registry.compile(whole)
        except SchemaInvalid:  # at the limits of size or depth, this goes beyond them
            return None


def _headless(root: Any) -> Any:
    return {key: root[key] for key in root if key not in ("$id", "$schema")}


def _moved(schema: dict[str, Any]) -> dict[str, Any]:
    ref = schema.get("$ref")
    return schema if ref is None else {**schema, "$ref": _ROOT + ref.removeprefix("#")}


def _places(root: Any, steps: Path) -> Iterable[Path]:
    """Where in *root* stands what speaks of the values that *steps* lead to."""
    here: list[Path] = [()]
    for step in steps:
        here = [
            place for each in _alike(root, here) for place in _below(_get(root, each), each, step)
        ]
    return here


def _below(schema: Any, place: Path, step: str | int) -> Iterator[Path]:
    if not isinstance(schema, Mapping):
        return
    if step == _ANY and isinstance(step, int):
        if "items" in schema:
            yield (*place, "items")
    elif step in schema.get("properties", {}):
        yield (*place, "properties", step)
    elif "additionalProperties" in schema:
        yield (*place, "additionalProperties")


def _alike(root: Any, places: Iterable[Path]) -> list[Path]:
    """*places* with those of all schemas that are applied to the same value as one of them."""
    found: dict[Path, None] = {}
    todo = list(places)
    while todo:
        place = todo.pop(0)
        schema = _get(root, place)
        if place in found or not isinstance(schema, Mapping):
            continue
        found[place] = None
        todo += [(*place, "allOf", index) for index in range(len(schema.get("allOf", ())))]
        if "$ref" in schema:
            todo.append(_indexed(root, parts_of(schema["$ref"])))
    return list(found)


def _indexed(root: Any, parts: Iterable[str]) -> Path:
    """A pointer's *parts* as a path: numbers where lists stand."""
    place: list[str | int] = []
    node = root
    for part in parts:
        key: str | int = int(part) if isinstance(node, list) else part
        place.append(key)
        node = node[key]
    return tuple(place)


def _get(root: Any, place: Path) -> Any:
    for part in place:
        root = root[part]
    return root
