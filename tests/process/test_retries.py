"""A call that was lost with its worker is made again where the hookspec allows it, else never."""

from __future__ import annotations

import pytest

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import PATIENCE_S, SOON_S, Zoo, allow, code_of, patient, recorded

ANIMALS = ("fades", "prints")
OPTIONS = {"rules": allow("fades", "echo")}


def tries(zoo: Zoo, name: str) -> int:
    """How often the plugin saw the call of that name."""
    return len((zoo.kernel.run.dir / "plugins" / "fades" / name).read_text())


def test_a_lost_call_is_made_again(zoo: Zoo) -> None:
    """On a new worker, with the same randomness; the outcome says that it took two attempts."""
    assert zoo.ask("fades", "again", value=["before", "answer"]).ok  # Its worker is up.
    starts = zoo.kernel.plugins["fades"].starts
    outcome = zoo.ask("fades", "again", value=["lost", "exit", "answer"])
    assert (outcome.ok, outcome.attempts) == (True, 2)
    tried, drawn = outcome.value
    assert tried == 2
    assert zoo.kernel.plugins["fades"].starts - starts == 1
    same = zoo.kernel.options(key=7, timeout=PATIENCE_S, only={"fades"})
    drawn = [
        same.call("again", value=[name, *ways])[0].value[1]
        for name, *ways in (["plain", "answer"], ["crash", "exit", "answer"])
    ]
    assert drawn[0] == drawn[1]


def test_each_attempt_is_on_record(zoo: Zoo) -> None:
    """A row for the one that was lost and one for the other, each with its time and fault."""
    zoo.ask("fades", "again", value=["recorded", "exit", "answer"])
    first, second = recorded(zoo.kernel.run, hook="again")[-2:]
    assert [(row.attempt, row.status, row.error_code) for row in (first, second)] == [
        (1, "error", "plugin.crashed"),
        (2, "ok", None),
    ]
    assert first.call_id == second.call_id
    assert first.seed == second.seed is not None
    assert first.started_ns < second.started_ns
    assert (first.fault, second.fault) == ("plugin", None)


def test_what_it_asks_has_the_same_keys_again(zoo: Zoo) -> None:
    """The two equal calls of each attempt differ from each other, and are those of the other."""
    zoo.ask("fades", "again", value=["asking", "exit", "answer"])
    call_id = recorded(zoo.kernel.run, hook="again")[-1].call_id
    asked = [r for r in recorded(zoo.kernel.run, hook="echo") if r.parent == call_id]
    seeds = [row.seed for row in asked if row.plugin == "prints"]
    assert len(seeds) == 4
    assert seeds[:2] == seeds[2:]
    assert seeds[0] != seeds[1]
    assert len({row.call_id for row in asked}) == len(asked)


def test_it_is_given_up_after_so_many_retries(zoo: Zoo) -> None:
    """By default one: a plugin that always dies costs two workers for each call."""
    outcome = zoo.ask("fades", "again", value=["always", "exit"])
    assert (code_of(outcome), outcome.fault, outcome.attempts) == ("plugin.crashed", "plugin", 2)
    assert tries(zoo, "always") == 2


def test_a_hook_that_is_not_idempotent_is_asked_once(zoo: Zoo) -> None:
    """Nobody knows how far it came."""
    outcome = zoo.ask("fades", "once", value=["once", "exit", "answer"])
    assert (code_of(outcome), outcome.attempts) == ("plugin.crashed", 1)
    assert tries(zoo, "once") == 1


@pytest.mark.parametrize(
    ("way", "code", "timeout"),
    [
        ("raise", "plugin.raised", PATIENCE_S),
        ("bad", "contract.output", PATIENCE_S),
        ("sleep", "plugin.timeout", SOON_S),
    ],
)
def test_an_answer_is_not_asked_for_twice(zoo: Zoo, way: str, code: str, timeout: float) -> None:
    """An exception, a bad value or a missed deadline is what the plugin had to say."""
    assert zoo.ask("fades", "again", value=["warm", "answer"]).ok
    outcome = zoo.ask("fades", "again", timeout=timeout, value=[way, way, "answer"])
    assert (code_of(outcome), outcome.attempts) == (code, 1)
    assert tries(zoo, way) == 1


@pytest.mark.parametrize("retries", [0, 3])
def test_the_application_says_how_often(open_zoo: Opens, retries: int) -> None:
    """Zero switches it off."""
    hosting = nx.Hosting(retries=retries, backoff_s=0.0, restart_intensity=100)
    zoo = open_zoo(patient, *ANIMALS, hosting=hosting, **OPTIONS)
    outcome = zoo.ask("fades", "again", value=["often", *["exit"] * 3, "answer"])
    assert outcome.attempts == retries + 1
    assert outcome.ok == (retries == 3)


def test_quarantine_does_not_hide_the_crash(open_zoo: Opens) -> None:
    """A call that cannot be made again ends with the reason for which it was lost."""
    hosting = nx.Hosting(restart_intensity=0)
    zoo = open_zoo(patient, *ANIMALS, hosting=hosting, **OPTIONS)
    outcome = zoo.ask("fades", "again", value=["last", "exit", "answer"])
    assert (code_of(outcome), outcome.attempts) == ("plugin.crashed", 1)
    assert code_of(zoo.ask("fades", "again", value=["last", "answer"])) == "plugin.quarantined"
