"""How much work a schema can make of one value."""

from __future__ import annotations

from collections.abc import Iterator

from nxkernel.schemas.profile import Path, Profiled, children

__all__ = ["MAX_HEIGHT", "spread"]

#: Most subschemas within each other of a schema that is judged quickly.
MAX_HEIGHT = 64


def spread(profiled: Profiled) -> int | None:
    """Return the number of subschemas with every reference written out, or None for no end.

    A validator applies each of them to a value at most once, so that this times the number of
    values bounds its work: alternatives within alternatives multiply, and references hide that.
    None is a schema that refers to itself, by whatever way, or is so deep once its references are
    written out that the reference validator might not reach its ground.
    """
    sizes: dict[Path, int] = {}
    heights: dict[Path, int] = {}
    for path in _leaves_first(profiled):
        onward = list(_onward(profiled, path))
        if not all(each in sizes for each in onward):
            return None
        sizes[path] = 1 + sum(sizes[each] for each in onward)
        heights[path] = 1 + max((heights[each] for each in onward), default=0)
    return sizes[()] if heights[()] <= MAX_HEIGHT else None


def _leaves_first(profiled: Profiled) -> Iterator[Path]:
    """Yield the places that the root reaches, each after those that it leads to."""
    done: set[Path] = set()
    open_: set[Path] = set()
    todo: list[Path] = [()]
    while todo:
        path = todo[-1]
        ahead = [p for p in _onward(profiled, path) if p not in done and p not in open_]
        if path not in open_ and ahead:
            open_.add(path)
            todo += ahead
            continue
        todo.pop()
        if path not in done:
            done.add(path)
            yield path


def _onward(profiled: Profiled, path: Path) -> Iterator[Path]:
    schema = profiled.schemas[path]
    if not isinstance(schema, dict):
        return
    for child, keyword in children(schema):
        if keyword != "$defs":
            yield (*path, *child)
    if path in profiled.targets:
        yield profiled.targets[path]
