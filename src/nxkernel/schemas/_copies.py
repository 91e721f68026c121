"""Copies of a schema with something changed wherever a schema stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nxkernel.schemas.profile import LIST, MAP, ONE

__all__ = ["bare", "mapped"]


def mapped(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Return a copy of *schema* in which *change* was made to each subschema, inner ones first.

    Only where schemas stand: what ``const``, ``default`` or ``examples`` hold is left alone.
    """
    if not isinstance(schema, dict):
        return schema
    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in ONE:
            copy[keyword] = mapped(value, change)
        elif keyword in LIST and isinstance(value, list):
            copy[keyword] = [mapped(item, change) for item in value]
        elif keyword in MAP and isinstance(value, dict):
            copy[keyword] = {key: mapped(item, change) for key, item in value.items()}
        else:
            copy[keyword] = value
    return change(copy)


def bare(schema: Any) -> Any:
    """Return a copy of *schema* (compiled already) without keywords that begin with ``x-``."""
    return mapped(schema, lambda each: {k: each[k] for k in each if not k.startswith("x-")})
