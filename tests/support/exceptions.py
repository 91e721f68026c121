"""The tree of exceptions, as tests walk it."""

from __future__ import annotations

from nxkernel.errors import NxError


def tree(cls: type[NxError]) -> set[type[NxError]]:
    """Return *cls* and every class below it."""
    return {cls}.union(*(tree(child) for child in cls.__subclasses__()))
