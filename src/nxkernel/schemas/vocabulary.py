"""Annotations of ours: what a schema may say beyond JSON Schema, to nxkernel alone.

``x-nx-artifact`` beside a schema of objects: such a value is an artifact of that kind, and is held
to what no schema can say (see :mod:`nxkernel.findings`). ``x-nx-each`` beside ``items``: the
elements stand for themselves; an invalid one is dropped, its neighbours stay, and diagnostics call
it by that kind.

Other keywords that begin with ``x-`` belong to whoever writes them. Those that begin with
``x-nx-`` are ours, so that one with a typing error in it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["ARTIFACT", "EACH", "OURS", "problem"]

ARTIFACT, EACH = "x-nx-artifact", "x-nx-each"
OURS = frozenset({ARTIFACT, EACH})
_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")


def problem(schema: Mapping[str, Any], keyword: str) -> str:
    """Return what is wrong with a *keyword* of ours in *schema*, or an empty text."""
    value = schema[keyword]
    if not isinstance(value, str) or not _KIND.fullmatch(value):
        return "expected the name of a kind, such as code_block"
    if keyword == EACH and "items" not in schema:
        return "speaks of the elements that 'items' describes, and stands beside it"
    return ""
