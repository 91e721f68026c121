"""How long calls took, by plugin and hook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nxkernel.audit.page.markup import Markup, tag
from nxkernel.audit.page.scales import Log, counted, duration
from nxkernel.audit.statistics import HookStats

__all__ = ["latency"]

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 1040, 250, 800, 40, 28
_BINS = 12


def latency(hooks: Sequence[HookStats]) -> Markup:
    """Return a row for each hook: how its durations are spread, on one logarithmic axis.

    Heights are comparable within a row, not between rows: each reaches the same at its highest.
    """
    least = min(hook.duration.least for hook in hooks)
    most = max(hook.duration.most for hook in hooks)
    axis = Log.over(least, most, _LEFT, _RIGHT)
    bottom = _TOP + _ROW * len(hooks)
    drawn = [*_axis(axis, bottom)]
    for number, hook in enumerate(hooks):
        drawn += _row(axis, hook, _TOP + _ROW * (number + 1) - 4)
    label = "how the durations of calls are spread, by plugin and hook"
    return tag("svg", *drawn, viewBox=f"0 0 {_WIDTH} {bottom + 26}", role="img", aria_label=label)


def _axis(axis: Log, bottom: int) -> Iterator[Markup]:
    for x, name in axis.decades():
        yield tag("line", x1=x, x2=x, y1=_TOP - 8, y2=bottom, class_="grid")
        yield tag("text", name, x=x, y=bottom + 18, class_="tick middle")
    for x, name in ((870, "p50"), (950, "p95"), (1030, "calls")):
        yield tag("text", name, x=x, y=_TOP - 10, class_="name end")


def _row(axis: Log, hook: HookStats, base: int) -> Iterator[Markup]:
    yield from label(hook.plugin, hook.hook, base - 12)
    yield tag("line", x1=_LEFT, x2=_RIGHT, y1=base, y2=base, class_="grid")
    yield from _bars(axis, hook, base)
    for value, kind in ((hook.duration.p50, "p50"), (hook.duration.p95, "p95")):
        x = axis.at(value)
        name = tag("title", f"{kind} {duration(value)}")
        yield tag("line", name, x1=x, x2=x, y1=base - 30, y2=base + 2, class_=kind)
    for x, text in ((870, duration(hook.duration.p50)), (950, duration(hook.duration.p95))):
        yield tag("text", text, x=x, y=base - 8, class_="value end")
    yield tag("text", f"{hook.calls:,}", x=1030, y=base - 8, class_="value end")


def _bars(axis: Log, hook: HookStats, base: int) -> Iterator[Markup]:
    edges = axis.edges(_BINS)
    counts = counted(hook.durations, edges)
    highest = max(counts)
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        if count:
            x, height = axis.at(low), max(1.5, 30 * count / highest)
            text = f"{duration(low)} to {duration(high)}: {count} calls"
            yield tag(
                "rect",
                tag("title", text),
                x=x + 0.5,
                y=base - height,
                width=axis.at(high) - x - 1,
                height=height,
                class_="calls",
            )


def label(plugin: str, hook: str, y: float) -> Iterator[Markup]:
    """Yield the name of a row: the plugin, and below it the hook."""
    for text, kind, line in ((plugin, "plugin", y - 3), (hook, "hook", y + 12)):
        short = text if len(text) <= 32 else text[:31] + "…"
        yield tag("text", short, tag("title", text), x=0, y=line, class_=kind)
