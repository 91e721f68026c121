"""Calls and failures over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nxkernel.audit.page.markup import Markup, tag
from nxkernel.audit.page.scales import Times, clock, steps
from nxkernel.audit.statistics import Statistics

__all__ = ["timeline"]

_WIDTH, _LEFT, _RIGHT = 1040, 56, 1030
#: Top and bottom of the two plots, which share their axis of time.
_CALLS, _FAILURES = (12, 182), (212, 282)
_BINS = 80


def timeline(found: Statistics) -> Markup:
    """Return two plots with one axis: all calls, and below, on a scale of their own, failures."""
    times = Times.over(min(found.began_ns), max(found.began_ns), _BINS)
    calls, failures = [0] * times.bins, [0] * times.bins
    for began, fine in zip(found.began_ns, found.fine, strict=True):
        calls[times.bin(began)] += 1
        failures[times.bin(began)] += not fine
    drawn = (
        *_axis_of_time(times),
        *_plot(times, calls, _CALLS, "calls", "calls"),
        *_plot(times, failures, _FAILURES, "failed", "failures"),
    )
    label = f"{found.calls} calls and {found.failures} failures over time"
    return tag("svg", *drawn, viewBox=f"0 0 {_WIDTH} 310", role="img", aria_label=label)


def _place(times: Times, number: float) -> float:
    return _LEFT + number * (_RIGHT - _LEFT) / times.bins


def _axis_of_time(times: Times) -> Iterator[Markup]:
    for number, name in times.ticks(8):
        x = _place(times, number)
        yield tag("line", x1=x, x2=x, y1=_CALLS[0], y2=_FAILURES[1], class_="grid")
        yield tag("text", name, x=x, y=_FAILURES[1] + 18, class_="tick middle")


def _plot(
    times: Times, counts: Sequence[int], between: tuple[int, int], kind: str, noun: str
) -> Iterator[Markup]:
    top, bottom = between
    levels = steps(max(counts), 4 if bottom - top > 100 else 2)
    yield tag("text", noun, x=_LEFT, y=top - 2, class_="name")
    for level in levels:
        y = bottom - level * (bottom - top - 12) / levels[-1]
        yield tag("line", x1=_LEFT, x2=_RIGHT, y1=y, y2=y, class_="grid")
        yield tag("text", f"{level:,}", x=_LEFT - 8, y=y + 4, class_="tick end")
    for number, count in enumerate(counts):
        if count:
            yield _bar(times, number, count, bottom, (bottom - top - 12) / levels[-1], kind, noun)


def _bar(
    times: Times, number: int, count: int, bottom: int, unit: float, kind: str, noun: str
) -> Markup:
    left, right = _place(times, number), _place(times, number + 1)
    height = max(1.0, count * unit)
    began = clock(times.first_ns + number * times.length_ns, times.length_ns)
    return tag(
        "rect",
        tag("title", f"{began}: {count} {noun}"),
        x=left + 0.5,
        y=bottom - height,
        width=max(0.8, right - left - 1),
        height=height,
        class_=kind,
    )
