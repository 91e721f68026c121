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

        for name, (soft, hard) in sorted(limits.items()):
            kind = getattr(resource, f"RLIMIT_{name}", None)
            if kind is None or (sys.platform == "darwin" and name in _NOT_ON_MACOS):
                continue
            before, most = resource.getrlimit(kind)
            ceiling = _lowest(resource.RLIM_INFINITY, hard, most)
            floor = _lowest(resource.RLIM_INFINITY, soft, before, ceiling)
            resource.setrlimit(kind, (floor, ceiling))


def _lowest(infinity: int, *limits: int) -> int:
    """Return the smallest; *infinity* is -1 on Linux, and no small number."""
    return min((limit for limit in limits if limit != infinity), default=infinity)
