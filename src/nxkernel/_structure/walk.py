"""The walk: from a value to what it holds, noting the way for a refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from nxkernel._plain import Refused, too_deep

__all__ = ["MAX_LEVELS", "Convert", "Walk", "at", "each"]

#: Deepest nesting of annotated containers: each level costs several frames of Python's stack.
MAX_LEVELS = 50

#: Takes a value or data, and its annotation.
Convert = Callable[[Any, Any], Any]


@attrs.frozen
class Walk:
    """How hooks convert what a value holds: by the hooks of its own annotation."""

    #: Takes a value, its annotation, and the levels that are left below it.
    lower: Callable[[Any, Any, int], Any]
    lift: Convert

    def below(self, levels: int) -> Convert:
        """How a container with that many levels left lowers what it holds."""
        if levels == 0:
            raise too_deep(MAX_LEVELS)
        lower = self.lower
        return lambda value, hint: lower(value, hint, levels - 1)


def each(values: Any, hints: Iterable[Any], convert: Convert) -> list[Any]:
    """Convert each value by the hint beside it."""
    out: list[Any] = []
    try:
        for value, hint in zip(values, hints, strict=False):
            out.append(convert(value, hint))
    except Refused as refused:
        raise refused.under(len(out), values) from None
    return out


def at(key: str, container: Any, value: Any, hint: Any, convert: Convert) -> Any:
    """Convert the *value* that *container* has at *key*."""
    try:
        return convert(value, hint)
    except Refused as refused:
        raise refused.under(key, container) from None
