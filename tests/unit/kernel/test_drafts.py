"""Drafts: what the stack sees of a call, and how long it may take."""

from __future__ import annotations

import threading
from typing import Any

import attrs
import pytest

from nxkernel._blob import NONE
from nxkernel._canonical import digest, encode
from nxkernel.kernel.asking import CallOptions
from nxkernel.types import PluginId
from tests.support.desks import ASKS, Bench, Everything, echoing, hookimpl


def test_a_call_is_what_crosses() -> None:
    """Arguments with the hookspec's defaults, their canonical bytes and the digest of those."""
    bench = echoing()
    assert bench.call("every", x=1).value == [[1, 2]]
    (call,) = bench.witness.calls
    assert call.arguments == {"x": 1, "y": 2}
    assert call.payload == encode({"x": 1, "y": 2})
    assert call.input_digest == digest(call.payload)
    assert (call.plugin, call.impl, call.hook, call.phase) == ("a", "every", "every", "call")
    assert (call.run_id, call.level, call.depth, call.parent) == ("r1", "host", 0, None)


def test_ids_count_up_within_a_run() -> None:
    """One for each provider, and for each phase of a wrapper."""

    class Wraps:
        @hookimpl(wrapper=True)
        def first(self, x):
            return (yield)

    bench = Bench({"a": Everything(lambda x: None), "b": Everything(lambda x: x), "w": Wraps()})
    bench.call("first", x=1)
    bench.call("first", x=1)
    calls = bench.witness.calls
    assert [call.call_id for call in calls] == [str(n) for n in range(1, 9)]
    assert [call.phase for call in calls[:4]] == ["setup", "call", "call", "teardown"]


def test_threads_share_no_id() -> None:
    """Eight threads at once: every call has its own."""
    bench = echoing()
    threads = [
        threading.Thread(target=lambda: [bench.call("every", x=n) for n in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({call.call_id for call in bench.witness.calls}) == 400
    assert bench.desk.stats[PluginId("a")].calls == 400


def test_a_second_phase_carries_the_inner_result() -> None:
    """The outcome of the inner calls, its bytes, and the token of the first phase."""

    class Wraps:
        @hookimpl(wrapper=True)
        def first(self, x):
            return (yield)

    def fail(x: Any) -> Any:
        raise KeyError("x")

    for act in (lambda x: [x], fail):
        bench = Bench({"p": Everything(act), "w": Wraps()})
        bench.call("first", x=1)
        setup, _, teardown = bench.witness.calls
        assert teardown.token == bench.witness.outcomes[0].annotations["token"]
        assert teardown.key == (*setup.key, "teardown")
        if act is fail:
            assert teardown.inner_error is not None
            assert teardown.inner_error.message == "KeyError: 'x'"
            assert (teardown.inner_fault, teardown.inner_origin) == ("plugin", "p")
            assert teardown.payload == encode(None)
        else:
            assert (teardown.arguments, teardown.payload) == ({"result": [1]}, encode([1]))
            assert (teardown.inner_error, teardown.inner_fault) == (None, None)


@pytest.mark.parametrize(
    ("hook", "option", "manifest", "seconds"),
    [
        ("first", None, None, 10.0),
        ("first", None, 7.0, 7.0),
        ("timed", None, 7.0, 3.0),
        ("timed", 1.0, 7.0, 1.0),
        ("timed", 100.0, 7.0, 100.0),
    ],
)
def test_the_nearest_word_about_time_counts(
    hook: str, option: float | None, manifest: float | None, seconds: float
) -> None:
    """The caller's, then the hookspec's, then the manifest's, then the host's."""
    timeouts = {PluginId("a"): manifest} if manifest else {}
    bench = echoing(timeouts=timeouts)
    bench.call(hook, CallOptions(timeout=option), x=1)
    assert bench.witness.calls[0].deadline == bench.clock.now + seconds


def test_a_nested_call_has_no_more_time_than_its_parent() -> None:
    """Deadlines are absolute and reach nested calls; they may only become nearer."""
    bench = echoing(facts=ASKS)
    bench.nested("first", x=1)
    assert bench.witness.calls[-1].deadline == bench.clock.now + 5.0
    generator = bench.desk.brokered(
        bench.parent(), "first", encode({"x": 1}), NONE, bench.clock.now + 1000.0
    )
    bench.drive(generator)
    assert bench.witness.calls[-1].deadline == bench.clock.now + 10.0


def test_a_wrapper_that_was_entered_has_time_to_leave() -> None:
    """Also when the common deadline has passed meanwhile: what it holds must be given back."""

    class Wraps:
        @hookimpl(wrapper=True)
        def first(self, x):
            return (yield)

    def slow(x: Any) -> Any:
        bench.clock.now += 60.0
        return x

    bench = Bench({"a": Everything(slow), "w": Wraps()}, facts=ASKS)
    assert bench.nested("first", attrs.evolve(echoing().parent(), plugin=PluginId("asks")), x=1)
    setup, call, teardown = bench.witness.calls
    assert setup.deadline == call.deadline < bench.clock.now < teardown.deadline


def test_a_nested_call_knows_where_it_comes_from() -> None:
    """Parent, caller and depth; its id is below its parent's."""
    bench = echoing(facts=ASKS)
    assert bench.nested("first", x=1).payload == encode([1])
    (call,) = bench.witness.calls
    assert (call.call_id, call.parent, call.caller, call.depth) == ("1.1", "1", "asks", 1)
