"""A schema as a library shall run it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nxkernel.schemas.profile import LIST, MAP, ONE

__all__ = ["executable"]

#: Keywords whose `false` the reference reports well.
CLOSING = frozenset({"additionalProperties", "unevaluatedItems", "unevaluatedProperties"})
#: Writes a pattern in the syntax of the engine that will run it.
Translate = Callable[[str], str]


def executable(schema: Any, translate: Translate) -> Any:
    """Return a copy of *schema*: keys sorted, patterns translated, no address of its own."""
    if schema is False:
        return {"not": {}}  # the reference loses the place of an error under `false`
    if schema is True:
        return {}
    copy: dict[str, Any] = {}
    for keyword in sorted(schema):
        copy[keyword] = _executed(keyword, schema[keyword], translate)
    # Without a base address, local references need no registry.
    copy.pop("$id", None)
    copy.pop("$schema", None)
    return copy


def _executed(keyword: str, value: Any, translate: Translate) -> Any:
    if value is False and keyword in CLOSING:
        return value
    if keyword == "pattern":
        return translate(value)
    if keyword in ONE:
        return executable(value, translate)
    if keyword in LIST:
        return [executable(item, translate) for item in value]
    if keyword in MAP:
        named = translate if keyword == "patternProperties" else str
        return {named(key): executable(value[key], translate) for key in sorted(value)}
    return value
