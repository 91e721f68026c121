"""The page of charts: one file, read by a browser and by nobody's script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.audit.page import page
from nxkernel.audit.page.markup import tag
from nxkernel.audit.page.scales import Log, Times, counted, duration, percent, steps
from nxkernel.audit.records import CallRecord, RunRecord
from nxkernel.audit.statistics import summary
from tests.unit.audit.calls import failure, record

NS = 1_700_000_000_000_000_000
VOID = {"meta"}


def a_run(**changes: Any) -> RunRecord:
    """Return the header of a run."""
    facts: dict[str, Any] = {field.name: None for field in RunRecord.__attrs_attrs__}
    facts |= {"run_id": "run-1", "started_ns": NS, "stack": ("audit", "policy"), "seed": 7}
    return RunRecord(**{**facts, "status": "completed", "level": "confined", **changes})


class Reader(HTMLParser):
    """Reads a page as strictly as a page can be read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def made(calls: Sequence[CallRecord], **more: Any) -> tuple[str, Reader]:
    """Return the page about *calls*, and what a reader finds in it."""
    text = page(summary(calls), [a_run()], **more)
    return text, Reader(text)


SOME = [
    *(record(str(n), started_ns=NS + n * 10**8, duration_us=100 + 77 * n) for n in range(50)),
    *(record(str(n), plugin="store", hook="save", started_ns=NS + n * 10**8) for n in range(9)),
    failure("60", "plugin.timeout", started_ns=NS + 10**9),
    failure("61", "policy.denied", fault="caller", started_ns=NS + 2 * 10**9),
    record("62", status="interrupted", duration_us=None),
]


def test_a_page_says_what_the_statistics_say() -> None:
    """Counts, percentiles, codes and names stand there as text, readable without a chart."""
    text, reader = made(SOME)
    shown = " ".join(reader.texts)
    assert "61" in reader.texts
    assert "failed, 3.3 %" in shown
    for word in ("ocr.rapid", "store", "save", "plugin.timeout", "policy.denied", "audit › policy"):
        assert word in shown
    assert reader.tags["svg"] >= 5 + 10
    assert text.startswith("<!doctype html>\n<html lang=")


def test_a_page_needs_nothing_and_runs_nothing() -> None:
    """No script, no address, nothing to fetch; and the browser is told to allow none."""
    text, reader = made(SOME)
    assert reader.tags.keys().isdisjoint({"script", "link", "img", "iframe", "a", "object", "use"})
    names = {name for name, _ in reader.attributes}
    assert names.isdisjoint({"src", "href", "style"})
    assert not [name for name in names if name.startswith("on")]
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert any(value.startswith("default-src 'none'") for _, value in reader.attributes)


def test_names_cannot_become_markup() -> None:
    """A plugin that is called like a script is shown as it is called."""
    evil = '"><script>alert(1)</script>\x1b[31m'
    text, reader = made([record(plugin=evil, hook=evil), failure(code=evil, fault=evil)])
    assert reader.tags["script"] == 0
    assert "\x1b" not in text
    assert any("<script>alert(1)</script>" in words for words in reader.texts)


def test_the_same_calls_give_the_same_bytes() -> None:
    """A page depends on what it is about and on nothing else: two can be compared."""
    assert made(SOME)[0] == made(list(SOME))[0]


def test_a_page_follows_the_light_of_the_reader() -> None:
    """Colours are named once for light and once for dark, and used by name."""
    text, _ = made(SOME)
    assert "prefers-color-scheme:dark" in text
    assert "color-scheme:light dark" in text


def test_no_call_has_a_page_too() -> None:
    """Where nothing ended the page says so, and which run it was."""
    shown = " ".join(made([record(status="interrupted", duration_us=None)])[1].texts)
    assert "Nothing to show" in shown
    assert "run-1" in shown


def test_many_hooks_are_cut_from_the_charts_and_not_from_the_table() -> None:
    """What a chart leaves out, it says; the numbers are there."""
    _, reader = made([record(plugin=f"plugin.{n}") for n in range(40)])
    shown = " ".join(reader.texts)
    assert "24 more are in the table" in shown
    assert {f"plugin.{n}" for n in range(40)} <= set(reader.texts)


def test_what_was_asked_for_stands_at_the_top() -> None:
    """A page about some of the calls does not pass for one about all."""
    assert "Only calls with plugin store." in " ".join(
        made(SOME, asked="Only calls with plugin store")[1].texts
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 10**13), st.integers(0, 10**19 // 3), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_any_calls_make_a_page(calls: list[tuple[int, int, bool]]) -> None:
    """One call or many, at once or over centuries, of no time or of years: the page is whole."""
    rows = [
        (record if fine else failure)(str(n), duration_us=us, started_ns=ns)
        for n, (us, ns, fine) in enumerate(calls)
    ]
    text, _ = made(rows)
    assert "nan" not in text
    assert "inf" not in text.replace("information", "")


@given(st.integers(0, 10**15), st.integers(0, 10**15), st.integers(2, 100))
def test_every_moment_has_a_bin(one: int, other: int, most: int) -> None:
    """Bins are few enough and none of the moments lies outside."""
    least, last = sorted((one, other))
    times = Times.over(least, last, most)
    assert times.bins <= most
    assert 0 <= times.bin(least) <= times.bin(last) < times.bins
    assert len(list(times.ticks(8))) <= 17


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_every_duration_lies_on_the_axis(one: int, other: int) -> None:
    """The axis holds what it was made for, over whole decades."""
    least, most = sorted((one, other))
    axis = Log.over(least, most, 0, 100)
    assert -0.1 <= axis.at(least) <= axis.at(most) <= 100.1
    assert sum(counted([least, most], axis.edges(12))) == 2


@given(st.integers(0, 10**9))
def test_levels_are_round_and_reach_the_highest(most: int) -> None:
    """An axis begins at zero and has a handful of whole levels."""
    levels = steps(most)
    assert levels[0] == 0
    assert levels[-1] >= most
    assert 2 <= len(levels) <= 6
    assert all(isinstance(level, int) for level in levels)


@pytest.mark.parametrize(
    ("us", "shown"),
    [(0, "0 µs"), (340, "340 µs"), (1200, "1.2 ms"), (12_340, "12 ms"), (999_960, "1.0 s"),
     (1_500_000, "1.5 s"), (99_960_000, "1.7 min"), (3_600_000_000, "60 min")],
)  # fmt: skip
def test_durations_are_written_for_people(us: int, shown: str) -> None:
    """The unit fits, and no more digits stand there than say something."""
    assert duration(us) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0, 0, "0 %"), (0, 5, "0 %"), (1, 10_000, "< 0.1 %"), (33, 1000, "3.3 %"), (1, 2, "50 %")],
)
def test_shares_are_not_rounded_away(part: int, whole: int, shown: str) -> None:
    """What happened once in ten thousand calls is not called zero."""
    assert percent(part, whole) == shown


def test_markup_is_escaped_once() -> None:
    """Text becomes harmless, an element stays one, None is nothing."""
    inner = tag("b", "a<b")
    assert tag("p", inner, "&", None, class_='x"') == '<p class="x&quot;"><b>a&lt;b</b>&amp;</p>'
