"""Where values come to lie, and how they are written beside the axes."""

from __future__ import annotations

import bisect
import datetime as dt
import math
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

__all__ = ["Log", "Times", "clock", "counted", "duration", "moment", "percent", "steps"]

_SECOND: Final = 10**9
#: Lengths of time that people think in, in nanoseconds.
_LENGTHS: Final = (
    *(n * 10**e for e in range(5, 9) for n in (1, 2, 5)),
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * 60 * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * 3600 * _SECOND for n in (1, 2, 3, 6, 12)),
    *(n * 86400 * _SECOND for n in (1, 2, 7, 14, 28, 91, 365)),
)


def duration(us: float) -> str:
    """Return microseconds in the unit that fits, with two digits or three."""
    for unit, size in (("µs", 1.0), ("ms", 1e3), ("s", 1e6), ("min", 60e6)):
        value = us / size
        if unit == "min" or round(value, 1) < (100 if unit == "s" else 1000):
            break
    return f"{value:.0f} {unit}" if value >= 10 or value == int(value) else f"{value:.1f} {unit}"


def percent(part: float, whole: float) -> str:
    """Return a share; one that is small is not called zero."""
    if not whole or not part:
        return "0 %"
    share = 100 * part / whole
    return "< 0.1 %" if share < 0.1 else f"{share:.1f} %" if share < 10 else f"{share:.0f} %"


def steps(most: float, wanted: int = 4) -> list[int]:
    """Return round whole numbers from 0 on, of which the last is not below *most*."""
    raw = max(1.0, most) / wanted
    power = 10 ** math.floor(math.log10(raw))
    step = max(1, int(next(n * power for n in (1, 2, 5, 10) if n * power >= raw)))
    return list(range(0, math.ceil(max(1.0, most) / step) * step + 1, step))


@attrs.frozen
class Log:
    """A logarithmic axis of microseconds from *left* to *right*, over whole decades."""

    low: int
    high: int
    left: float
    right: float

    @classmethod
    def over(cls, least: int, most: int, left: float, right: float) -> Log:
        """Return the axis that holds *least* to *most*; nothing below a microsecond is told."""
        low = math.floor(math.log10(max(1, least)))
        return cls(low, max(low + 1, math.ceil(math.log10(max(1, most) + 1))), left, right)

    def at(self, us: float) -> float:
        """Return where a value lies."""
        share = (math.log10(max(1.0, us)) - self.low) / (self.high - self.low)
        return self.left + share * (self.right - self.left)

    def decades(self) -> Iterator[tuple[float, str]]:
        """Yield place and name of each power of ten."""
        for exponent in range(self.low, self.high + 1):
            yield self.at(10.0**exponent), duration(10.0**exponent)

    def edges(self, each: int) -> list[float]:
        """Return the bounds of *each* bins in every decade."""
        return [10 ** (self.low + n / each) for n in range((self.high - self.low) * each + 1)]


@attrs.frozen
class Times:
    """An axis of time, cut into bins of a length that people think in."""

    first_ns: int
    length_ns: int
    bins: int

    @classmethod
    def over(cls, least_ns: int, most_ns: int, most_bins: int) -> Times:
        """Return the bins that hold *least_ns* to *most_ns*, *most_bins* of them at most."""
        for length in _LENGTHS:
            first = least_ns // length * length
            bins = (most_ns - first) // length + 1
            if bins <= most_bins:
                return cls(first, length, bins)
        length = (most_ns - least_ns) // most_bins + 1
        return cls(least_ns, length, most_bins)

    def bin(self, moment_ns: int) -> int:
        """Return the number of the bin that holds a moment."""
        return (moment_ns - self.first_ns) // self.length_ns

    def ticks(self, wanted: int) -> Iterator[tuple[float, str]]:
        """Yield place, in bins, and name of some *wanted* moments."""
        span = self.length_ns * self.bins
        place = bisect.bisect_left(_LENGTHS, span // wanted)
        step = _LENGTHS[min(place, len(_LENGTHS) - 1)]
        moment = -(-self.first_ns // step) * step
        while moment <= self.first_ns + span:
            yield (moment - self.first_ns) / self.length_ns, clock(moment, step)
            moment += step


def clock(moment_ns: int, step_ns: int) -> str:
    """Return a moment in UTC, as precise as steps of *step_ns* ask for."""
    then = dt.datetime.fromtimestamp(moment_ns // _SECOND, dt.UTC)
    if step_ns < _SECOND:
        return f"{then:%H:%M:%S}.{moment_ns // 10**6 % 1000:03}"
    if step_ns < 60 * _SECOND:
        return f"{then:%H:%M:%S}"
    return f"{then:%H:%M}" if step_ns < 86400 * _SECOND else f"{then:%m-%d}"


def moment(ns: int) -> str:
    """Return a moment in UTC with its date, to the second."""
    return f"{dt.datetime.fromtimestamp(ns // _SECOND, dt.UTC):%Y-%m-%d %H:%M:%S}"


def counted(values: Sequence[int], edges: Sequence[float]) -> list[int]:
    """Return how many of *values* lie between each two of *edges*; what is outside, at its end."""
    found = [0] * (len(edges) - 1)
    for value in values:
        place = bisect.bisect_right(edges, value) - 1
        found[min(max(0, place), len(found) - 1)] += 1
    return found
