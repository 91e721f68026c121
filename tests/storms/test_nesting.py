"""Calls between plugins, three deep and back to the caller, from eight threads at once."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable

import attrs

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.storms import ROOM_MIB, Storm, footprint, held_to_the_audit, in_threads, settles
from tests.support.zoo import allow, eventually, patient

THREADS = 8
#: Of those threads, how many are event loops; each has this many calls under way.
LOOPS, TASKS = 2, 4
STEPS = ("ask_a", "ask_b", "ask_c")
RULES = [rule for caller in ("asks.a", "asks.b") for rule in allow(caller, *STEPS)]


def way(dice: random.Random) -> list[str]:
    """One to four steps; only asks.a and asks.b may go on."""
    steps = [dice.choice(STEPS[:2]) for _ in range(dice.randrange(3))]
    return [*steps, dice.choice(STEPS)]


def answer(steps: list[str]) -> list[str]:
    """What a call along *steps* returns."""
    return [step[-1] for step in steps]


@attrs.define
class Traveller:
    """Makes calls until all that are wanted have been made."""

    kernel: nx.Kernel
    dice: random.Random
    tickets: itertools.count[int]
    wanted: int
    outcomes: list[nx.Outcome] = attrs.Factory(list)
    nested: int = 0

    def blocking(self) -> None:
        while next(self.tickets) < self.wanted:
            steps = way(self.dice)
            self.arrived(steps, self.kernel.call(steps[0], value=steps[1:]))

    def looping(self) -> None:
        asyncio.run(self.tasks())

    async def tasks(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(TASKS):
                group.create_task(self.awaiting())

    async def awaiting(self) -> None:
        while next(self.tickets) < self.wanted:
            steps = way(self.dice)
            self.arrived(steps, await self.kernel.acall(steps[0], value=steps[1:]))

    def arrived(self, steps: list[str], result: nx.HookResult) -> None:
        (outcome,) = result
        assert outcome.value == answer(steps), outcome
        self.outcomes.append(outcome)
        self.nested += len(steps) - 1


def test_nested_calls_do_not_deadlock(open_zoo: Opens, storm: Storm) -> None:
    """Blocking and awaited calls, A to B to C, A to B to A, and each has its own answer."""
    zoo = open_zoo(patient, "asks.a", "asks.b", "asks.c", rules=RULES)
    before = footprint()
    tickets = itertools.count()
    wanted = storm.size(2_000, 100_000)
    travellers = [Traveller(zoo.kernel, storm.dice(n), tickets, wanted) for n in range(THREADS)]
    jobs: list[Callable[[], None]] = [t.looping for t in travellers[:LOOPS]]
    jobs += [t.blocking for t in travellers[LOOPS:]]
    in_threads(jobs)
    assert {each.state for each in zoo.kernel.health().values()} == {"ready"}
    zoo.kernel.close()
    outcomes = [outcome for each in travellers for outcome in each.outcomes]
    assert len(outcomes) == wanted
    nested = sum(each.nested for each in travellers)
    assert held_to_the_audit(zoo.kernel.run, outcomes) == wanted + nested
    del outcomes, travellers
    # The allocator keeps what this test itself remembered: an outcome and some rows for each call.
    settles(before, "the host holds what it held before the storm", ROOM_MIB + wanted // 1000)
    storm.tell("calls of the application", wanted)
    storm.tell("... and of plugins among each other", nested)


def test_many_callers_of_one_plugin_do_not_deepen_it(open_zoo: Opens, storm: Storm) -> None:
    """However many calls wait below it, a call has the room that it would have alone."""
    zoo = open_zoo(patient, "asks.a", "asks.b", "sleeps", rules=RULES)
    wanted = storm.size(200, 1_000)

    async def all_at_once() -> list[nx.HookResult]:
        calls = (zoo.kernel.acall("ask_a", value=["ask_b"]) for _ in range(wanted))
        return await asyncio.gather(*calls)

    results = asyncio.run(all_at_once())
    assert [result.value for result in results] == [[["a", "b"]]] * wanted
    eventually(lambda: zoo.kernel.plugins["asks.a"].state == "ready", "the plugin is idle")
    storm.tell("calls of one plugin at once", wanted)
