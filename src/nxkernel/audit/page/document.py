"""The page as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from nxkernel.audit.page.failures import failures
from nxkernel.audit.page.latency import latency
from nxkernel.audit.page.markup import Markup, legend, tag
from nxkernel.audit.page.scales import duration, moment, percent
from nxkernel.audit.page.shares import shares
from nxkernel.audit.page.style import STYLE
from nxkernel.audit.page.tables import of_hooks, of_runs, of_slowest
from nxkernel.audit.page.timeline import timeline
from nxkernel.audit.records import RunRecord
from nxkernel.audit.statistics import HookStats, Spread, Statistics

__all__ = ["page"]

#: Hooks that a chart shows; a page of a hundred bars is read by nobody. The table has them all.
_SHOWN: Final = 16
#: The browser is told to fetch nothing and to run nothing, whatever the page might hold.
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)


def page(found: Statistics, runs: Sequence[RunRecord], asked: str = "") -> str:
    """Return the page about *found*, calls of *runs*, as one file of HTML.

    *asked* says in words which of their calls it is about. The same calls give the same bytes.
    """
    title = f"Audit of {runs[0].run_id}" if len(runs) == 1 else f"Audit of {len(runs)} runs"
    head = (
        tag("title", title),
        _meta(charset="utf-8"),
        _meta(http_equiv="Content-Security-Policy", content=_POLICY),
        _meta(name_="viewport", content="width=device-width, initial-scale=1"),
        tag("style", Markup(STYLE)),
    )
    lead = tag("p", _lead(found, asked), class_="lead")
    main = tag("main", tag("h1", title), lead, *_body(found, runs), _footer())
    document = tag("html", tag("head", *head), tag("body", main), lang="en")
    return f"<!doctype html>\n{document}\n"


def _body(found: Statistics, runs: Sequence[RunRecord]) -> Iterator[Markup]:
    yield _tiles(found)
    if not found.calls:
        yield _section("Nothing to show", "No call ended that was asked for.")
        yield _section("Runs", None, of_runs(runs))
        return
    hooks = sorted(
        (hook for hook in found.hooks if hook.calls),
        key=lambda hook: (-hook.where.total, hook.plugin, hook.hook),
    )
    yield _section(
        "Calls and failures over time", "By when they began, in UTC.", _wide(timeline(found))
    )
    yield _section(
        "How long calls took",
        f"From the intent to the end, on a logarithmic axis.{_left_out(hooks)}",
        _wide(latency(hooks[:_SHOWN])),
        legend(("p50", "half took no longer (p50)"), ("p95", "95 of 100 took no longer (p95)")),
    )
    yield _section(
        "Where the time went",
        "Sums over all calls; a plugin's own part is without the calls that it asked for."
        + _left_out(hooks),
        _wide(shares(found.where, hooks[:_SHOWN])),
        *_middlewares(found),
    )
    if found.errors:
        yield _section("Failures by code and fault", None, _wide(failures(found.errors)))
    yield _section("The slowest calls", None, of_slowest(found.slowest, len(runs)))
    yield _section(
        "All hooks in numbers",
        "Processor time, memory (the most of a worker so far) and rows (read / written) are what "
        "workers and storage told; an empty field is not zero.",
        of_hooks(hooks),
    )
    yield _section("Runs", None, of_runs(runs))


def _middlewares(found: Statistics) -> Iterator[Markup]:
    if found.middlewares:
        items = (
            tag("span", f"{name} ", tag("b", f"{duration(us)}, {percent(us, found.where.total)}"))
            for name, us in found.middlewares.items()
        )
        yield tag("p", "Each middleware:", *items, class_="legend")


def _lead(found: Statistics, asked: str) -> str:
    asked = f"{asked}. " if asked else ""
    if not found.calls:
        return asked or "No call."
    ends = moment(min(found.began_ns)), moment(max(found.began_ns))
    return f"{asked}Calls that began from {' to '.join(ends)} UTC."


def _tiles(found: Statistics) -> Markup:
    took = Spread.of([us for hook in found.hooks for us in hook.durations])
    tiles = (
        _tile(f"{found.calls:,}", "calls"),
        _tile(
            f"{found.failures:,}", f"failed, {percent(found.failures, found.calls)}", found.failures
        ),
        _tile(f"{found.interrupted:,}", "interrupted", found.interrupted),
        _tile(duration(took.p50), "p50"),
        _tile(duration(took.p95), "p95"),
        _tile(duration(found.where.total), "in all"),
    )
    return tag("div", *tiles, class_="tiles")


def _tile(value: str, name: str, bad: int = 0) -> Markup:
    kind = "tile bad" if bad else "tile"
    return tag("div", tag("b", value), tag("span", name), class_=kind)


def _section(title: str, note: str | None, *content: Markup) -> Markup:
    said = None if note is None else tag("p", note, class_="note")
    return tag("section", tag("h2", title), said, *content)


def _left_out(hooks: Sequence[HookStats]) -> str:
    more = len(hooks) - _SHOWN
    return (
        f" The {_SHOWN} on which most time went; {more} more are in the table." if more > 0 else ""
    )


def _wide(content: Markup) -> Markup:
    return tag("div", content, class_="wide")


def _footer() -> Markup:
    text = "Made by `nxkernel audit stats --html`. Durations are as measured; none is estimated."
    return tag("footer", text)


def _meta(**attributes: str) -> Markup:
    """A fact about the page; such an element has no end."""
    return Markup(tag("meta", **attributes).removesuffix("</meta>"))
