"""Where a schema's values have artifacts, and lists whose elements stand for themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from nxkernel.schemas._pointers import resolve
from nxkernel.schemas.profile import Path
from nxkernel.schemas.vocabulary import ARTIFACT, EACH

__all__ = ["EachList", "Group", "Plan"]

#: The kind whose artifacts are a world of their own: ids within it name what is within it.
SCOPE = "state"
_CHOICES = ("allOf", "anyOf", "oneOf")


@attrs.define(eq=False, slots=False, frozen=True)
class Group:
    """Artifacts of one kind that stand together: the elements of a list, or one alone."""

    kind: str
    #: Of the list, or of the one artifact.
    path: Path
    values: Sequence[Mapping[str, Any]]
    single: bool
    #: The path of the state around it; () outside of any.
    scope: Path
    #: Whether it was an argument of the call, and no part of the result.
    given: bool = False

    def at(self, index: int) -> Path:
        """Return the path of one of the artifacts."""
        return self.path if self.single else (*self.path, index)

    def members(self) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """Yield each artifact with its path."""
        return ((self.at(index), value) for index, value in enumerate(self.values))

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys that any of them has."""
        return frozenset().union(*self.values)


@attrs.frozen
class EachList:
    """A list from which an invalid element is dropped alone."""

    path: Path
    #: What its elements are called.
    kind: str
    size: int


@attrs.define(eq=False)
class _Node:
    """What is marked at one place of a schema and beneath it."""

    kind: str = ""
    each: str = ""
    keys: dict[str, _Node] = attrs.Factory(dict)
    rest: _Node | None = None
    items: _Node | None = None

    def below(self) -> list[_Node]:
        return [*self.keys.values(), *filter(None, (self.rest, self.items))]


class Plan:
    """The marked places of one schema (compiled already), to look at its values by."""

    def __init__(self, schema: Any) -> None:
        self._root = schema
        self._nodes: dict[int, _Node] = {}
        self._top = self._node(schema)
        _prune(self._nodes.values())
        #: Whether any artifact is marked, and any list from which elements may be dropped.
        reached = list(self._nodes.values())
        self.artifacts = any(node.kind for node in reached)
        self.drops = any(node.each for node in reached)
        self.kinds = frozenset(node.kind for node in reached if node.kind)

    def groups(self, value: Any, *, given: bool = False) -> list[Group]:
        """Return the artifacts of a valid *value*, in the order in which they stand."""
        if not self.artifacts:
            return []
        walk = _Walk(given=given)
        walk.visit(self._top, value, (), ())
        return walk.groups

    def lists(self, value: Any) -> list[EachList]:
        """Return the lists of *value*, valid or not, from which elements may be dropped."""
        if not self.drops:
            return []
        walk = _Walk()
        walk.visit(self._top, value, (), ())
        return walk.lists

    def allowances(self) -> list[tuple[str, str]]:
        """Return the places of lists that elements may be dropped from, with their kinds."""
        return sorted(set(_allowances(self._top, "", frozenset())))

    def _node(self, schema: Any) -> _Node:
        if not isinstance(schema, Mapping):
            return _Node()
        known = self._nodes.get(id(schema))
        if known is not None:
            return known
        node = self._nodes[id(schema)] = _Node()
        node.kind, node.each = schema.get(ARTIFACT, ""), schema.get(EACH, "")
        for key, below in schema.get("properties", {}).items():
            node.keys[key] = self._node(below)
        if "additionalProperties" in schema:
            node.rest = self._node(schema["additionalProperties"])
        if "items" in schema:
            node.items = self._node(schema["items"])
        for other in self._beside(schema):
            _join(node, other)
        return node

    def _beside(self, schema: Mapping[str, Any]) -> Iterator[_Node]:
        """What else looks at the same value."""
        if "$ref" in schema:
            yield self._node(resolve(self._root, schema["$ref"]))
        for keyword in _CHOICES:
            for each in schema.get(keyword, ()):
                yield self._node(each)


def _join(node: _Node, other: _Node) -> None:
    node.kind, node.each = node.kind or other.kind, node.each or other.each
    for key, below in other.keys.items():
        node.keys.setdefault(key, below)
    node.rest, node.items = node.rest or other.rest, node.items or other.items


def _prune(nodes: Any) -> None:
    """Cut off what leads to no mark, so that most of a value is never looked at."""
    nodes = list(nodes)
    marked = {id(node) for node in nodes if node.kind or node.each}
    while True:
        more = {id(n) for n in nodes if any(id(b) in marked for b in n.below())} - marked
        if not more:
            break
        marked |= more
    for node in nodes:
        node.keys = {
            key: node.keys[key] for key in sorted(node.keys) if id(node.keys[key]) in marked
        }
        node.rest = node.rest if id(node.rest) in marked else None
        node.items = node.items if id(node.items) in marked else None


def _allowances(node: _Node, place: str, above: frozenset[int]) -> Iterator[tuple[str, str]]:
    if id(node) in above:
        return
    above |= {id(node)}
    if node.each:
        yield place, node.each
    for key, below in node.keys.items():
        yield from _allowances(below, f"{place}/{key}", above)
    for below in filter(None, (node.rest, node.items)):
        yield from _allowances(below, f"{place}/*", above)


@attrs.define
class _Walk:
    """One look through a value."""

    given: bool = False
    groups: list[Group] = attrs.Factory(list)
    lists: list[EachList] = attrs.Factory(list)

    def visit(self, node: _Node, value: Any, path: Path, scope: Path) -> None:
        if type(value) is dict:
            if node.kind:
                self._found(node.kind, path, [value], scope, single=True)
            self._inside(node, value, path, scope)
        elif type(value) is list and node.items is not None:
            self._elements(node, node.items, value, path, scope)
        elif type(value) is list and node.each:
            self.lists.append(EachList(path, node.each, len(value)))

    def _elements(
        self, node: _Node, item: _Node, values: list[Any], path: Path, scope: Path
    ) -> None:
        if node.each:
            self.lists.append(EachList(path, node.each, len(values)))
        if item.kind:
            self._found(item.kind, path, values, scope, single=False)
        if not item.below():
            return
        for index, value in enumerate(values):
            here = (*path, index)
            if type(value) is dict:
                self._inside(item, value, here, scope)
            else:
                self.visit(item, value, here, scope)

    def _inside(self, node: _Node, value: dict[str, Any], path: Path, scope: Path) -> None:
        within = path if node.kind == SCOPE else scope
        for key, below in node.keys.items():
            if key in value:
                self.visit(below, value[key], (*path, key), within)
        if node.rest is not None:
            for key in sorted(value.keys() - node.keys.keys()):
                self.visit(node.rest, value[key], (*path, key), within)

    def _found(
        self, kind: str, path: Path, values: list[Any], scope: Path, *, single: bool
    ) -> None:
        if all(type(value) is dict for value in values):
            group = Group(kind, path, values, single=single, scope=scope, given=self.given)
            self.groups.append(group)
