"""Interleaved rounds and what is made of them.

The machines are shared and noisy: a single time says little. Contenders take turns within one
run, each round gives one median per contender, and what is quoted is the ratio of two contenders
round by round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import attrs

__all__ = ["Row", "interleave", "ratios"]

Contender = Callable[[], object]


@attrs.frozen(kw_only=True)
class Row:
    """One contender's medians over all rounds, in microseconds."""

    name: str
    #: One median per round.
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest round."""
        return min(self.rounds), max(self.rounds)


def interleave(contenders: Mapping[str, Contender], *, rounds: int, calls: int) -> dict[str, Row]:
    """Let each contender do *calls* calls in each of *rounds* rounds, after one warm-up round."""
    medians: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, contender in contenders.items():
            taken = [_timed(contender) for _ in range(calls)]
            if number:
                medians[name].append(statistics.median(taken))
    return {name: Row(name=name, rounds=tuple(taken)) for name, taken in medians.items()}


def ratios(ours: Row, theirs: Row) -> tuple[float, float, float]:
    """Return minimum, median and maximum of ours/theirs, round by round."""
    each = [a / b for a, b in zip(ours.rounds, theirs.rounds, strict=True)]
    return min(each), statistics.median(each), max(each)


def _timed(contender: Contender) -> float:
    began = time.perf_counter_ns()
    contender()
    return (time.perf_counter_ns() - began) / 1000
