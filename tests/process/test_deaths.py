"""A plugin that ends its own process costs that call and no other."""

from __future__ import annotations

import signal

import pytest

from tests.support.zoo import Zoo, events

ANIMALS = ("dies", "prints")


@pytest.mark.parametrize(
    ("way", "status", "number"),
    [
        ("exit", 3, None),
        ("exit 0", 0, None),
        ("abort", None, signal.SIGABRT),
        ("segfault", None, signal.SIGSEGV),
        ("kill", None, signal.SIGKILL),
        ("term", None, signal.SIGTERM),
    ],
)
def test_death_is_an_outcome(
    zoo: Zoo, way: str, status: int | None, number: signal.Signals | None
) -> None:
    """The outcome has exit status or signal and the last lines of the log; the next call works."""
    outcome = zoo.act("dies", way)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("plugin.crashed", "plugin")
    assert outcome.error.details["exit_status"] == status
    assert outcome.error.details["signal"] == number
    assert outcome.error.details["log"][-1] == "last words"
    assert zoo.answers("dies")


def test_message_of_a_death_is_always_the_same(zoo: Zoo) -> None:
    """No pid, no time: two deaths of the same kind have the same message."""
    first, second = zoo.act("dies", "exit"), zoo.act("dies", "exit")
    assert first.error is not None
    assert second.error is not None
    assert first.error.message == second.error.message == "plugin 'dies' ended during the call"


def test_hundred_deaths_leave_the_kernel_up(zoo: Zoo) -> None:
    """After a hundred crashes in a row both the plugin and its neighbour answer."""
    for _ in range(100):
        assert not zoo.act("dies", "exit").ok
    assert zoo.answers("dies")
    assert zoo.answers("prints")
    assert zoo.kernel.plugins["prints"].starts == 1


def test_death_is_on_record(zoo: Zoo) -> None:
    """The audit has an event with how the worker ended."""
    before = len(events(zoo.kernel.run, "worker.exit"))
    zoo.act("dies", "exit")
    event = events(zoo.kernel.run, "worker.exit")[before]
    assert event.plugin == "dies"
    assert event.data["exit_status"] == 3
