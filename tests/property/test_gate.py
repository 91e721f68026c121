"""The gate in front of a worker: what may come on top of what, and that everybody gets through.

First the slot alone, as a state machine against its invariants; then random call trees over several
slots, driven by ``Tasks`` in every interleaving that hypothesis thinks of; then real threads.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nxkernel._clock import SystemClock
from nxkernel.dispatch.drivers import Bell, run_blocking
from nxkernel.dispatch.effects import Effects, Fork, Gate, Io, Signal
from nxkernel.dispatch.tasks import Tasks
from nxkernel.host.frame import Frame
from nxkernel.host.slot import CROWD, Slot

# -- one slot, one step at a time --------------------------------------------------------------


class SlotMachine(RuleBasedStateMachine):
    """Random steps of random frames, each of which a session could make.

    The model knows the frames by what they wait for; the slot is asked again only after it rang,
    as a driver does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rings = 0
        #: Who has been rung for since everybody was still.
        self.rung: set[object] = set()
        self.slot = Slot(threading.Lock(), self._ring)
        self.worker: Any = SimpleNamespace(generation=1)
        self.slot.worker = self.worker
        self.occupied = False
        self.slot.watch = self._watch
        self.number = 0
        #: Waiting to enter, in the order of their first attempt.
        self.waiting: list[Frame] = []
        #: Entered, the oldest first.
        self.stack: list[Frame] = []
        #: On the stack and waiting for their reply, and those whose reply has come.
        self.brokering: list[Frame] = []
        self.replied: list[Frame] = []

    def _ring(self, *keys: object) -> None:
        self.rings += 1
        self.rung |= set(keys)

    def _watch(self, occupied: bool) -> None:
        assert occupied != self.occupied, "told twice"
        self.occupied = occupied

    def _settle(self) -> None:
        """Let every frame at a gate try again until nobody gets on."""
        while self.rings:
            self.rings, rung = 0, self.rung
            self.rung = set()
            # Newcomers first: they must not slip in before a frame whose reply is ready.
            for frame in list(self.waiting):
                if (frame in rung or frame.historic) and self.slot.enter(frame):
                    self._entered(frame)
            for frame in list(self.replied):
                if frame in rung and self.slot.resume(frame):
                    self._resumed(frame)

    def _entered(self, frame: Frame) -> None:
        assert frame.historic or frame is self._next(), "entered out of turn"
        if self.stack:
            top = self.stack[-1]
            assert top in self.brokering, "came on top of a frame that runs or may run"
            assert frame.historic or not top.starting, "came before the worker's history"
        self.waiting.remove(frame)
        self.stack.append(frame)

    def _next(self) -> Frame | None:
        """Who may come first, of those that may come at all."""
        crowded = len(self.stack) >= CROWD or bool(self.replied)
        may = [f for f in self.waiting if not f.historic and (f.nested or not crowded)]
        return may[0] if may else None

    def _resumed(self, frame: Frame) -> None:
        assert frame.lost_by is not None or self.stack[-1] is frame, "resumed below the top"
        self.replied.remove(frame)

    def _running(self) -> Frame | None:
        top = self.stack[-1] if self.stack else None
        return None if top in self.brokering or top in self.replied else top

    # -- what sessions do ------------------------------------------------------------------------

    @rule(historic=st.booleans(), nested=st.booleans())
    def arrive(self, historic: bool, nested: bool) -> None:
        """A call comes; a historic one only while the worker is being started."""
        starting = bool(self.stack) and self.stack[-1].starting
        self.number += 1
        historic = historic and starting
        frame = Frame(str(self.number), 0.0, historic=historic, nested=nested and not historic)
        self.waiting.append(frame)
        if self.slot.enter(frame):
            self._entered(frame)

    @precondition(lambda self: self._running() is not None)
    @rule(starting=st.booleans())
    def broker(self, starting: bool) -> None:
        """The running call waits for a reply, or for the history of a new worker."""
        frame = self._running()
        assert frame is not None
        frame.starting = starting and len(self.stack) == 1
        self.brokering.append(frame)
        self.slot.suspend(frame)
        self._settle()

    @precondition(lambda self: self.brokering)
    @rule(data=st.data())
    def reply(self, data: st.DataObject) -> None:
        """The reply for a suspended call is there."""
        frame = data.draw(st.sampled_from(self.brokering))
        self.brokering.remove(frame)
        self.replied.append(frame)
        if self.slot.resume(frame):
            self._resumed(frame)
            frame.starting = False
        self._settle()

    @precondition(lambda self: self._running() is not None)
    @rule()
    def finish(self) -> None:
        """The running call is answered."""
        frame = self.stack.pop()
        self.slot.leave(frame)
        self._settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def go_away(self, data: st.DataObject) -> None:
        """A caller does not want to wait any longer."""
        frame = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(frame)
        self.slot.leave(frame)
        self._settle()

    @precondition(lambda self: self.stack)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """The worker is lost; then the lost sessions leave, and the next call brings a new one."""
        by = data.draw(st.sampled_from(self.stack))
        lost, worker, talking = list(self.stack), self.worker, self._running()
        ended: list[Any] = []
        self.slot.lose(worker, by, ended.append)
        assert self.rings, "nobody was told"
        assert self.slot.worker is None
        assert {frame.lost_by for frame in lost} == {by.call_id}, "somebody was not lost with it"
        self.stack.clear()
        self.worker = self.slot.worker = SimpleNamespace(generation=self.worker.generation + 1)
        self._newcomer()
        # Everybody else may find out by himself.
        for frame in lost:
            self.slot.lose(worker, frame, ended.append)
        heirs = [frame for frame in lost if frame.buries is worker]
        assert heirs == [talking or by], "a worker is buried by one, who talks to it if any does"
        assert ended == [worker], "a worker is ended once"
        for frame in lost:
            assert self.slot.resume(frame), "a lost frame has to wait"
            self.slot.leave(frame)
        self.brokering.clear()
        self.replied.clear()
        assert self.slot.worker is self.worker, "the loss of an old worker took the new one"
        self._settle()

    def _newcomer(self) -> None:
        """A call that finds an idle worker need not wait for the lost ones to leave."""
        frame = Frame("newcomer", 0.0)
        assert self.slot.enter(frame) or self.waiting
        self.slot.leave(frame)

    # -- what always holds -----------------------------------------------------------------------

    @invariant()
    def the_stack_is_the_models(self) -> None:
        """Last in, first out; nobody is on it whom the model does not know."""
        assert self.slot._stack == self.stack

    @invariant()
    def only_the_top_runs(self) -> None:
        """At most one frame runs, and it is on top."""
        running = [frame for frame in self.stack if frame.running]
        assert running == ([self._running()] if self._running() else [])

    @invariant()
    def an_open_gate_keeps_nobody_waiting(self) -> None:
        """Whoever is next has entered unless something on top keeps it out."""
        if self.stack and self.stack[-1] in self.replied:
            raise AssertionError("a frame on top whose reply is ready does not run")
        if self._next() is not None:
            top = self.stack[-1] if self.stack else None
            assert top is not None, "the worker is idle"
            assert self._running() is top or top.starting

    @invariant()
    def somebody_knows_whether_it_is_in_use(self) -> None:
        """The supervisor hears when the slot is in use and when it is not any more."""
        assert self.occupied == bool(self.stack)


SlotMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestSlot = SlotMachine.TestCase


# -- call trees over several slots -------------------------------------------------------------


@attrs.frozen
class Node:
    """A call to one slot, and the rounds of calls that it brokers, each sent to all at once."""

    slot: int
    rounds: tuple[tuple[Node, ...], ...] = ()
    #: The worker ends in the middle of this call.
    dies: bool = False

    def size(self) -> int:
        return 1 + sum(node.size() for round_ in self.rounds for node in round_)


@attrs.define
class World:
    """Slots whose workers do nothing but take turns."""

    slots: list[Slot]
    numbers: Iterator[int] = attrs.Factory(lambda: iter(range(10**9)))
    #: The frame that uses each worker right now.
    using: dict[int, Frame] = attrs.Factory(dict)
    answered: int = 0

    def call(self, node: Node, *, nested: bool = False) -> Effects[str]:
        """What a transport does for a call, without a worker."""
        slot = self.slots[node.slot]
        frame = Frame(str(next(self.numbers)), 0.0, nested=nested)
        signal = yield Gate(lambda: slot.enter(frame), key=frame)
        try:
            if signal is Signal.CANCELLED:
                return "cancelled"
            return (yield from self._inside(node, slot, frame))
        finally:
            slot.leave(frame)

    def _inside(self, node: Node, slot: Slot, frame: Frame) -> Effects[str]:
        if slot.worker is None:
            slot.worker = SimpleNamespace(generation=next(self.numbers))  # type: ignore[assignment]
        worker = slot.worker
        for round_ in node.rounds:
            yield from self._work(node, frame)
            slot.suspend(frame)
            yield Fork(tuple(self.call(child, nested=True) for child in round_))
            signal = yield Gate(lambda: slot.resume(frame), key=frame)
            if frame.lost_by is not None:
                return "lost"
            if signal is Signal.CANCELLED:
                slot.lose(worker, frame, lambda _: None)
                return "cancelled"
        yield from self._work(node, frame)
        if node.dies:
            slot.lose(worker, frame, lambda _: None)
            return "died"
        self.answered += 1
        return "answered"

    def _work(self, node: Node, frame: Frame) -> Effects[None]:
        """Use the worker for a while, alone."""
        assert node.slot not in self.using, "two calls use one worker"
        self.using[node.slot] = frame
        yield Io(next(self.numbers), None, None)
        assert self.using.pop(node.slot) is frame


@attrs.define
class Thread:
    """A simulated thread: tries its gates when it begins to wait and when it was rung."""

    tasks: Tasks
    rung: bool = True

    def turn(self) -> None:
        self.tasks.step()
        while self.rung and not self.tasks.done:
            self.rung = False
            self.tasks.retry()
            self.tasks.step()

    @property
    def can_go_on(self) -> bool:
        return not self.tasks.done and (self.rung or bool(self.tasks.waits))


def play(trees: list[Node], slots: int, chooser: random.Random) -> list[str]:
    """Interleave the calls; return what each tree's root gave."""
    threads: list[Thread] = []

    def ring(*keys: object) -> None:
        for thread in threads:
            thread.rung |= bool(thread.tasks.keys & set(keys))

    lock = threading.Lock()
    world = World([Slot(lock, ring) for _ in range(slots)])
    threads += [Thread(Tasks(world.call(tree))) for tree in trees]
    for thread in chooser.sample(threads, len(threads)):
        thread.turn()
    while going := [thread for thread in threads if thread.can_go_on]:
        thread = chooser.choice(going)
        if thread.tasks.waits and chooser.random() < 0.8:
            thread.tasks.ready({chooser.choice(thread.tasks.waits).read})
        thread.turn()
    assert all(thread.tasks.done for thread in threads), "deadlock"
    assert not any(slot._stack or slot._queue for slot in world.slots), "somebody was left behind"
    return [thread.tasks.result for thread in threads]


def trees(slots: int, *, dying: bool) -> st.SearchStrategy[Node]:
    """Call trees of any shape, back to the same slot too."""
    dies = st.sampled_from([False] * 5 + [True]) if dying else st.just(False)
    leaf = st.builds(Node, st.integers(0, slots - 1), dies=dies)
    return st.recursive(
        leaf,
        lambda inner: st.builds(
            Node,
            st.integers(0, slots - 1),
            st.lists(st.lists(inner, max_size=2).map(tuple), max_size=2).map(tuple),
            dies=dies,
        ),
        max_leaves=6,
    )


@settings(max_examples=300)
@given(st.lists(trees(2, dying=False), min_size=1, max_size=5), st.integers(0, 2**32))
def test_no_random_call_trees_deadlock(calls: list[Node], seed: int) -> None:
    """Plugins that call each other in circles, from many threads, all get their answers."""
    assert play(calls, 2, random.Random(seed)) == ["answered"] * len(calls)


@settings(max_examples=300)
@given(st.lists(trees(3, dying=True), min_size=1, max_size=4), st.integers(0, 2**32))
def test_a_dying_worker_leaves_nobody_waiting(calls: list[Node], seed: int) -> None:
    """Whatever dies at whatever moment: every call ends, and no frame stays behind."""
    for result in play(calls, 3, random.Random(seed)):
        assert result in ("answered", "died", "lost")


def test_the_deadlock_of_owning_a_worker_does_not_happen() -> None:
    """A calls B while B calls A: each gets on top of the other's waiting call."""
    pair = [Node(0, ((Node(1),),)), Node(1, ((Node(0),),))]
    for seed in range(50):
        assert play(pair, 2, random.Random(seed)) == ["answered", "answered"]


@given(st.integers(2, 8))
def test_waiting_calls_are_served_in_the_order_they_came(count: int) -> None:
    """First come, first served, also when the bell wakes them in another order."""
    slot = Slot(threading.Lock(), lambda *_: None)
    frames = [Frame(str(number), 0.0) for number in range(count)]
    assert [slot.enter(frame) for frame in frames] == [True] + [False] * (count - 1)
    waiting = deque(frames[1:])
    slot.leave(frames[0])
    while waiting:
        entered = [frame for frame in reversed(waiting) if slot.enter(frame)]
        assert entered == [waiting.popleft()]
        slot.leave(entered[0])


# -- real threads --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_real_threads_get_through(seed: int) -> None:
    """Eight threads, three slots, random trees: every call ends with an answer."""
    bell, clock, lock = Bell(), SystemClock(), threading.Lock()
    slots = [Slot(lock, bell.ring) for _ in range(3)]
    results: list[str] = []

    def call(node: Node, *, nested: bool = False) -> Effects[str]:
        slot, frame = slots[node.slot], Frame("c", 0.0, nested=nested)
        yield Gate(lambda: slot.enter(frame), key=frame)
        try:
            for round_ in node.rounds:
                slot.suspend(frame)
                yield Fork(tuple(call(child, nested=True) for child in round_))
                yield Gate(lambda: slot.resume(frame), key=frame)
            return "answered"
        finally:
            slot.leave(frame)

    def grow(chooser: random.Random, depth: int) -> Node:
        width = chooser.choice((0, 1, 1, 2)) if depth else 0
        rounds = tuple((grow(chooser, depth - 1),) for _ in range(width))
        return Node(chooser.randrange(3), rounds)

    def work(number: int) -> None:
        chooser = random.Random(f"{seed} {number}")
        for _ in range(60):
            results.append(run_blocking(call(grow(chooser, 4)), clock, bell))

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    assert results == ["answered"] * 480
    assert not any(slot._stack or slot._queue for slot in slots)
