"""loky, the executor of joblib."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import loky
from loky.process_executor import TerminatedWorkerError

from benchmarks.contest.contenders._pools import CANNOT, Pools

__all__ = ["CANNOT", "NAME", "NOTE", "fleet"]

NAME = "loky"
NOTE = (
    "one executor of one worker for each plugin, each a new interpreter; threads of the "
    "application for each; cloudpickle"
)


@contextlib.contextmanager
def fleet(count: int) -> Iterator[Pools]:
    """Make *count* executors."""
    pools = Pools(
        count, lambda: loky.ProcessPoolExecutor(max_workers=1, timeout=None), TerminatedWorkerError
    )
    try:
        yield pools
    finally:
        pools.close()
