"""Handlers of signals that call the kernel, at each place where one may come."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel.audit.records import CallRecord
from nxkernel.errors import CallRejected, HookFailed, NxError
from tests.process.conftest import Opens
from tests.process.test_errands import THREE, in_general, over
from tests.support.interrupts import interrupted
from tests.support.zoo import PATIENCE_S, Zoo, code_of, copies, folder, recorded


@attrs.define
class Handler:
    """Calls the kernel where it strikes, and keeps what came of that."""

    call: Callable[[], Any]
    answers: list[Any] = attrs.Factory(list)
    #: How often it was refused before anything was done, and in how many it had no turn.
    refused: int = 0
    barred: int = 0
    #: What else was raised.
    others: list[Exception] = attrs.Factory(list)

    def __call__(self) -> None:
        try:
            self.answers.append(self.call())
        except CallRejected as error:
            self.refused += error.code == "call.reentrant"
            self.others += [] if error.code == "call.reentrant" else [error]
        except HookFailed as error:
            codes = {code_of(each) for each in error.result or ()}
            self.barred += codes == {"call.reentrant"}
            self.others += [] if codes == {"call.reentrant"} else [error]


def several(data: Path) -> nx.Kernel:
    """A kernel over four of a kind."""
    return over(data / "data", *copies(data / "copies", "turns", [*THREE, "four"]))


def ended(found: list[CallRecord]) -> Counter[str]:
    """How calls have ended."""
    return Counter(row.error_code or row.status for row in found)


@pytest.mark.parametrize(
    ("hook", "usual", "whom"),
    [
        ("first", True, "one"),
        ("first", True, "four"),
        ("first", False, "one"),
        ("act", True, "one"),
    ],
)
def test_a_call_of_a_handler_is_answered_or_refused_and_changes_nothing(
    open_zoo: Opens, hook: str, usual: bool, whom: str
) -> None:
    """At each place, under each lock; of a worker that the thread itself has, as of another."""
    zoo = open_zoo(several)
    ours = getattr(zoo.kernel.options(only=set(THREE)).hook, hook)
    theirs = zoo.kernel.options(only={whom}, key="theirs").hook.first
    expected = ["x"] * 3 if hook == "act" else "x"
    handler, made, struck = Handler(lambda: theirs(value=["give", "y"])), 0, list[str]()
    assert ours(value=["give", "x"]) == expected
    assert theirs(value=["give", "y"]) == "y"

    def work() -> None:
        nonlocal made
        made += 1
        assert ours(value=["give", "x"]) == expected

    with nullcontext() if usual else in_general():
        struck += map(str, itertools.islice(interrupted(work, strike=handler), 900))
    assert set(handler.answers) == {"y"}
    assert handler.others == []
    assert handler.refused > 0
    assert (handler.barred > 0) == (whom == "one")
    found = recorded(zoo.kernel.run)
    # Who was refused has done nothing, so it has no row; every other one has its own.
    own = 1 + made
    asked = dict.fromkeys(THREE if hook == "act" else ["one"], own)
    asked[whom] = asked.get(whom, 0) + 1 + len(handler.answers) + handler.barred
    assert Counter(row.plugin for row in found) == asked
    assert ended(found) - Counter(ok=len(found)) == Counter(
        {"call.reentrant": handler.barred} if handler.barred else {}
    )
    assert {row.instance for row in found if row.status == "ok"} == {1}
    places = ("Slot.", "Spool.begin", "Spool.finish", "Deliveries.")
    for place in places if len(struck) < 900 else places[:2]:
        assert any(place in each for each in struck), place


@pytest.mark.parametrize("whom", ["turns", "plain.a"])
def test_a_handler_may_come_while_a_nested_call_is_made(open_zoo: Opens, whom: str) -> None:
    """Of who asks and of who is asked; the nested call, too, ends as it would have."""
    zoo = open_zoo(over, "turns", "plain.a")
    own = zoo.kernel.options(only={"turns"}).hook.first
    value = ["give", "y"] if whom == "turns" else "y"
    theirs = zoo.kernel.options(only={whom}).hook.first
    expected = own(value=["ask", "x"])
    handler = Handler(lambda: theirs(value=value))

    def work() -> None:
        assert own(value=["ask", "x"]) == expected

    struck = list[str]()
    for file in ("host/slot.py", "host/conversation.py"):
        struck += map(str, interrupted(work, f"nxkernel/{file}", handler))
    assert handler.answers
    assert handler.others == []
    assert handler.refused > 0
    assert set(ended(recorded(zoo.kernel.run))) <= {"ok", "call.reentrant"}
    assert any("Conversation.serve" in each for each in struck)


def test_a_handler_may_come_while_a_worker_is_started(open_zoo: Opens) -> None:
    """Its call of the same plugin has no turn, and is not what the worker is started for."""
    zoo = open_zoo(several)
    one = zoo.kernel.options(only={"one"}).hook.first
    handler, before = Handler(lambda: one(value=["give", "y"])), 0

    def work() -> None:
        assert one(value=["give", "x"]) == "x"

    def dying() -> None:
        with pytest.raises(HookFailed):
            one(value=["die"])

    for file in ("host/starting.py", "host/session.py", "host/supervisor.py"):
        strikes = interrupted(lambda: (dying(), work()), f"nxkernel/{file}", handler)
        before += sum(where is not None for where in strikes)
    assert before > 0
    assert handler.others == []
    assert handler.refused > 0
    assert handler.barred > 0
    assert set(ended(recorded(zoo.kernel.run))) <= {"ok", "plugin.crashed", "call.reentrant"}


@pytest.mark.parametrize("look", ["health", "explain", "release", "plugins"])
def test_a_handler_may_come_while_a_kernel_is_looked_at(open_zoo: Opens, look: str) -> None:
    """And may look where a call is made: both ways it is answered, or refused."""
    zoo = open_zoo(several)
    kernel = zoo.kernel
    looks: dict[str, Callable[[], Any]] = {
        "health": lambda: sorted(kernel.health()),
        "explain": lambda: kernel.explain("first").hook,
        "release": lambda: kernel.release("one"),
        "plugins": lambda: sorted(kernel.plugins),
    }
    looked, found = looks[look], looks[look]()
    calling = Handler(lambda: zoo.kernel.hook.first(value=["give", "y"]))
    looking = Handler(looked)

    def seen() -> None:
        assert looked() == found

    def work() -> None:
        assert zoo.kernel.hook.first(value=["give", "x"]) == "x"

    assert list(interrupted(seen, strike=calling))
    assert list(interrupted(work, "nxkernel/host", looking))
    assert calling.barred == looking.barred == 0
    assert calling.others == looking.others == []
    assert looking.answers == [found] * len(looking.answers)
    assert looking.refused > 0
    assert set(ended(recorded(kernel.run))) == {"ok"}


def test_an_event_loop_of_a_handler_is_refused_likewise(open_zoo: Opens) -> None:
    """What it awaits is answered, has no turn, or is refused, as what blocks."""
    zoo = open_zoo(several)
    ours, theirs = (zoo.kernel.options(only={each}) for each in ("one", "one"))
    handler = Handler(lambda: asyncio.run(theirs.acall("first", value=["give", "y"])).unwrap())

    def work() -> None:
        assert ours.hook.first(value=["give", "x"]) == "x"

    struck = list[str]()
    for file in ("host/slot.py", "host/messenger.py", "audit/spool"):
        struck += map(str, interrupted(work, f"nxkernel/{file}", handler))
    assert set(handler.answers) == {"y"}
    assert handler.others == []
    assert handler.refused > 0
    assert handler.barred > 0


def test_a_kernel_is_not_closed_in_the_middle_of_a_step(confinement: None, tmp_path: Path) -> None:
    """A handler that closes it under a lock is refused; elsewhere both it and the call end."""
    source, number = folder("turns"), itertools.count()
    kernels = list[nx.Kernel]()
    handler = Handler(lambda: kernels[-1].close())

    def work() -> None:
        kernels.append(over(tmp_path / str(next(number)), source))
        with kernels[-1] as kernel:
            refused = handler.refused
            try:
                assert kernel.hook.first(value=["give", "x"]) == "x"
            except NxError:
                assert handler.refused == refused

    assert any(list(interrupted(work, "nxkernel/kernel/deliveries.py", handler)))
    assert handler.refused > 0
    assert handler.answers
    assert handler.others == []


def test_a_handler_finds_no_kernel_while_it_is_closed(confinement: None, tmp_path: Path) -> None:
    """Its call is one that came too late, wherever the end of the kernel has come to."""
    source, number, codes = folder("turns"), itertools.count(), Counter[str]()
    kernels = list[nx.Kernel]()

    def work() -> None:
        kernels.append(over(tmp_path / str(next(number)), source))
        with kernels[-1]:
            pass

    def strike() -> None:
        with pytest.raises(NxError) as refused:
            kernels[-1].hook.first(value=["give", "y"])
        codes[refused.value.code] += 1

    assert any(list(interrupted(work, "nxkernel/kernel/endings.py", strike)))
    assert set(codes) == {"kernel.not_running"}


def test_calls_of_other_threads_keep_no_handler_waiting(open_zoo: Opens) -> None:
    """What they need to let it have the worker is none of what its own thread has in its hands."""
    zoo = open_zoo(several)
    call, over_now, made = zoo.kernel.options(only={"one"}).hook.first, threading.Event(), [0]
    handler = Handler(lambda: call(value=["give", "y"]))

    def beside() -> None:
        while not over_now.is_set():
            assert call(value=["give", "z"]) == "z"
            made[0] += 1

    def work() -> None:
        assert call(value=["give", "x"]) == "x"

    others = [threading.Thread(target=beside, daemon=True) for _ in range(2)]
    for each in others:
        each.start()
    for file in ("host/slot.py", "dispatch/drivers.py", "_system/linux.py"):
        list(interrupted(work, f"nxkernel/{file}", handler))
    over_now.set()
    for each in others:
        each.join(PATIENCE_S)
    assert not any(each.is_alive() for each in others)
    assert made[0] > 0
    assert set(handler.answers) == {"y"}
    assert handler.others == []
    assert handler.refused > 0
    assert set(ended(recorded(zoo.kernel.run))) <= {"ok", "call.reentrant"}


def test_a_zoo_is_as_it_was(open_zoo: Opens) -> None:
    """A handler that strikes where nothing is held has its answer, whoever it asks."""
    zoo: Zoo = open_zoo(several)
    handler = Handler(lambda: zoo.kernel.hook.act(value=["give", "y"]))

    def work() -> None:
        assert zoo.kernel.hook.act(value=["give", "x"]) == ["x"] * 4

    list(interrupted(work, "nxkernel/kernel/switchboard.py", handler))
    assert handler.answers == [["y"] * 4] * len(handler.answers)
    assert (handler.barred, handler.others) == (0, [])
