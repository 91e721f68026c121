"""Whether this process may make control groups of its own, tried and not inferred.

A delegated group is the only limit that counts all memory of a worker. Levels do not need it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from nxkernel.host.sandbox.linux.probe import Probe

__all__ = ["cgroup_delegated"]

_MOUNT: Final = "/sys/fs/cgroup"
#: File of a new group that shows that its controller is there, for version 2 and version 1.
_LIMIT: Final = ("memory.max", "memory.limit_in_bytes")


def cgroup_delegated(mount: str = _MOUNT, membership: str = "/proc/self/cgroup") -> Probe:
    """Make a control group below this process's own, see that it can limit memory, and remove it.

    `value` is the version of the hierarchy, 0 where no group can be made.
    """
    refused: OSError | None = None
    for folder, limit, version in _candidates(mount, membership):
        try:
            if _try(folder, limit):
                return Probe(name="cgroup", ok=True, value=version)
        except OSError as error:
            refused = error
    if refused is None:
        return Probe(name="cgroup", ok=False, detail="no hierarchy with the memory controller")
    return Probe(
        name="cgroup",
        ok=False,
        errno=refused.errno,
        detail=f"mkdir: {os.strerror(refused.errno or 0)}",
    )


def _candidates(mount: str, membership: str) -> Iterator[tuple[str, str, int]]:
    """Yield (own group's folder, limit file, version) of each hierarchy that could do it."""
    try:
        with open(membership) as lines:
            entries = [line.rstrip("\n").split(":", 2) for line in lines]
    except OSError:
        return
    for _, controllers, path in entries:
        if not controllers:
            yield os.path.join(mount, path.lstrip("/")), _LIMIT[0], 2
            yield os.path.join(mount, "unified", path.lstrip("/")), _LIMIT[0], 2
        elif "memory" in controllers.split(","):
            yield os.path.join(mount, controllers, path.lstrip("/")), _LIMIT[1], 1


def _try(own: str, limit: str) -> bool:
    if not os.path.isdir(own):
        return False
    group = os.path.join(own, f"nxkernel-probe-{os.getpid()}")
    os.mkdir(group)
    try:
        return os.access(os.path.join(group, limit), os.W_OK)
    finally:
        os.rmdir(group)
