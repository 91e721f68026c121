"""Brokered calls: deep, crosswise, denied, failing, late."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.testing import FakeClock
from tests.process.conftest import Opens
from tests.support.zoo import (
    SOON_S,
    Zoo,
    allow,
    build,
    code_of,
    events,
    eventually,
    patient,
    recorded,
)

STEPS = ("ask_a", "ask_b", "ask_c")
ANIMALS = ("asks.a", "asks.b", "asks.c", "insists", "threads", "reenters", "prints", "tells")
OPTIONS = {
    "rules": [
        rule
        for caller in ("asks.a", "asks.b", "insists", "threads", "reenters", "tells")
        for rule in allow(caller, *STEPS, "echo")
    ],
}


def walk(zoo: Zoo, *steps: str, timeout: float | None = None) -> nx.Outcome:
    """Call the first hook with the rest of the way."""
    first, *rest = steps
    (outcome,) = zoo.kernel.options(timeout=timeout).call(first, value=rest)
    return outcome


class TestWays:
    """Calls between plugins, to any depth and in any pattern."""

    def test_three_levels_deep(self, zoo: Zoo) -> None:
        """A calls B, B calls C; each is in a process of its own."""
        assert walk(zoo, "ask_a", "ask_b", "ask_c").value == ["a", "b", "c"]

    def test_back_to_the_caller(self, zoo: Zoo) -> None:
        """A calls B, and B calls A, which waits: it serves the call on top."""
        assert walk(zoo, "ask_a", "ask_b", "ask_a").value == ["a", "b", "a"]

    def test_to_oneself(self, zoo: Zoo) -> None:
        """A plugin may call the hook that it is serving."""
        assert walk(zoo, *["ask_a"] * 5).value == ["a"] * 5

    def test_calls_are_one_tree_on_record(self, zoo: Zoo) -> None:
        """Each row names its parent, its caller and its depth."""
        top = walk(zoo, "ask_a", "ask_b", "ask_c").call_id
        rows = [r for r in recorded(zoo.kernel.run) if r.call_id.split(".")[0] == top]
        assert [(r.call_id, r.parent, r.caller, r.depth) for r in rows] == [
            (top, None, None, 0),
            (f"{top}.1", top, "asks.a", 1),
            (f"{top}.1.1", f"{top}.1", "asks.b", 2),
        ]

    def test_crossing_calls_do_not_deadlock(self, zoo: Zoo) -> None:
        """Two threads, A calling B and B calling A at once, 300 times each."""
        found: list[object] = []

        def go(*steps: str) -> None:
            found.extend(walk(zoo, *steps).value for _ in range(300))

        ways = (("ask_a", "ask_b", "ask_a"), ("ask_b", "ask_a", "ask_b"))
        threads = [threading.Thread(target=go, args=way) for way in ways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found.count(["a", "b", "a"]) == found.count(["b", "a", "b"]) == 300

    def test_depth_is_limited(self, zoo: Zoo) -> None:
        """Endless recursion ends with `call.depth` in the innermost caller, which may handle it."""
        limit = nx.Hosting().max_depth
        outcome = walk(zoo, *["ask_a"] * (limit + 1), "try", "ask_a")
        assert outcome.value == ["a"] * (limit + 1) + ["call.depth"]

    def test_global_randomness_is_the_frames_own(self, zoo: Zoo) -> None:
        """A call that comes in while a plugin waits does not disturb what it draws afterwards."""
        generator = random.Random(5)
        outcome = zoo.act("reenters", 5)
        assert outcome.value == [generator.random(), generator.random()]


class TestDenials:
    """What the manifest did not request, or the application did not grant, is not called."""

    def test_call_that_was_not_requested(self, zoo: Zoo) -> None:
        """The plugin gets `policy.denied`, with the words that would change it."""
        outcome = walk(zoo, "ask_c", "ask_a")
        assert outcome.error is not None
        assert outcome.error.details["exception"] == "nxkernel.errors.PolicyDenied"
        assert "its manifest does not request it" in outcome.error.message

    def test_broker_holds_the_manifest_without_any_stack(self, open_zoo: Opens) -> None:
        """`middleware=[]` still brokers by `requires`."""
        zoo = open_zoo(build, "asks.a", "asks.c", middleware=[])
        assert walk(zoo, "ask_c", "try", "ask_a").value == ["c", "policy.denied"]
        assert walk(zoo, "ask_a", "ask_c").value == ["a", "c"]

    def test_call_that_was_not_granted(self, open_zoo: Opens) -> None:
        """Requested but not granted: denied, and on record with rule and reason."""
        zoo = open_zoo(build, "asks.a", "asks.b")
        assert walk(zoo, "ask_a", "try", "ask_b").value == ["a", "policy.denied"]
        (row,) = recorded(zoo.kernel.run, plugin="asks.b")
        assert (row.error_code, row.caller, row.fault) == ("policy.denied", "asks.a", "caller")
        (decision,) = events(zoo.kernel.run, "policy.decision")
        assert decision.data["effect"] == "deny"
        assert decision.data["caller"] == "asks.a"

    def test_callee_of_a_denied_call_is_not_started(self, open_zoo: Opens) -> None:
        """The denied call never reaches a worker."""
        zoo = open_zoo(build, "asks.a", "asks.b")
        walk(zoo, "ask_a", "try", "ask_b")
        assert zoo.kernel.plugins["asks.b"].calls == 1
        (row,) = recorded(zoo.kernel.run, plugin="asks.b")
        assert row.output_digest is None
        assert row.transport_us in (0, None)

    def test_unknown_hook(self, zoo: Zoo) -> None:
        """A hook that nobody declared is `call.unknown_hook`, inside a plugin too."""
        assert walk(zoo, "ask_a", "try", "nowhere").value == ["a", "call.unknown_hook"]

    def test_call_from_another_thread(self, zoo: Zoo) -> None:
        """context.call belongs to the thread that runs the hookimpl; the wire stays in order."""
        assert zoo.act("threads").value == ["call.rejected"]
        assert zoo.answers("threads")


class TestFailures:
    """A failure belongs to the plugin where it began."""

    def test_caller_may_handle_it(self, zoo: Zoo) -> None:
        """The caller gets an exception with the code, and its own call succeeds."""
        assert walk(zoo, "ask_a", "try", "ask_b", "raise").value == ["a", "plugin.raised"]
        assert walk(zoo, "ask_a", "try", "ask_b", "exit").value == ["a", "plugin.crashed"]

    @pytest.mark.parametrize("end", ["raise", "exit"])
    def test_origin_is_where_it_began(self, zoo: Zoo, end: str) -> None:
        """A caller that lets it through fails too, and names the callee as the origin."""
        outcome = walk(zoo, "ask_a", "ask_b", "ask_c", end)
        assert (code_of(outcome), outcome.plugin) == ("plugin.raised", "asks.a")
        assert (outcome.fault, outcome.origin) == ("plugin", "asks.c")

    def test_origin_keeps_breakers_of_callers_closed(self, open_zoo: Opens) -> None:
        """The breaker opens for the plugin that fails, not for those that call it."""
        rules = allow("asks.a", *STEPS)
        zoo = open_zoo(build, "asks.a", "asks.b", rules=rules, breaker=nx.Breaker(failures=2))
        for _ in range(5):
            walk(zoo, "ask_a", "ask_b", "raise")
        assert walk(zoo, "ask_a", "try", "ask_b").value == ["a", "breaker.open"]

    def test_death_ends_every_frame_of_its_worker(self, zoo: Zoo) -> None:
        """A's inner call kills A's process: its outer call is lost by the host's word, not A's."""
        outcome = walk(zoo, "ask_a", "ask_b", "ask_a", "exit")
        assert (code_of(outcome), outcome.fault) == ("plugin.crashed", "host")
        assert outcome.error is not None
        assert outcome.error.details["lost_by"] == f"{outcome.call_id}.1.1"
        inner = [r for r in recorded(zoo.kernel.run) if r.call_id == f"{outcome.call_id}.1.1"]
        assert [(r.error_code, r.fault) for r in inner] == [("plugin.crashed", "plugin")]
        assert walk(zoo, "ask_a", "ask_b").value == ["a", "b"]


class TestDeadlines:
    """Nested calls share the deadline of the outermost; the fault is whose frame overran."""

    @pytest.fixture
    def zoo(self, open_zoo: Opens) -> Zoo:
        """On a clock of the test's own, so that each caller has come to its call in time."""
        return open_zoo(patient, "asks.a", "asks.b", "asks.c", clock=FakeClock(), **OPTIONS)

    def overrun(self, zoo: Zoo, sleeper: str, *steps: str) -> nx.Outcome:
        """Walk, and let the time be over once *sleeper* sleeps."""

        def pass_time() -> None:
            eventually(lambda: "going to sleep" in zoo.log(sleeper), "it sleeps")
            clock.advance(5.0)

        clock: Any = zoo.kernel.run.clock
        passing = threading.Thread(target=pass_time)
        passing.start()
        outcome = walk(zoo, *steps, timeout=5.0)
        passing.join()
        return outcome

    def test_caller_survives_its_callee(self, zoo: Zoo) -> None:
        """The callee that sleeps is ended; the caller has time to deal with that."""
        outcome = self.overrun(zoo, "asks.b", "ask_a", "try", "ask_b", "sleep")
        assert outcome.value == ["a", "plugin.timeout"]

    def test_every_caller_survives(self, zoo: Zoo) -> None:
        """Also two levels up: each caller gets its time after its callee's."""
        outcome = self.overrun(zoo, "asks.c", "ask_a", "ask_b", "try", "ask_c", "sleep")
        assert outcome.value == ["a", "b", "plugin.timeout"]

    def test_fault_is_the_sleepers(self, zoo: Zoo) -> None:
        """On record, `plugin.timeout` stands at the frame that overran and at no other."""
        outcome = self.overrun(zoo, "asks.b", "ask_a", "ask_b", "sleep")
        assert (code_of(outcome), outcome.origin) == ("plugin.raised", "asks.b")
        rows = recorded(zoo.kernel.run, errors_only=True)
        own = [r for r in rows if r.call_id.split(".")[0] == outcome.call_id]
        assert sorted((r.plugin, r.error_code) for r in own) == [
            ("asks.a", "plugin.raised"),
            ("asks.b", "plugin.timeout"),
        ]

    def test_an_overrun_costs_those_below_the_worker_and_no_fault(self, open_zoo: Opens) -> None:
        """A waits for B when another call comes on top in A's worker and overruns.

        The fault is that call's alone. A's first call is lost with the worker, by the host's word;
        B, in its own worker, is not touched: it goes on and is called again.
        """
        zoo = open_zoo(patient, "asks.a", "asks.b", rules=allow("asks.a", "ask_b"))
        assert walk(zoo, "ask_a", "ask_b").ok
        lower: list[nx.Outcome] = []
        waiting = threading.Thread(target=lambda: lower.append(walk(zoo, "ask_a", "ask_b", "wait")))
        waiting.start()
        eventually(lambda: zoo.kernel.health()["asks.b"].state == "busy", "A waits for B")
        upper = walk(zoo, "ask_a", "sleep", timeout=SOON_S)
        (zoo.kernel.run.dir / "plugins" / "asks.b" / "go").touch()
        waiting.join()
        assert (code_of(upper), upper.fault) == ("plugin.timeout", "plugin")
        assert (code_of(lower[0]), lower[0].fault) == ("plugin.crashed", "host")
        assert lower[0].error is not None
        assert lower[0].error.details["lost_by"] == upper.call_id
        below = [r for r in recorded(zoo.kernel.run) if r.plugin == "asks.b"]
        assert {(r.status, r.error_code) for r in below} == {("ok", None)}
        assert zoo.kernel.plugins["asks.b"].starts == 1
        assert walk(zoo, "ask_a", "ask_b").value == ["a", "b"]

    def test_asking_again_and_again_moves_no_deadline(self, open_zoo: Opens) -> None:
        """A plugin that swallows its failures for ever is ended like any other."""
        zoo = open_zoo(patient, "insists", "asks.c", **OPTIONS)
        assert code_of(zoo.act("insists", timeout=SOON_S)) == "plugin.timeout"
        assert zoo.answers("insists")

    def test_time_under_another_call_does_not_count(self, open_zoo: Opens) -> None:
        """A call that waits for the worker while another one sleeps keeps its whole time."""
        zoo = open_zoo(patient, "sleeps")
        sleeper = threading.Thread(target=lambda: zoo.act("sleeps", 1.5))
        sleeper.start()
        eventually(lambda: zoo.kernel.health()["sleeps"].state == "busy", "the sleeper sleeps")
        outcome = zoo.ask("sleeps", "echo", value=1, timeout=1.0)
        sleeper.join()
        assert outcome.value == 1


class Clerk:
    """The application's own implementation, in the host process."""

    @nx.HookimplMarker("zoo")
    def echo(self, value: object) -> object:
        return ["host", value]


def test_plugin_calls_a_builtin(open_zoo: Opens) -> None:
    """A builtin answers a plugin like any other provider, audited as level `host`."""
    rules = allow("tells", "echo")
    zoo = open_zoo(build, "tells", builtins={"clerk": Clerk()}, rules=rules)
    assert zoo.act("tells", 1).value == [["host", 1]]
    (row,) = recorded(zoo.kernel.run, plugin="clerk")
    assert (row.level, row.caller) == ("host", "tells")
