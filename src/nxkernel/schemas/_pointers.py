"""References of a schema, followed."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

__all__ = ["parts_of", "resolve"]


def parts_of(reference: str) -> list[str]:
    """Return the parts of the JSON Pointer behind the ``#`` of *reference*."""
    pointer = reference.partition("#")[2]
    return [unquote(p).replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:]]


def resolve(root: Any, reference: str) -> Any:
    """Return what *reference* leads to in *root*; the profile has seen that it is there."""
    node = root
    for name in parts_of(reference):
        node = node[int(name)] if isinstance(node, list) else node[name]
    return node
