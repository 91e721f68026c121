"""Accounts: what the turns of a stream used together, by the word of its worker.

Or, where its code is in the host's own process, as it was seen here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns, thread_time_ns

import attrs

from nxkernel._tally import counting
from nxkernel.types import Timing, Usage

__all__ = ["Account"]


@attrs.define
class Account:
    """Sums up the turns of one stream; each tells its own, and none is kept."""

    plugin_us: int = 0
    #: None until a turn has told.
    used: Usage | None = None
    #: Which worker of the plugin they were in.
    instance: int | None = None

    def add(self, plugin_us: int, used: Usage | None) -> None:
        """A turn is over, and has told how long it took and what it used."""
        self.plugin_us += plugin_us
        if used is not None:
            self.used = used if self.used is None else _together(self.used, used)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add what passes in this thread meanwhile."""
        began_ns, began_cpu_ns = perf_counter_ns(), thread_time_ns()
        with counting() as tally:
            try:
                yield
            finally:
                read, written = tally.rows or (None, None)
                cpu_us = (thread_time_ns() - began_cpu_ns) // 1000
                used = Usage(cpu_us=cpu_us, rows_read=read, rows_written=written)
                self.add((perf_counter_ns() - began_ns) // 1000, used)

    @property
    def timing(self) -> Timing:
        """It, of a stream that had no way to go."""
        return Timing(plugin_us=self.plugin_us, used=self.used)


def _together(one: Usage, two: Usage) -> Usage:
    return Usage(
        cpu_us=_sum(one.cpu_us, two.cpu_us),
        # That of a process so far: the later one has the earlier one in it, where both were told.
        peak_kb=max((kb for kb in (one.peak_kb, two.peak_kb) if kb is not None), default=None),
        rows_read=_sum(one.rows_read, two.rows_read),
        rows_written=_sum(one.rows_written, two.rows_written),
    )


def _sum(one: int | None, two: int | None) -> int | None:
    """Both, where both were told; a turn that tells nothing has no less for that."""
    return two if one is None else one if two is None else one + two
