"""The kernel's count of processes that it ended to get memory back, in the host's control group.

A SIGKILL says nothing of its sender. The memory killer counts its victims by control group, and
workers are in that of their host. So a worker that was killed by nobody we know, while that count
rose, was its victim; each step of the count explains one worker. Where the count cannot be read
nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nxkernel import _locks

__all__ = ["MemoryKills", "count_of_group"]


class MemoryKills:
    """Steps of the count that no worker's end has been explained with yet. Thread-safe."""

    def __init__(self, count: Callable[[], int | None]) -> None:
        self._count = count
        self._lock = _locks.lock()
        self._explained = count()

    def claim(self) -> bool:
        """Whether the count has a step left that explains the end of one more worker."""
        with self._lock:
            now = self._count()
            if now is None or self._explained is None or now <= self._explained:
                return False
            self._explained += 1
            return True


def count_of_group(proc: Path = Path("/proc/self")) -> Callable[[], int | None]:
    """Return what reads the count for the control group of this process; None if unreadable."""
    files = _candidates(proc)

    def count() -> int | None:
        return next((n for n in map(_read, files) if n is not None), None)

    return count


def _candidates(proc: Path) -> list[Path]:
    """Where the count may be: control groups of version 1, then of version 2."""
    try:
        groups = (proc / "cgroup").read_text().splitlines()
        mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
    except OSError:
        return []
    found = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            found += _below(mounts, "cgroup", "memory", path, "memory.oom_control")
        elif controllers == "":
            found += _below(mounts, "cgroup2", "", path, "memory.events")
    return found


def _below(mounts: list[list[str]], kind: str, option: str, path: str, name: str) -> list[Path]:
    """The file *name* of group *path*, below each mount of that kind that shows the group."""
    found = []
    for fields in mounts:
        root, point, rest = fields[3], fields[4], fields[fields.index("-") + 1 :]
        shown = path == root or path.startswith(root.rstrip("/") + "/")
        if rest[0] == kind and (not option or option in rest[2].split(",")) and shown:
            found.append(Path(point) / path[len(root.rstrip("/")) :].lstrip("/") / name)
    return found


def _read(file: Path) -> int | None:
    try:
        rows = dict(line.split(None, 1) for line in file.read_text().splitlines())
        return int(rows["oom_kill"])
    except (OSError, ValueError, KeyError):
        return None
