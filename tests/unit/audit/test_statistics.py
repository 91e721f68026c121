"""Durations, failures, and where the time went."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from nxkernel.audit.statistics import Spread, summary
from tests.unit.audit.calls import failure, record


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_a_percentile_was_measured_and_covers_its_share(values: Sequence[int]) -> None:
    """p50 and p95 are measured values that so many per cent of the values do not exceed."""
    spread = Spread.of(values)
    for percent, value in ((50, spread.p50), (95, spread.p95), (99, spread.p99)):
        need = math.ceil(len(values) * percent / 100)
        assert value in values
        assert sum(each <= value for each in values) >= need
        assert sum(each < value for each in values) < need
    assert (spread.least, spread.most, spread.total) == (min(values), max(values), sum(values))


def test_nothing_has_a_summary_too() -> None:
    """A run without a call has statistics, all of them zero."""
    found = summary([])
    assert (found.calls, found.failures, found.hooks, found.slowest) == (0, 0, (), ())
    assert found.where.total == Spread.of([]).p95 == 0


def test_calls_are_summed_up_by_plugin_and_hook() -> None:
    """Each hook of each plugin has its counts, its bytes and its errors."""
    found = summary(
        [
            record("1", duration_us=10),
            failure("2", "plugin.timeout", duration_us=30),
            record("3", plugin="store", hook="save", duration_us=7),
            record("4", duration_us=None, status="interrupted"),
            record("5", duration_us=None, status="in_flight"),
        ]
    )
    assert [(h.plugin, h.hook, h.calls, h.failures, h.interrupted) for h in found.hooks] == [
        ("ocr.rapid", "read_tokens", 2, 1, 1),
        ("store", "save", 1, 0, 0),
    ]
    assert (found.hooks[0].duration.p50, found.hooks[0].duration.p95) == (10, 30)
    assert (found.hooks[0].input_bytes, found.hooks[0].output_bytes) == (200, 50)
    assert (found.calls, found.failures, found.interrupted) == (3, 1, 1)
    assert found.errors == {("plugin.timeout", "plugin"): 1}
    assert list(found.fine) == [1, 0, 1]


def test_the_parts_of_a_call_add_up() -> None:
    """Queue, plugin, transport and host are the whole duration of a call."""
    where = summary([record(duration_us=100, queue_us=10, transport_us=70, plugin_us=40)]).where
    assert (where.queue, where.plugin, where.transport, where.host) == (10, 40, 30, 20)
    assert where.total == 100


def test_middlewares_have_their_part_and_their_names() -> None:
    """What they took is no part of the rest of the host, and summed up by name over the runs."""
    times = {"duration_us": 100, "queue_us": 10, "transport_us": 70, "plugin_us": 40}
    found = summary(
        [record(**times, stack_us=[5, 7]), record(**times, stack_us=[1, 0]), record(**times)],
        stacks={"run-1": ("audit", "policy", "breaker")},
    )
    assert found.middlewares == {"audit": 6, "policy": 7}
    assert (found.where.middlewares, found.where.host) == (13, 47)
    assert found.where.total == 300


def test_what_was_told_is_summed_up_and_nothing_else() -> None:
    """Processor time, rows and memory are those that workers told; nothing told is no zero."""
    calls = [
        record(cpu_us=3, rows_read=2, peak_kb=900),
        record(cpu_us=4, rows_written=0, peak_kb=700),
        record(),
        record(plugin="silent"),
    ]
    told, silent = summary(calls).hooks
    assert (told.cpu_us, told.rows_read, told.rows_written, told.peak_kb) == (7, 2, 0, 900)
    assert (silent.cpu_us, silent.rows_read, silent.rows_written, silent.peak_kb) == (None,) * 4


def test_time_in_nested_calls_is_counted_once() -> None:
    """A plugin's part has nothing of the calls that it asked for: they are in the sums too."""
    asked = {"parent": "1", "caller": "ocr.rapid", "depth": 1, "plugin": "store"}
    found = summary(
        [
            record("1.1", **asked, duration_us=30, queue_us=0, transport_us=30, plugin_us=30),
            record("1", duration_us=100, queue_us=0, transport_us=100, plugin_us=100),
        ]
    )
    assert [each.where.plugin for each in found.hooks] == [70, 30]
    assert found.where.total == 100


def test_the_calls_of_one_id_do_not_pay_for_each_other() -> None:
    """In a fan-out, time that one plugin spent below is not taken from its neighbour."""
    asked = {"parent": "1", "caller": "ocr.rapid", "depth": 1, "plugin": "store"}
    times = {"duration_us": 50, "queue_us": 0, "transport_us": 50, "plugin_us": 50}
    found = summary(
        [
            record(
                "1.1", **asked, **{**times, "plugin_us": 20, "duration_us": 20, "transport_us": 20}
            ),
            record("1", plugin="neighbour", **times),
            record("1", **times),
        ]
    )
    assert {h.plugin: h.where.plugin for h in found.hooks} == {
        "neighbour": 50,
        "ocr.rapid": 30,
        "store": 20,
    }


def test_the_slowest_calls_are_found_among_many() -> None:
    """They are the longest, the longest first, however many calls came between."""
    durations = [(7919 * n) % 10_007 for n in range(500)]
    found = summary((record(str(n), duration_us=d) for n, d in enumerate(durations)), slowest=5)
    assert [c.duration_us for c in found.slowest] == sorted(durations, reverse=True)[:5]
