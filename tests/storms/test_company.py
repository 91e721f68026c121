"""Everything that a usual call can have for company, at once, and each call has its own answer."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel.audit.reader import verify
from tests.process.conftest import Opens
from tests.storms.test_interrupts import Shooter, Trigger, taking_interrupts
from tests.support.storms import ROOM_MIB, Storm, footprint, in_threads, settles
from tests.support.zoo import PATIENCE_S, SOON_S, Zoo, allow, code_of, copies, patient, recorded

THREE = ("one", "three", "two")
RULES = [*allow("asks.a", "ask_b"), *allow("asks.b", "ask_a")]
THREADS, TASKS = 3, 3
#: Room for what a first kernel loads, too.
LOADED_MIB = 2 * ROOM_MIB


@attrs.frozen
class Question:
    """A call, and what each plugin may answer: a value, or the code of its failure."""

    hook: str
    value: Any
    expected: dict[str, tuple[Any, ...]]
    timeout: float = PATIENCE_S

    def caller(self, kernel: nx.Kernel) -> nx.Caller:
        """What asks it."""
        return kernel.options(only=set(self.expected), timeout=self.timeout)

    def held(self, result: nx.HookResult) -> list[nx.Outcome]:
        """Hold *result* against what was expected, and return its outcomes."""
        found = {each.plugin: each.value if each.ok else f"!{code_of(each)}" for each in result}
        assert found.keys() == self.expected.keys()
        for plugin, answer in found.items():
            assert answer in self.expected[plugin], (self, list(result))
        return list(result)


def question(dice: random.Random) -> Question:
    """One of the things that an application may ask."""
    one, value = dice.choice(THREE), _value(dice)
    hook, kind = dice.choice(["act", "again"]), dice.randrange(13)
    if kind < 4:
        return Question(hook, ["give", value], {one: (value,)})
    if kind < 8:
        return Question(hook, ["give", value], dict.fromkeys(THREE, (value,)))
    if kind == 8:
        # Who is cancelled takes along the worker on which others stand above him.
        said = (["a", "b", "a"], "!plugin.crashed", "!plugin.raised")
        return Question("ask_a", ["ask_b", "ask_a"], {"asks.a": said})
    if kind < 11:
        way, code = dice.choice(
            [("die", "plugin.crashed"), ("raise", "plugin.raised"), ("odd", "contract.output")]
        )
        expected = {each: (f"!{code}" if each == one else value,) for each in THREE}
        return Question("act", ["for", one, [way], ["give", value]], expected)
    # On a busy machine any of them may be late.
    expected = dict.fromkeys(THREE, (value, "!plugin.timeout", "!call.expired"))
    expected[one] = ("!plugin.timeout", "!call.expired")
    return Question("act", ["for", one, ["sleep", 3600], ["give", value]], expected, SOON_S)


def _value(dice: random.Random) -> Any:
    number = dice.randrange(10**6)
    return dice.choice([number, [number, {"a": [1.5, None]}], "x" * dice.randrange(3000)])


@attrs.define
class Company:
    """Those who use one kernel at the same time."""

    zoo: Zoo
    storm: Storm
    shooter: Shooter
    trigger: Trigger
    seen: list[nx.Outcome] = attrs.Factory(list)
    counted: Counter[str] = attrs.Factory(Counter)

    def thread(self, number: int) -> None:
        """Ask one thing after the other."""
        dice = self.storm.dice(f"thread {number}")
        while not self.shooter.over.is_set():
            asked = question(dice)
            caller = asked.caller(self.zoo.kernel)
            self.seen += asked.held(caller.call(asked.hook, value=asked.value))

    def loop(self) -> None:
        """Ask from tasks, and go away from some of the calls."""

        async def tasks() -> None:
            await asyncio.gather(*map(self._task, range(TASKS)))

        asyncio.run(tasks())

    async def _task(self, number: int) -> None:
        dice = self.storm.dice(f"task {number}")
        while not self.shooter.over.is_set():
            asked = question(dice)
            call = asked.caller(self.zoo.kernel).acall(asked.hook, value=asked.value)
            made = asyncio.ensure_future(call)
            if dice.random() < 0.15:
                await asyncio.sleep(dice.uniform(0, 0.003))
                made.cancel()
                self.counted["cancelled tasks"] += 1
            with suppress(asyncio.CancelledError):
                self.seen += asked.held(await made)

    def reloads(self) -> None:
        """Put new editions beside the calls."""
        dice = self.storm.dice("reloads")
        while not self.shooter.over.wait(dice.uniform(0, 0.2)):
            self.zoo.kernel.reload(dice.choice(THREE))
            self.counted["reloads"] += 1

    def under_fire(self) -> None:
        """Ask, and be interrupted in that."""
        dice = self.storm.dice("under fire")
        while not self.shooter.over.is_set():
            asked = question(dice)
            caller = asked.caller(self.zoo.kernel)
            self.trigger.armed = True
            with suppress(KeyboardInterrupt):
                result = caller.call(asked.hook, value=asked.value)
                self.trigger.armed = False
                self.seen += asked.held(result)

    def until_over(self, job: Callable[[], None]) -> Callable[[], None]:
        """Do *job*; if that fails it is over for all."""

        def guarded() -> None:
            try:
                job()
            except BaseException:
                self.shooter.over.set()
                raise

        return guarded


def meet(company: Company) -> None:
    """Have all of them at work until the shooter has had his shots."""
    jobs = [lambda n=n: company.thread(n) for n in range(THREADS)]
    jobs += [company.loop, company.reloads, company.shooter]
    problems: list[BaseException] = []

    def others() -> None:
        try:
            in_threads(map(company.until_over, jobs))
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=others)
    thread.start()
    company.until_over(company.under_fire)()
    thread.join()
    if problems:
        raise problems[0]


# An interrupt that strikes in what the interpreter calls by itself is told of, and goes nowhere.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_each_call_has_its_own_answer_whatever_befalls_others(
    open_zoo: Opens, storm: Storm, tmp_path: Path
) -> None:
    """Threads, tasks, reloads, deaths, cancelled and interrupted callers: one end for each call."""
    before = footprint()
    folders = copies(tmp_path / "copies", "turns", THREE)
    zoo = open_zoo(patient, "asks.a", "asks.b", folders=folders, rules=RULES)
    with taking_interrupts() as trigger:
        company = Company(zoo, storm, Shooter(storm, storm.size(300, 20_000)), trigger)
        meet(company)
    assert all(map(zoo.answers, THREE))
    zoo.kernel.close()
    _held_to_the_audit(zoo.kernel.run, company.seen)
    settles(before, "nothing is left of any of them", LOADED_MIB)
    storm.tell("calls with an answer", len(company.seen))
    storm.tell("interrupts", trigger.raised)
    for what, much in sorted(company.counted.items()):
        storm.tell(what, much)


def _held_to_the_audit(run: nx.Run, seen: list[nx.Outcome]) -> None:
    """Each call has one end on record, which is what its caller was told, if he was there."""
    assert verify(run.audit_log.path).problems == ()
    rows = recorded(run)
    assert {row.status for row in rows} <= {"ok", "error"}
    ids = Counter((row.call_id, row.plugin, row.attempt) for row in rows)
    assert ids.total() == len(ids)
    known = {(row.call_id, row.plugin): row.error_code for row in rows}
    told = {(each.call_id, each.plugin): each.error and each.error.code for each in seen}
    assert len(told) == len(seen)
    assert told.items() <= known.items()
