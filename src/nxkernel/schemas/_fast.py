"""jsonschema-rs, which says quickly that a value is valid; it never says what is wrong.

Its word counts only where it says "valid": everything else is asked again of the reference, which
writes every message. The differential tests hold the two to the same verdicts.

What it is never given, and why:

* a value that nobody has looked through: it ends the process on deep nesting and takes tuples for
  arrays;
* a schema that refers to itself, and a value so large that the schema's alternatives could multiply
  beyond :data:`MAX_WORK`: it has no budget, and would run for ever;
* a schema with ``multipleOf``: it computes in decimals, the reference in floats;
* a pattern that is not written as explicit classes of characters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

from nxkernel._shape import Shape
from nxkernel.schemas._executable import executable
from nxkernel.schemas.instance import MAX_DEPTH, MAX_NODES
from nxkernel.schemas.patterns import to_rust

__all__ = ["Holds", "fast"]

#: Most subschemas times values: what one validation can come to, and about a second of it.
MAX_WORK = 50_000_000
#: Whether the value of that shape is certainly valid; False says nothing.
Holds = Callable[[Shape], bool]


def fast(schema: Any, size: int | None) -> Holds | None:
    """Return the quick judge of *schema*, which is inside the profile, or None for none.

    *size* is the schema's :func:`~nxkernel.schemas._spread.spread`.

    It can fetch nothing (``offline``), matches in linear time (``RegexOptions``), and takes
    ``format`` for the annotation that it is.
    """
    library = _library()
    if library is None or size is None or _mentions(schema, "multipleOf"):
        return None
    try:
        validator = library.Draft202012Validator(
            executable(schema, to_rust),
            offline=True,
            validate_formats=False,
            pattern_options=library.RegexOptions(),
        )
    except ValueError:  # a pattern too large for its engine
        return None
    return _judge(validator, size)


def _judge(validator: Any, size: int) -> Holds:
    is_valid, most = validator.is_valid, min(MAX_NODES, MAX_WORK // size)

    def fits(shape: Shape) -> bool:
        return shape.parts <= most and shape.depth <= MAX_DEPTH and shape.json

    def holds(shape: Shape) -> bool:
        try:
            # fits(shape), written out: this is asked twice in every call.
            small = shape.parts <= most and shape.depth <= MAX_DEPTH
            if shape.json and (small or fits(shape.counted())):
                valid: bool = is_valid(shape.value)
                return valid
        except (ValueError, UnicodeError):  # a lone surrogate, a pattern beyond its limits
            pass
        return False

    return holds


@cache
def _library() -> ModuleType | None:
    try:
        import jsonschema_rs
    except ImportError:
        return None
    return jsonschema_rs


def _mentions(schema: Any, keyword: str) -> bool:
    if isinstance(schema, dict):
        return keyword in schema or any(_mentions(each, keyword) for each in schema.values())
    return isinstance(schema, list) and any(_mentions(each, keyword) for each in schema)
