"""Health as values: what is said, in which order, and when all is well."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from nxkernel.kernel.checkup import breakers
from nxkernel.kernel.health import BreakerHealth, ExitHealth, Health, PluginHealth
from nxkernel.middleware.breaker import Breaker
from nxkernel.types import HookName, PluginId
from tests.support.calls import Boot, a_call, drive, failed

HOOK = HookName("read")


def health(state: str = "ready", **changes: Any) -> PluginHealth:
    return PluginHealth(id=PluginId("p"), state=state, level="confined", **changes)


@pytest.mark.parametrize("state", ["stopped", "starting", "ready", "busy"])
def test_a_plugin_whose_calls_reach_it_is_well(state: str) -> None:
    """A worker that has not been started yet is no illness."""
    closed = BreakerHealth(hook=HOOK, mode="closed", budget=1.0)
    assert health(state, breakers=(closed,)).ok


@pytest.mark.parametrize("state", ["disabled", "backoff", "quarantined"])
def test_a_plugin_that_refuses_is_not(state: str) -> None:
    """Whatever the reason."""
    assert not health(state).ok


@pytest.mark.parametrize("mode", ["open", "half_open"])
def test_a_plugin_with_a_breaker_that_refuses_is_not_either(mode: str) -> None:
    """One hook is enough."""
    assert not health(breakers=(BreakerHealth(hook=HOOK, mode=mode, budget=0.0),)).ok


def test_the_text_says_what_a_person_wants_to_know() -> None:
    """One line for each plugin: its state, for how long, why, and which hooks are refused."""
    ended = ExitHealth(status=None, signal=9, cause="out_of_memory")
    trial = BreakerHealth(hook=HOOK, mode="open", budget=0.0, retry_in_s=4.5)
    sick = health("quarantined", retry_in_s=60.0, deaths=6, last_exit=ended, breakers=(trial,))
    assert str(sick) == (
        "p: quarantined, for 60 s, 6 recent deaths, last worker ended by signal 9 (out_of_memory), "
        "read open, trial in 4.5 s"
    )
    assert str(health("quarantined")) == "p: quarantined, until released"
    assert str(health("disabled", error="plugin.start")) == "p: disabled, [plugin.start]"
    assert str(health()) == "p: ready"
    assert str(Health({})) == "no plugins"


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        (ExitHealth(status=3, signal=None), "with status 3"),
        (ExitHealth(status=None, signal=11), "by signal 11"),
        (ExitHealth(status=None, signal=None), "unseen"),
    ],
)
def test_an_exit_is_one_phrase(ended: ExitHealth, text: str) -> None:
    """Status or signal, or neither."""
    assert str(ended) == text


def test_the_whole_is_a_mapping_that_becomes_plain_data() -> None:
    """By id, in order, with what is derived as well."""
    whole = Health({"a": attrs.evolve(health(), id=PluginId("a")), "p": health("backoff")})
    assert (list(whole), len(whole), whole["p"].state, whole.ok) == (
        ["a", "p"],
        2,
        "backoff",
        False,
    )
    data = json.loads(json.dumps(whole.to_json()))
    assert [(name, row["state"], row["ok"]) for name, row in data.items()] == [
        ("a", "ready", True),
        ("p", "backoff", False),
    ]


def test_breakers_are_found_in_the_stack_by_plugin_and_hook() -> None:
    """Of this plugin alone, sorted; a middleware without breakers has none to show."""
    breaker, given = Breaker(failures=1, reset_s=10.0), Boot()
    breaker.boot(given.facts())
    for hook in ("write", "read"):
        call = a_call(plugin="p", hook=hook)
        drive(breaker, call, failed(call))
    drive(breaker, a_call(plugin="q", hook="read"))
    given.clock.now += 4.0
    found = breakers([breaker, object()], PluginId("p"))  # type: ignore[list-item]
    assert [(b.hook, b.mode, b.retry_in_s) for b in found] == [
        ("read", "open", 6.0),
        ("write", "open", 6.0),
    ]
    (closed,) = breakers([breaker], PluginId("q"))
    assert (closed.mode, closed.budget, closed.retry_in_s) == ("closed", 1.0, None)
