"""What the storms share: size, seed, what is counted, and what they may leave behind."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import attrs
import psutil

import nxkernel as nx
from nxkernel.audit.reader import verify
from tests.support.zoo import eventually, recorded

__all__ = [
    "ROOM_MIB",
    "Footprint",
    "Storm",
    "children_of",
    "footprint",
    "held_to_the_audit",
    "in_threads",
    "settles",
]

#: What the allocator may keep of memory that was freed, and what a longer audit index takes.
ROOM_MIB = 24


@attrs.define
class Storm:
    """One storm: how large it is, where its dice come from, and what it has counted."""

    name: str
    full: bool
    seed: int
    #: In the order in which they were told: what, and how much.
    told: list[tuple[str, object]] = attrs.Factory(list)

    def size(self, short: int, full: int) -> int:
        """How many of something: *full* is the number that is promised."""
        return full if self.full else short

    def dice(self, stream: object = "") -> random.Random:
        """A generator that depends on the seed and on *stream*, and on no thread's timing."""
        return random.Random(f"{self.seed}/{stream}")

    def tell(self, what: str, much: object) -> None:
        """Count something for the table at the end of the run."""
        self.told.append((what, much))


@attrs.frozen
class Footprint:
    """What a process holds."""

    #: What each open descriptor is, counted by kind.
    descriptors: Counter[str]
    threads: int
    children: int
    memory_mib: float

    def grew_to(self, later: Footprint, room_mib: int = ROOM_MIB) -> dict[str, object]:
        """What *later* has more of than this, memory only beyond *room_mib*."""
        found: dict[str, object] = dict(later.descriptors - self.descriptors)
        for name in ("threads", "children"):
            if getattr(later, name) > getattr(self, name):
                found[name] = (getattr(self, name), getattr(later, name))
        if later.memory_mib - self.memory_mib > room_mib:
            found["memory_mib"] = (self.memory_mib, later.memory_mib)
        return found


def footprint() -> Footprint:
    """What this process holds, once what is garbage has been given back."""
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    me = psutil.Process()
    return Footprint(
        descriptors=Counter(_descriptors()),
        threads=threading.active_count(),
        children=len(me.children()),
        memory_mib=round(me.memory_info().rss / 2**20, 1),
    )


def _descriptors() -> Iterable[str]:
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            # "pipe:[1234]", "anon_inode:[pidfd]", "/a/file"
            target = os.readlink(f"/proc/self/fd/{name}")
            kind = target.split(":[")[0] if "anon_inode" not in target else target
            yield kind if not kind.startswith("/proc/") else "/proc"


def settles(before: Footprint, what: str, room_mib: int = ROOM_MIB) -> None:
    """Wait until this process holds no more than *before*: exits are heard a little later."""
    found: list[dict[str, object]] = [{}]

    def is_back() -> bool:
        found[0] = before.grew_to(footprint(), room_mib)
        return not found[0]

    try:
        eventually(is_back, what)
    except AssertionError:
        raise AssertionError(f"{what}: {found[0]}") from None


def in_threads(jobs: Iterable[Callable[[], None]]) -> None:
    """Run *jobs* in threads of their own, all at once; raise what one of them raised."""
    problems: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def held_to_the_audit(run: nx.Run, outcomes: Iterable[nx.Outcome]) -> int:
    """Hold every outcome of the application's own calls against the audit; return its rows.

    Each call has one outcome and one row that says the same, nested calls have a row each,
    nothing is left open, and the chain verifies.
    """
    rows = recorded(run)
    assert verify(run.audit_log.path).problems == ()
    assert {row.status for row in rows} <= {"ok", "error"}
    ids = Counter((row.call_id, row.plugin, row.impl, row.phase) for row in rows)
    assert ids.total() == len(ids), "a call has two rows"
    top = {(row.call_id, row.plugin): row.error_code for row in rows if row.depth == 0}
    seen = [(o.call_id, o.plugin, o.error.code if o.error else None) for o in outcomes]
    assert len({key[:2] for key in seen}) == len(seen), "a call has two outcomes"
    assert {(call, plugin): code for call, plugin, code in seen} == top
    return len(rows)


def children_of(pid: int) -> set[int]:
    """The processes that *pid* has started."""
    found: set[int] = set()
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found |= {int(child) for child in (task / "children").read_text().split()}
    return found
