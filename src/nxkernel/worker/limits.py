"""Resource limits of this process, as far as its operating system knows them."""

from __future__ import annotations

import sys
from collections.abc import Mapping

__all__ = ["lower"]

#: Accepted by macOS and not held there, or refused for a process that has more already.
_NOT_ON_MACOS = frozenset({"AS", "STACK"})


def lower(limits: Mapping[str, tuple[int, int]]) -> None:
    """Lower the limits of this process for good; those that are already lower stay.

    *limits*: name after RLIMIT_ -> (soft, hard). What the system does not know is passed over:
    Windows has no such limits, its job objects are set from outside.
    """
    if sys.platform != "win32":
        import resource

        infinity = resource.RLIM_INFINITY
        for name in sorted(limits):
            kind = getattr(resource, "RLIMIT_" + name, None)
            if kind is None or (sys.platform == "darwin" and name in _NOT_ON_MACOS):
                continue
            soft, hard = limits[name]
            before, most = resource.getrlimit(kind)
            ceiling = _lower(hard, most, infinity)
            floor = _lower(_lower(soft, before, infinity), ceiling, infinity)
            resource.setrlimit(kind, (floor, ceiling))


def _lower(one: int, other: int, infinity: int) -> int:
    """Return the smaller limit; *infinity* is -1 on Linux, and no small number."""
    if one == infinity or (other != infinity and other < one):
        return other
    return one
