"""Values with structure: what crosses only where an annotation says so.

Each kind of annotation has a pair of hooks, one for each direction. The hooks are strict: a value
of another type than the annotation's is refused, never converted, because the call must mean the
same with and without the boundary. Each hook notes the key or index that it is at, so that a
refusal can name the whole path.

``annotations`` reads annotations, ``hooks`` says what a hook is, and ``walk`` how one reaches what
a value holds. ``leaves``, ``containers``, ``records`` and ``unions`` make the hooks; cattrs
tells the records of a union apart. ``kinds`` says which annotations need any of this, and which
look alike as plain data. Here the rules choose among them, and the walk comes back to the rules:
what makes hooks is handed the walk and never imports this package.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from nxkernel._structure.annotations import (
    LISTS,
    MAPS,
    SCALARS,
    SETS,
    UNIONS,
    among,
    bare_of,
    is_record,
)
from nxkernel._structure.containers import list_hooks, map_hooks, set_hooks, tuple_hooks
from nxkernel._structure.hooks import Hooks, anything
from nxkernel._structure.kinds import needs_structuring
from nxkernel._structure.leaves import is_leaf, leaf_hooks, scalar_hooks
from nxkernel._structure.records import record_hooks
from nxkernel._structure.unions import union_hooks
from nxkernel._structure.walk import MAX_LEVELS, Walk

__all__ = ["MAX_LEVELS", "needs_structuring", "structure", "unstructure"]


def unstructure(value: Any, hint: Any, levels: int = MAX_LEVELS) -> Any:
    """Return *value* as data without structure, by its annotation.

    Raises:
        Refused: when the value is not what the annotation says.
    """
    return _hooks(hint)[0](value, levels)


def structure(data: Any, hint: Any) -> Any:
    """Return the value that the plain *data* stands for, by the annotation.

    Raises:
        Refused: when the data is not what the annotation says.
    """
    return _hooks(hint)[1](data)


def _hooks(hint: Any) -> Hooks:
    try:
        return _known_hooks(hint)
    except TypeError:  # see needs_structuring
        return anything()


@lru_cache(maxsize=1024)
def _known_hooks(hint: Any) -> Hooks:
    bare = bare_of(hint)
    return next((build(bare) for applies, build in _RULES if applies(bare)), anything())


_WALK = Walk(unstructure, structure)

#: The first rule whose predicate holds makes the hooks of an annotation without wrapping.
_RULES: tuple[tuple[Callable[[Any], bool], Callable[[Any], Hooks]], ...] = (
    (is_leaf, leaf_hooks),
    (is_record, partial(record_hooks, walk=_WALK)),
    (among(*UNIONS), partial(union_hooks, walk=_WALK)),
    (among(tuple), partial(tuple_hooks, walk=_WALK)),
    (among(*SETS), partial(set_hooks, walk=_WALK)),
    (among(*LISTS), partial(list_hooks, walk=_WALK)),
    (among(*MAPS), partial(map_hooks, walk=_WALK)),
    (among(*SCALARS), scalar_hooks),
)
