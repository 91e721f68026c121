"""Where the time of calls went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from nxkernel.audit.page.latency import label
from nxkernel.audit.page.markup import Markup, fragment, tag
from nxkernel.audit.page.scales import duration, percent
from nxkernel.audit.statistics import HookStats, Where

__all__ = ["PARTS", "bar", "shares", "split"]

_WIDTH, _LEFT, _RIGHT, _ROW = 1040, 250, 900, 38
#: Field of :class:`Where` -> its name on the page.
PARTS: Final = {
    "plugin": "plugin",
    "queue": "waiting for a worker",
    "transport": "way there and back",
    "middlewares": "middlewares",
    "host": "rest of the host",
}


def shares(whole: Where, hooks: Sequence[HookStats]) -> Markup:
    """Return a bar for all calls and one for each hook; what it comes to stands beside it."""
    drawn: list[Markup] = []
    for number, hook in enumerate(hooks):
        y = _ROW * number
        drawn += label(hook.plugin, hook.hook, y + 18)
        drawn += _parts(hook.where, _LEFT, y + 6, _RIGHT - _LEFT, 22)
        total = f"{duration(hook.where.total)}, {percent(hook.where.total, whole.total)}"
        drawn.append(tag("text", total, x=_WIDTH, y=y + 22, class_="value end"))
    box = f"0 0 {_WIDTH} {_ROW * len(hooks) + 6}"
    return fragment(
        split(whole),
        tag("svg", *drawn, viewBox=box, role="img", aria_label="time by plugin and hook"),
    )


def split(where: Where) -> Markup:
    """Return one bar over the whole width, and what its colours mean and come to."""
    bar = tag(
        "svg",
        *_parts(where, 0, 0, _WIDTH, 30),
        viewBox=f"0 0 {_WIDTH} 30",
        role="img",
        aria_label="where the time of all calls went",
    )
    items = (
        tag("span", tag("i", class_=part), f"{name} ", tag("b", percent(us, where.total)))
        for part, name, us in _named(where)
    )
    return fragment(bar, tag("p", *items, class_="legend"))


def bar(where: Where, longest: int) -> Markup:
    """Return a small bar for one call, as long as it took beside the *longest*."""
    width = max(1.0, 180 * where.total / max(1, longest))
    parts = _parts(where, 0, 0, width, 12)
    return tag("svg", *parts, viewBox="0 0 180 12", width=180, height=12, class_="small")


def _named(where: Where) -> Iterator[tuple[str, str, int]]:
    parts = attrs.asdict(where)
    return ((part, name, parts[part]) for part, name in PARTS.items())


def _parts(where: Where, left: float, top: float, width: float, height: float) -> Iterator[Markup]:
    whole = max(1, where.total)
    for part, name, us in _named(where):
        if us:
            wide = width * us / whole
            text = f"{name}: {duration(us)}, {percent(us, whole)}"
            yield tag(
                "rect", tag("title", text), x=left, y=top, width=wide, height=height, class_=part
            )
            left += wide
