"""Tasks: many generators of one call, each waiting for its own thing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.dispatch.effects import Effects, Fork, Gate, Io, Offer, Signal
from nxkernel.dispatch.tasks import Tasks
from tests.support.interrupts import interrupted


def wait(*effects: Any) -> Effects[list[Any]]:
    """Wait for each effect in turn; return what each gave."""
    given = []
    for effect in effects:
        given.append((yield effect))
    return given


def stepped(root: Effects[Any]) -> Tasks:
    tasks = Tasks(root)
    tasks.step()
    return tasks


def shut() -> bool:
    return False


def test_a_generator_without_waits_ends_in_one_step() -> None:
    """What waits for nothing is done at once, with its result."""
    tasks = stepped(wait())
    assert (tasks.done, tasks.result, tasks.waits, tasks.gated) == (True, [], [], False)


def test_a_ready_descriptor_resumes_the_task_that_waits_for_it() -> None:
    """READY reaches the waits for that descriptor, to read or to write, and no other."""
    tasks = stepped(
        wait(Fork((wait(Io(3, None, None)), wait(Io(4, 5, None)), wait(Io(6, None, None)))))
    )
    tasks.ready({3, 5})
    tasks.step()
    assert [io.read for io in tasks.waits] == [6]
    tasks.ready({6})
    tasks.step()
    assert tasks.result == [[[Signal.READY]] * 3]


def test_a_deadline_ends_a_wait_and_not_its_neighbours() -> None:
    """A wait is over with DEADLINE at its own deadline, and not before."""
    tasks = stepped(wait(Fork((wait(Io(3, None, 5.0)), wait(Gate(shut, 7.0))))))
    assert tasks.deadline() == 5.0
    tasks.expire(4.9)
    assert (tasks.deadline(), len(tasks.waits)) == (5.0, 1)
    tasks.expire(5.0)
    tasks.step()
    assert tasks.deadline() == 7.0
    tasks.expire(8.0)
    tasks.step()
    assert tasks.result == [[[Signal.DEADLINE]] * 2]


def test_a_wait_without_deadline_has_none() -> None:
    """A wait that may last for ever does not make the driver wake up."""
    tasks = stepped(wait(Fork((wait(Io(3, None, None)), wait(Gate(shut))))))
    assert tasks.deadline() is None
    tasks.expire(1e300)
    assert len(tasks.waits) == 1
    assert tasks.gated


def test_an_open_gate_is_no_wait() -> None:
    """A gate whose first attempt succeeds is passed without the driver's help."""
    assert stepped(wait(Gate(lambda: True))).result == [Signal.READY]


def test_a_shut_gate_is_tried_again_until_it_opens() -> None:
    """Each retry attempts once; after success it is not attempted any more."""
    answers = [False, False, True]
    tasks = stepped(wait(Gate(lambda: answers.pop(0)), Io(3, None, None)))
    tasks.retry()
    assert tasks.gated
    tasks.retry()
    tasks.retry()
    tasks.step()
    assert answers == []
    assert [io.read for io in tasks.waits] == [3]


def test_results_of_a_fork_keep_the_order_of_its_branches() -> None:
    """Branches may end in any order; the results come in theirs."""
    tasks = stepped(wait(Fork(tuple(wait(Io(fd, None, None)) for fd in (3, 4, 5)))))
    for fd in (5, 3, 4):
        assert not tasks.done
        tasks.ready({fd})
        tasks.step()
    assert tasks.result == [[[Signal.READY]] * 3]


def test_an_empty_fork_gives_an_empty_list() -> None:
    """Nobody to wait for is no wait."""
    assert stepped(wait(Fork(()))).result == [[]]


def test_forks_may_nest() -> None:
    """A branch may fork again."""
    inner = wait(Fork((wait(), wait(Io(3, None, None)))))
    tasks = stepped(wait(Fork((inner, wait()))))
    tasks.ready({3})
    tasks.step()
    assert tasks.result == [[[[[], [Signal.READY]]], []]]


def test_cancelling_ends_every_wait_now_and_from_now_on() -> None:
    """Every wait, present and future, ends with CANCELLED; a gate is not even tried."""

    def never() -> bool:
        raise AssertionError("attempted after the cancellation")

    late = wait(Io(3, None, None), Io(4, None, None), Gate(never))
    tasks = stepped(wait(Fork((late, wait(Gate(shut))))))
    tasks.cancel()
    tasks.step()
    assert tasks.result == [[[Signal.CANCELLED] * 3, [Signal.CANCELLED]]]


def test_an_exception_in_a_branch_ends_the_call() -> None:
    """It comes out of the step in which it happened."""

    def broken() -> Effects[None]:
        yield Io(3, None, None)
        raise KeyError("bug")

    tasks = stepped(wait(Fork((broken(), wait(Io(4, None, None))))))
    tasks.ready({3})
    with pytest.raises(KeyError, match="bug"):
        tasks.step()


def closing(name: str, log: list[str], effect: Any) -> Effects[Any]:
    try:
        return (yield effect)
    finally:
        log.append(name)


def test_closing_runs_every_generators_last_steps_the_youngest_first() -> None:
    """None is left to the garbage collector, also not the one whose branch broke."""
    log: list[str] = []

    def broken() -> Effects[None]:
        yield Io(3, None, None)
        raise KeyError("bug")

    branches = (broken(), closing("left", log, Io(4, None, None)))
    tasks = stepped(closing("root", log, Fork(branches)))
    tasks.ready({3})
    with pytest.raises(KeyError):
        tasks.step()
    assert log == []
    tasks.close()
    assert log == ["left", "root"]
    tasks.close()
    assert log == ["left", "root"]


def test_a_generator_that_breaks_while_closing_does_not_save_the_others() -> None:
    """All are closed; then the exception goes on."""
    log: list[str] = []

    def stubborn() -> Effects[None]:
        try:
            yield Io(3, None, None)
        finally:
            raise OSError("on its way out")

    branches = (closing("first", log, Io(4, None, None)), stubborn())
    tasks = stepped(closing("root", log, Fork(branches)))
    with pytest.raises(OSError, match="on its way out"):
        tasks.close()
    assert log == ["first", "root"]


trees = st.recursive(st.integers(0, 3), lambda inner: st.lists(inner, max_size=4), max_leaves=12)


@given(trees, st.randoms(use_true_random=False))
def test_any_tree_of_forks_ends_whatever_the_order_of_wake_ups(tree: Any, chooser: Any) -> None:
    """Every leaf's result arrives at its place, in whatever order the descriptors get ready."""
    numbers = iter(range(100, 1000))

    def run(node: Any) -> Effects[Any]:
        if isinstance(node, list):
            return (yield Fork(tuple(run(child) for child in node)))
        for _ in range(node):
            signal = yield Io(next(numbers), None, None)
            assert signal is Signal.READY
        return node

    tasks = stepped(run(tree))
    while not tasks.done:
        tasks.ready({chooser.choice(tasks.waits).read})
        tasks.step()
    assert tasks.result == tree


def offering(count: int, got: list[Signal]) -> Effects[str]:
    """Offer numbers, and note what each offer gave."""
    for number in range(count):
        got.append((yield Offer(number)))
    return "over"


def test_an_offer_settles_the_tasks_until_it_is_answered() -> None:
    """Nothing of them runs while a consumer has the item; what he wants then is what it gives."""
    got: list[Signal] = []
    tasks = stepped(offering(2, got))
    assert (tasks.settled, tasks.done, tasks.offer) == (True, False, Offer(0))
    tasks.step()
    assert got == []
    tasks.answer(Signal.READY)
    tasks.step()
    assert tasks.offer == Offer(1)
    tasks.answer(Signal.CLOSED)
    tasks.step()
    assert (tasks.done, tasks.result, tasks.offer) == (True, "over", None)
    assert got == [Signal.READY, Signal.CLOSED]


def test_cancelling_answers_an_offer_too() -> None:
    """And every later one, at once, as shown to nobody: there is no consumer any more."""
    got: list[Signal] = []
    tasks = stepped(offering(3, got))
    tasks.cancel()
    tasks.step()
    assert (tasks.done, got) == (True, [Signal.CANCELLED, Signal.REFUSED, Signal.REFUSED])


def test_who_comes_at_any_step_takes_it_further_and_breaks_nothing() -> None:
    """A handler of a signal may run what is there to run: each wait ends once, as it would have."""
    made: list[Tasks] = []

    def branches() -> list[Effects[Any]]:
        tries = iter([False, True, True, True])
        kinds = Io(3, None, None), Io(4, None, 5.0), Gate(lambda: next(tries))
        return [wait(each, Io(7, None, None)) for each in kinds]

    def work() -> None:
        tasks = stepped(wait(Fork(tuple(branches()))))
        made.append(tasks)
        tasks.ready({3})
        tasks.expire(5.0)
        tasks.retry()
        tasks.step()
        tasks.ready({7})
        tasks.step()
        ends = [[Signal.READY] * 2, [Signal.DEADLINE, Signal.READY], [Signal.READY] * 2]
        assert (tasks.done, tasks.result) == (True, [ends])

    def strike() -> None:
        if made and not made[-1].over:
            made[-1].ready({3})
            made[-1].expire(5.0)
            made[-1].retry()
            made[-1].go_on()

    struck = list(interrupted(work, "dispatch/tasks.py", strike))
    for place in ("ready", "expire", "retry", "step", "_try"):
        assert any(f"Tasks.{place}" in str(each) for each in struck), place


def test_a_gate_that_is_barred_is_given_up() -> None:
    """Alone, and only with what it is barred by; the others are waited for."""
    asked: list[set[object]] = []

    def barred(held: Any) -> bool:
        asked.append(set(held))
        return "mine" not in held

    gates = Gate(shut, key="key", barred=barred), Gate(shut), Io(3, None, None, holds="held")
    tasks = stepped(wait(Fork(tuple(wait(each) for each in gates))))
    assert tasks.held >= {"key", "held"}
    assert not tasks.give_up({"mine"})
    assert tasks.give_up(tasks.held)
    tasks.step()
    assert asked == [{"mine"}, {"key", "held", None}]
    assert (len(tasks.waits), tasks.gated, tasks.done) == (1, True, False)
    tasks.cancel()
    tasks.step()
    assert tasks.result == [[[Signal.BARRED], [Signal.CANCELLED], [Signal.CANCELLED]]]
