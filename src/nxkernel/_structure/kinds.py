"""Kinds: whether an annotation asks for structure, and of which types its plain data can be."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

from nxkernel._structure.annotations import (
    ACCEPTS,
    LISTS,
    MAPS,
    SCALARS,
    SETS,
    UNIONS,
    bare_of,
    is_record,
    origin_of,
)
from nxkernel._structure.leaves import is_leaf, leaf_of

__all__ = ["any_kind", "kinds_of", "needs_structuring"]


def needs_structuring(hint: Any) -> bool:
    """Return whether *hint* asks for more than plain values."""
    if hint is None:  # as most: there is no annotation
        return False
    try:
        return _needs(hint)
    except TypeError:  # an annotation that cannot be hashed counts as absent
        return False


@lru_cache(maxsize=1024)
def _needs(hint: Any) -> bool:
    bare = bare_of(hint)
    origin = origin_of(bare)
    if origin is tuple or origin in SETS or is_record(bare) or is_leaf(bare):
        return True
    if origin in (*UNIONS, *LISTS, *MAPS):
        return any(map(needs_structuring, typing.get_args(bare)))
    return False


def any_kind(hints: Iterable[Any]) -> frozenset[type]:
    """Return the types that the data of any of *hints* can have."""
    return frozenset().union(*map(kinds_of, hints))


def kinds_of(hint: Any) -> frozenset[type]:
    """Return the types that the data of *hint* can have."""
    bare = bare_of(hint)
    origin = origin_of(bare)
    if leaf := leaf_of(bare):
        return leaf.kinds
    if origin in UNIONS:
        return any_kind(typing.get_args(bare))
    if origin is Literal:
        return frozenset(map(type, typing.get_args(bare)))
    if bare in (Any, object):
        return frozenset((*SCALARS, list, dict))
    if origin is tuple or origin in (*LISTS, *SETS):
        return frozenset({list})
    if origin in MAPS or is_record(bare):
        return frozenset({dict})
    return frozenset(ACCEPTS.get(bare, (bare,))) if bare in SCALARS else frozenset()
