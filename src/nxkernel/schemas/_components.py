"""Strongly connected components, without recursion."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

import attrs

__all__ = ["components"]

N = TypeVar("N", bound=Hashable)


def components(roots: Iterable[N], successors: Callable[[N], list[N]]) -> list[list[N]]:
    """Return the strongly connected components reachable from *roots* (Tarjan, 1972)."""
    search = _Search(successors)
    for root in roots:
        if root not in search.index:
            search.run(root)
    return search.found


@attrs.define
class _Search(Generic[N]):
    successors: Callable[[N], list[N]]
    index: dict[N, int] = attrs.field(factory=dict)
    low: dict[N, int] = attrs.field(factory=dict)
    #: Nodes whose component is not complete, in the order of their discovery.
    open: dict[N, None] = attrs.field(factory=dict)
    found: list[list[N]] = attrs.field(factory=list)

    def run(self, root: N) -> None:
        trail = [(root, self._enter(root))]
        while trail:
            node, children = trail[-1]
            child = next(children, None)
            if child is None:
                trail.pop()
                self._leave(node, trail[-1][0] if trail else None)
            elif child not in self.index:
                trail.append((child, self._enter(child)))
            elif child in self.open:
                self.low[node] = min(self.low[node], self.index[child])

    def _enter(self, node: N) -> Iterator[N]:
        self.index[node] = self.low[node] = len(self.index)
        self.open[node] = None
        return iter(self.successors(node))

    def _leave(self, node: N, parent: N | None) -> None:
        if parent is not None:
            self.low[parent] = min(self.low[parent], self.low[node])
        if self.low[node] == self.index[node]:
            component: list[N] = []
            while not component or component[-1] != node:
                component.append(self.open.popitem()[0])
            self.found.append(component)
