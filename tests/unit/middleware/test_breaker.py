"""A plugin that keeps failing is left alone for a while, and then tried again, once."""

from __future__ import annotations

import threading
from typing import Any

import attrs
import pytest

from nxkernel.errors import KernelConfigError
from nxkernel.middleware.breaker import Breaker
from nxkernel.types import Outcome
from tests.support.calls import Boot, a_call, a_plugin, answered, drive, enter, failed, leave

FAILURES = 3


def booted(**changes: Any) -> tuple[Breaker, Boot]:
    breaker = Breaker(**{"failures": FAILURES, "refill_s": 30.0, "reset_s": 10.0, **changes})
    given = Boot()
    breaker.boot(given.facts())
    return breaker, given


def fail(breaker: Breaker, times: int = 1, **changes: Any) -> list[Outcome]:
    call = a_call(**changes)
    return [drive(breaker, call, failed(call)) for _ in range(times)]


def codes(outcomes: list[Outcome]) -> list[str]:
    return [outcome.error.code if outcome.error else "ok" for outcome in outcomes]


def opened(**changes: Any) -> tuple[Breaker, Boot]:
    breaker, given = booted(**changes)
    fail(breaker, FAILURES)
    assert breaker.mode("ocr.rapid", "read_tokens") == "open"  # type: ignore[arg-type]
    return breaker, given


def test_it_opens_when_the_budget_is_used_up() -> None:
    """The calls of the budget reach the plugin, the next one is refused without it."""
    breaker, _ = booted()
    outcomes = fail(breaker, FAILURES + 1)
    assert codes(outcomes) == ["plugin.raised"] * FAILURES + ["breaker.open"]
    assert outcomes[-1].fault == "plugin"


def test_the_refusal_is_the_same_whenever_it_comes() -> None:
    """Message and details; the seconds that are left are for whoever looks at the health."""
    breaker, given = opened()
    given.clock.now += 4
    first = fail(breaker)
    given.clock.now += 1
    second = fail(breaker)
    assert first[0].error is not None
    assert first[0].error.message == (
        "plugin 'ocr.rapid' failed too often on hook 'read_tokens'; a trial call is made 10 s"
        " after the last failure"
    )
    assert first[0].error.details == {"after_s": 10}
    assert first == second
    (standing,) = breaker.standings("ocr.rapid")  # type: ignore[arg-type]
    assert (standing.mode, standing.budget, standing.retry_in_s) == ("open", 0.0, 5.0)


def test_refusals_count_as_nothing() -> None:
    """However many calls are refused, the trial comes when it would have come."""
    breaker, given = opened()
    given.clock.now += 9
    fail(breaker, 100)
    given.clock.now += 1
    assert drive(breaker, a_call()).ok


def test_a_trial_that_succeeds_closes_it() -> None:
    """After one good call the full budget is there again."""
    breaker, given = opened()
    given.clock.now += 10
    assert drive(breaker, a_call()).ok
    assert codes(fail(breaker, FAILURES + 1))[-2:] == ["plugin.raised", "breaker.open"]


def test_a_trial_that_fails_opens_it_for_as_long_again() -> None:
    """The time to the next trial runs from the failed one."""
    breaker, given = opened()
    given.clock.now += 10
    assert codes(fail(breaker)) == ["plugin.raised"]
    given.clock.now += 9
    assert codes(fail(breaker)) == ["breaker.open"]
    given.clock.now += 1
    assert drive(breaker, a_call()).ok


def test_one_trial_at_a_time() -> None:
    """While the trial is under way every other call is refused."""
    breaker, given = opened()
    given.clock.now += 10
    call = a_call()
    trial = enter(breaker, call)
    refused = fail(breaker)[0]
    assert refused.error is not None
    assert refused.error.code == "breaker.open"
    assert breaker.mode("ocr.rapid", "read_tokens") == "half_open"  # type: ignore[arg-type]
    leave(trial, answered(call))
    assert drive(breaker, a_call()).ok


@pytest.mark.parametrize("fault", ["caller", "host"])
def test_faults_of_others_do_not_count(fault: Any) -> None:
    """A plugin is not blamed for bad arguments or for the host's trouble."""
    breaker, _ = booted()
    call = a_call()
    for _ in range(FAILURES * 2):
        drive(breaker, call, failed(call, fault))
    assert drive(breaker, call).ok


@pytest.mark.parametrize(
    "code", ["plugin.disabled", "settings.invalid", "plugin.quarantined", "breaker.open"]
)
def test_a_plugin_that_was_not_asked_did_not_fail(code: str) -> None:
    """The reason why a plugin does not run stays visible, call after call."""
    breaker, _ = booted()
    call = a_call()
    outcomes = [drive(breaker, call, failed(call, code=code)) for _ in range(FAILURES * 2)]
    assert codes(outcomes) == [code] * FAILURES * 2


def test_a_failure_counts_where_it_began() -> None:
    """A caller of a broken plugin is not broken itself."""
    breaker, _ = booted()
    call = a_call()
    for _ in range(FAILURES * 2):
        drive(breaker, call, failed(call, origin="store.sqlite"))
    assert drive(breaker, call).ok
    for _ in range(FAILURES):
        drive(breaker, call, failed(call, origin="ocr.rapid"))
    assert codes(fail(breaker)) == ["breaker.open"]


def test_a_trial_without_a_verdict_leaves_the_next_call_to_decide() -> None:
    """A trial that ended by another's fault neither closes nor opens it."""
    breaker, given = opened()
    given.clock.now += 10
    call = a_call()
    drive(breaker, call, failed(call, "host"))
    assert breaker.mode(call.plugin, call.hook) == "half_open"
    assert codes(fail(breaker)) == ["plugin.raised"]
    assert breaker.mode(call.plugin, call.hook) == "open"


def test_a_trial_that_never_comes_back_does_not_block_the_plugin() -> None:
    """A call that was dropped in the middle gives its place to the next one."""
    breaker, given = opened()
    given.clock.now += 10
    trial = enter(breaker, a_call())
    assert not isinstance(trial, Outcome)
    trial.close()
    assert drive(breaker, a_call()).ok


def test_a_late_failure_from_before_does_not_judge_the_trial() -> None:
    """Only the trial decides, whatever older calls come back with meanwhile."""
    breaker, given = booted()
    call = a_call()
    late = enter(breaker, call)
    fail(breaker, FAILURES)
    given.clock.now += 10
    trial = enter(breaker, call)
    leave(late, failed(call))
    assert breaker.mode(call.plugin, call.hook) == "half_open"
    leave(trial, answered(call))
    assert breaker.mode(call.plugin, call.hook) == "closed"


def test_the_budget_refills_with_time() -> None:
    """Failures that are rarer than the refill never open it."""
    breaker, given = booted()
    for _ in range(20):
        assert codes(fail(breaker)) == ["plugin.raised"]
        given.clock.now += 30.0 / FAILURES
    assert breaker.mode("ocr.rapid", "read_tokens") == "closed"  # type: ignore[arg-type]


def test_successes_do_not_refill_it() -> None:
    """A plugin that fails every other call is left alone too."""
    breaker, _ = booted()
    for _ in range(FAILURES):
        fail(breaker)
        drive(breaker, a_call())
    assert codes(fail(breaker)) in (["breaker.open"],)


@pytest.mark.parametrize("change", [{"plugin": "ocr.other"}, {"hook": "read_lines"}])
def test_others_are_not_affected(change: dict[str, Any]) -> None:
    """Each plugin and each hook has a breaker of its own."""
    breaker, _ = opened()
    assert drive(breaker, a_call(**change)).ok


def test_a_teardown_is_never_refused() -> None:
    """A wrapper that was entered is left, even when its breaker opened meanwhile."""
    breaker, given = opened()
    assert drive(breaker, a_call(phase="teardown")).ok
    given.clock.now += 10
    trial = enter(breaker, a_call(phase="setup"))
    assert drive(breaker, a_call(phase="teardown")).ok
    leave(trial, answered(a_call(phase="setup")))
    assert breaker.mode("ocr.rapid", "read_tokens") == "closed"  # type: ignore[arg-type]


def test_a_teardown_that_fails_counts() -> None:
    """Failing on the way out is failing."""
    breaker, _ = booted()
    call = a_call(phase="teardown")
    for _ in range(FAILURES):
        drive(breaker, call, failed(call))
    assert codes(fail(breaker)) == ["breaker.open"]


def test_a_setup_is_refused_like_a_call() -> None:
    """An open breaker does not enter a wrapper."""
    breaker, _ = opened()
    assert codes([drive(breaker, a_call(phase="setup"))]) == ["breaker.open"]


def test_transitions_are_events() -> None:
    """Each change of state is reported, with what led to it; nothing else is."""
    breaker, given = opened()
    fail(breaker, 5)
    given.clock.now += 10
    drive(breaker, a_call())
    assert [(event.kind, event.plugin, event.data) for event in given.events] == [
        (
            "breaker.open",
            "ocr.rapid",
            {"hook": "read_tokens", "from": "closed", "to": "open", "code": "plugin.raised"},
        ),
        (
            "breaker.half_open",
            "ocr.rapid",
            {"hook": "read_tokens", "from": "open", "to": "half_open"},
        ),
        (
            "breaker.closed",
            "ocr.rapid",
            {"hook": "read_tokens", "from": "half_open", "to": "closed"},
        ),
    ]


def test_a_boot_closes_every_breaker() -> None:
    """A new run starts without the last one's failures."""
    breaker, given = opened()
    breaker.boot(given.facts())
    assert drive(breaker, a_call()).ok


def test_many_threads_get_one_trial() -> None:
    """Of calls that arrive at the same moment, one is the trial."""
    breaker, given = opened()
    given.clock.now += 10
    barrier = threading.Barrier(8)
    entered: list[Any] = []

    def work() -> None:
        barrier.wait()
        entered.append(enter(breaker, a_call()))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(not isinstance(each, Outcome) for each in entered) == 1


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"failures": 0}, "failures=0"),
        ({"refill_s": 0}, "refill_s=0"),
        ({"refill_s": float("nan")}, "refill_s=nan"),
        ({"reset_s": -1}, "reset_s=-1"),
    ],
)
def test_impossible_limits_are_refused(limits: dict[str, Any], name: str) -> None:
    """A breaker that could never close or never open is a mistake at once."""
    with pytest.raises(KernelConfigError, match=name):
        Breaker(**limits)


def test_new_code_starts_with_closed_breakers() -> None:
    """What an old edition did says nothing of the new one; that it closes is an event."""
    breaker, given = opened()
    breaker.plugin_switched(a_plugin("ocr.rapid", edition=2))
    assert given.events[-1].kind == "breaker.closed"
    fail(breaker, FAILURES + 1, edition=1)  # last calls of the old code
    assert codes(fail(breaker, FAILURES + 1, edition=2))[-1] == "breaker.open"


def test_a_trial_of_new_code_does_not_count_against_the_old() -> None:
    """Its failures take the new edition back, and nothing else."""
    breaker, given = booted()
    breaker.boot(attrs.evolve(given.facts(), plugins={"ocr.rapid": a_plugin("ocr.rapid")}))
    assert codes(fail(breaker, FAILURES + 1, edition=2)) == ["plugin.raised"] * (FAILURES + 1)
    assert breaker.mode("ocr.rapid", "read_tokens") == "closed"  # type: ignore[arg-type]


def lose(breaker: Breaker, share: float) -> Outcome:
    call = a_call()
    return drive(breaker, call, answered(call, [], lost=share))


def test_what_was_dropped_costs_its_part_of_a_failure() -> None:
    """Two halves are a failure; as long as one is affordable, every result is delivered."""
    breaker, _ = booted()
    assert codes([lose(breaker, 0.5) for _ in range(4)]) == ["ok"] * 4
    (standing,) = breaker.standings("ocr.rapid")  # type: ignore[arg-type]
    assert (standing.mode, standing.budget) == ("closed", 1.0)
    assert codes([lose(breaker, 0.25), lose(breaker, 0.0)]) == ["ok", "breaker.open"]


def test_a_trial_of_which_something_is_left_closes() -> None:
    """Half-open asks whether anything comes at all; a result that lost everything is a failure."""
    breaker, given = opened()
    given.clock.now += 10
    lose(breaker, 1.0)
    assert breaker.mode("ocr.rapid", "read_tokens") == "open"  # type: ignore[arg-type]
    given.clock.now += 10
    lose(breaker, 0.9)
    assert breaker.mode("ocr.rapid", "read_tokens") == "closed"  # type: ignore[arg-type]
