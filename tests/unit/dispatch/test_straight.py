"""A call that is driven by hand: the same as by tasks, and handed over from where it is."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel._system.linux import LINUX
from nxkernel._system.pollers import waiter
from nxkernel.dispatch import company
from nxkernel.dispatch.drivers import Bell, drive_blocking, run_blocking
from nxkernel.dispatch.effects import Effects, Fork, Gate, Io, Signal
from nxkernel.dispatch.tasks import Tasks
from tests.support.interrupts import interrupted
from tests.unit.dispatch.test_drivers import CLOCK

#: What a call may do, one after the other.
STEPS = ["ready", "late", "write", "open", "shut", "fork", "call", "raise"]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    made = os.pipe()
    yield made
    for fd in made:
        os.close(fd)


@attrs.define(eq=False)
class Script:
    """A call that does as told, and notes what it sees."""

    steps: list[str]
    bell: Bell
    run: Callable[[Effects[Any], Bell], Any]
    seen: list[Any] = attrs.Factory(list)

    def root(self) -> Effects[int]:
        for step in self.steps:
            self.seen.append(
                (step, (yield from getattr(self, step if step != "raise" else "ends")()))
            )
        return len(self.steps)

    def _piped(self, data: bytes, deadline: float | None, *, write: bool) -> Effects[Any]:
        read, end = os.pipe()
        try:
            os.write(end, data)
            return (yield Io(read, end if write else None, deadline))
        finally:
            os.close(read)
            os.close(end)

    def ready(self) -> Effects[Any]:
        return self._piped(b"x", None, write=False)

    def late(self) -> Effects[Any]:
        return self._piped(b"", CLOCK.monotonic(), write=False)

    def write(self) -> Effects[Any]:
        return self._piped(b"", None, write=True)

    def open(self) -> Effects[Any]:
        return (yield Gate(lambda: True, key=self))

    def shut(self) -> Effects[Any]:
        return (yield Gate(lambda: False, CLOCK.monotonic(), key=self))

    def fork(self) -> Effects[Any]:
        return (yield Fork((self.ready(), self.late())))

    def call(self) -> Effects[Any]:
        """Code of a builtin, that calls in its turn."""
        yield from ()
        inner = Script(["ready", "shut"], self.bell, self.run)
        return self.run(inner.root(), self.bell), inner.seen

    def ends(self) -> Effects[Any]:
        yield from ()
        raise ZeroDivisionError


def by_tasks(root: Effects[Any], bell: Bell) -> Any:
    tasks = Tasks(root)
    drive_blocking(tasks, CLOCK, bell)
    return tasks.result


def straight(root: Effects[Any], bell: Bell) -> Any:
    return run_blocking(root, CLOCK, bell)


@given(steps=st.lists(st.sampled_from(STEPS), max_size=6))
def test_the_same_by_hand_and_by_tasks(steps: list[str]) -> None:
    """Whatever a call waits for, and in which order: the same signals, and the same end."""
    ends: list[Any] = []
    for run in (straight, by_tasks):
        script = Script(steps, Bell(), run)
        try:
            result = run(script.root(), script.bell)
        except ZeroDivisionError:
            result = "raised"
        assert not script.bell._listeners
        ends.append((result, script.seen))
    assert ends[0] == ends[1]
    company.alone((_ for _ in ()), object()).leave()  # type: ignore[union-attr]
    assert company._thread.members == []


def test_a_closed_gate_is_waited_for(pipe: tuple[int, int]) -> None:
    """Another thread rings, and the call that has begun by hand goes on."""
    bell, tries = Bell(), iter([False, False, True])

    def root() -> Effects[Any]:
        yield Gate(lambda: True)
        return (yield Gate(lambda: next(tries), key="place"))

    class Ringing:
        """A lock's worth of luck: rings as soon as somebody listens."""

        def __call__(self, *_: Any) -> set[int]:
            bell.ring("place")
            return LINUX.poll(*_)

    bell.system = attrs.evolve(LINUX, poll=Ringing())
    assert run_blocking(root(), CLOCK, bell) is Signal.READY


def test_a_handler_of_a_signal_takes_the_call_further(pipe: tuple[int, int]) -> None:
    """It strikes while the call waits, and needs what the call holds: both come to their end."""
    bell, free, got = Bell(), [False], []
    read, write = pipe

    def held() -> Effects[str]:
        yield Io(read, None, None)
        free[0] = True
        bell.ring("place")
        return os.read(read, 10).decode()

    def wanted() -> Effects[str]:
        yield Gate(lambda: free[0], key="place")
        return "had it"

    def handler(*_: object) -> None:
        os.write(write, b"free")
        got.append(run_blocking(wanted(), CLOCK, bell))

    def poll(waits: Any, ear: int, timeout: float | None) -> set[int]:
        if not got:
            os.kill(os.getpid(), signal.SIGUSR1)
            return set()  # as after a wait that a signal has cut short
        return LINUX.poll(waits, ear, timeout)

    def polled(waits: Any, ear: int, timeout: float | None) -> set[int]:
        return poll(waits, ear, timeout) if ear < 0 and not got else LINUX.poll(waits, ear, timeout)

    bell.system = attrs.evolve(LINUX, poll=polled)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        assert run_blocking(held(), CLOCK, bell) == "free"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert got == ["had it"]
    assert company._thread.members == []


@pytest.mark.parametrize("run", [run_blocking, "tasks"])
@pytest.mark.parametrize("data", [b"", b"x"])
def test_what_waits_for_one_channel_alone_ends_a_wait_alike(
    pipe: tuple[int, int], data: bytes, run: Any
) -> None:
    """By bytes or by its deadline; who drives tasks waits by the system's ways."""
    os.write(pipe[1], data)
    deadline = CLOCK.monotonic() + (3600 if data else 0.01)

    def root() -> Effects[Signal]:
        return (yield Io(pipe[0], None, deadline, waiter(pipe[0])))

    bell = Bell()
    if run == "tasks":
        tasks = Tasks(root())
        drive_blocking(tasks, CLOCK, bell)
        found = tasks.result
    else:
        found = run(root(), CLOCK, bell)
    assert found is (Signal.READY if data else Signal.DEADLINE)
    assert data or CLOCK.monotonic() >= deadline


def test_an_interrupt_in_the_middle_of_its_own_code(pipe: tuple[int, int]) -> None:
    """Its last steps are taken before the interrupt goes on, and nothing of it stays."""
    seen: list[str] = []

    def root() -> Effects[None]:
        try:
            os.write(pipe[1], b"x")
            yield Io(pipe[0], None, None)
            raise KeyboardInterrupt
        finally:
            seen.append("left")

    bell = Bell()
    with pytest.raises(KeyboardInterrupt):
        run_blocking(root(), CLOCK, bell)
    assert seen == ["left"]
    run_blocking((_ for _ in ()), CLOCK, bell)
    assert company._thread.members == []


def test_an_interrupt_anywhere_leaves_no_call_in_its_thread() -> None:
    """Wherever the interpreter takes one: the next call finds nobody that is not there any more."""

    def root() -> Effects[str]:
        yield Gate(lambda: True)
        return "over"

    bell, struck = Bell(), []
    for where in interrupted(lambda: run_blocking(root(), CLOCK, bell)):
        assert run_blocking(root(), CLOCK, bell) == "over"
        assert company._thread.members == [], where
        struck.append(str(where))
    assert any("alone" in each for each in struck)
    assert any("run_straight" in each for each in struck)


@pytest.mark.parametrize("one_of_many", [False, True])
def test_a_wait_that_a_signal_broke_is_not_gone_on_with_for_ever(
    pipe: tuple[int, int], one_of_many: bool
) -> None:
    """The interpreter waits on for what the handler's own call has taken already."""
    bell, free, got, main = Bell(), [False], [], threading.main_thread().ident
    assert main is not None
    read, write = pipe
    waits = threading.Event()

    def held() -> Effects[str]:
        yield Io(read, None, None)
        free[0] = True
        bell.ring("place")
        return os.read(read, 10).decode()

    def wanted() -> Effects[str]:
        yield Gate(lambda: free[0], key="place")
        return "had it"

    def root() -> Effects[str]:
        if not one_of_many:
            return (yield from held())
        (answer,) = yield Fork((held(),))
        return str(answer)

    def handler(*_: object) -> None:
        os.write(write, b"free")
        got.append(run_blocking(wanted(), CLOCK, bell))

    def kick() -> None:
        waits.wait()
        signal.pthread_kill(main, signal.SIGUSR1)

    def polled(*arguments: Any) -> set[int]:
        waits.set()
        return LINUX.poll(*arguments)

    bell.system = attrs.evolve(LINUX, poll=polled)
    before, kicker = signal.signal(signal.SIGUSR1, handler), threading.Thread(target=kick)
    kicker.start()
    try:
        assert run_blocking(root(), CLOCK, bell) == "free"
    finally:
        kicker.join()
        signal.signal(signal.SIGUSR1, before)
    assert got == ["had it"]


class Door:
    """Is open, and is not to be tried again by anybody once it was passed."""

    def __init__(self) -> None:
        self.passed = False

    def __call__(self) -> bool:
        assert not self.passed
        self.passed = True
        return True


def test_who_comes_at_any_step_changes_nothing() -> None:
    """A handler's own call takes this one further or leaves it; each gate is passed once."""
    bell = Bell()

    def root(times: int) -> Effects[list[Signal]]:
        passed = []
        for _ in range(times):
            passed.append((yield Gate(Door())))
        if times > 1:
            for each in (yield Fork((root(1), root(1)))):
                passed += each
        return passed

    def work() -> None:
        assert run_blocking(root(2), CLOCK, bell) == [Signal.READY] * 4

    def strike() -> None:
        assert run_blocking(root(1), CLOCK, bell) == [Signal.READY]

    struck = list(interrupted(work, "nxkernel/dispatch", strike))
    for place in ("run_straight", "_opens", "Alone.tasks", "drive_blocking", "Tasks.step"):
        assert any(place in str(each) for each in struck), place
