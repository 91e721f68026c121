"""``concurrent.futures.ProcessPoolExecutor``."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from benchmarks.contest.contenders._pools import CANNOT, Pools

__all__ = ["CANNOT", "NAME", "NOTE", "fleet"]

NAME = "ProcessPoolExecutor"
NOTE = (
    "one executor of one worker for each plugin, start method forkserver (the default from Python "
    "3.14 on); two threads of the application for each; pickle"
)
_forkserver = multiprocessing.get_context("forkserver")


@contextlib.contextmanager
def fleet(count: int) -> Iterator[Pools]:
    """Make *count* executors."""
    pools = Pools(
        count,
        lambda: ProcessPoolExecutor(max_workers=1, mp_context=_forkserver),
        BrokenProcessPool,
    )
    try:
        yield pools
    finally:
        pools.close()
