"""Drivers: the two ways to wait give the same, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from nxkernel import _system
from nxkernel._clock import SystemClock
from nxkernel._system import BSD, WINDOWS
from nxkernel._system.linux import LINUX
from nxkernel.dispatch.drivers import Bell, run_async, run_blocking
from nxkernel.dispatch.effects import Effects, Fork, Gate, Io, Signal
from tests.support.descriptors import open_files

Driver = Callable[[Effects[Any], Bell], Any]
CLOCK = SystemClock()


def block(root: Effects[Any], bell: Bell) -> Any:
    return run_blocking(root, CLOCK, bell)


def awaiting(root: Effects[Any], bell: Bell) -> Any:
    return asyncio.run(run_async(root, CLOCK, bell))


class _NoReaders(asyncio.SelectorEventLoop):
    """An event loop that cannot watch descriptors, as Windows' own cannot."""

    add_reader = asyncio.AbstractEventLoop.add_reader


def awaiting_a_thread(root: Effects[Any], bell: Bell) -> Any:
    with asyncio.Runner(loop_factory=_NoReaders) as runner:
        return runner.run(run_async(root, CLOCK, bell))


drivers = pytest.mark.parametrize("drive", [block, awaiting, awaiting_a_thread])


@pytest.fixture(params=[LINUX, BSD, WINDOWS], ids=lambda system: system.name, autouse=True)
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with what each operating system waits and wakes with."""
    monkeypatch.setattr(_system, "current", lambda: request.param)


@attrs.define
class Pipe:
    """A pipe that is closed at the end of the test."""

    read: int
    write: int


@pytest.fixture
def pipes() -> Iterator[list[Pipe]]:
    """Three pipes that do not block."""
    made = [Pipe(*os.pipe()) for _ in range(3)]
    for pipe in made:
        os.set_blocking(pipe.read, False)
        os.set_blocking(pipe.write, False)
    yield made
    for pipe in made:
        os.close(pipe.read)
        os.close(pipe.write)


def reading(pipe: Pipe, deadline: float | None = None) -> Effects[Any]:
    signal = yield Io(pipe.read, None, deadline)
    return os.read(pipe.read, 100) if signal is Signal.READY else signal


@drivers
def test_a_call_without_waits_returns_its_result(drive: Driver) -> None:
    """Nothing to wait for needs no descriptor."""

    def root() -> Effects[str]:
        return "done"
        yield

    assert drive(root(), Bell()) == "done"


@drivers
def test_waits_for_several_pipes_end_as_each_gets_ready(drive: Driver, pipes: list[Pipe]) -> None:
    """What wakes one branch lets it wake the next, whatever their order."""

    def relay(index: int) -> Effects[bytes]:
        data = yield from reading(pipes[index])
        if index:
            os.write(pipes[index - 1].write, data + bytes([48 + index]))
        return data

    def root() -> Effects[Any]:
        os.write(pipes[2].write, b"x")
        return (yield Fork(tuple(relay(index) for index in range(3))))

    assert drive(root(), Bell()) == [b"x21", b"x2", b"x"]


@drivers
def test_a_descriptor_with_bytes_left_to_write_is_waited_for(
    drive: Driver, pipes: list[Pipe]
) -> None:
    """A wait for one pipe to read and another to write ends when either can."""
    full, quiet = pipes[0], pipes[1]
    size = os.write(full.write, bytes(1 << 20))

    def drain() -> Effects[None]:
        yield Io(full.read, None, None)
        while size > sum(taken):
            taken.append(len(os.read(full.read, 1 << 20)))

    def write() -> Effects[Any]:
        return (yield Io(quiet.read, full.write, None))

    taken: list[int] = []

    def root() -> Effects[Any]:
        return (yield Fork((write(), drain())))

    assert drive(root(), Bell()) == [Signal.READY, None]


@drivers
def test_a_passed_deadline_ends_a_wait(drive: Driver, pipes: list[Pipe]) -> None:
    """A wait never outlasts its deadline, even one that had passed when it began."""
    assert drive(reading(pipes[0], CLOCK.monotonic() - 1), Bell()) is Signal.DEADLINE
    deadline = CLOCK.monotonic() + 0.01
    assert drive(reading(pipes[0], deadline), Bell()) is Signal.DEADLINE
    assert CLOCK.monotonic() >= deadline


@drivers
@pytest.mark.parametrize("far", [1e12, float("inf")])
def test_a_deadline_beyond_every_timer_is_no_error(
    drive: Driver, pipes: list[Pipe], far: float
) -> None:
    """A timeout in years, or without end, waits like any other."""
    thread = threading.Timer(0.02, os.write, (pipes[0].write, b"late"))
    thread.start()
    assert drive(reading(pipes[0], CLOCK.monotonic() + far), Bell()) == b"late"
    thread.join()


@drivers
def test_the_bell_makes_a_driver_try_its_gates(drive: Driver) -> None:
    """Another thread opens the gate and rings; nobody polls."""
    bell, gate = Bell(), threading.Event()
    tried = threading.Event()

    def attempt() -> bool:
        tried.set()
        return gate.is_set()

    def ringer() -> None:
        tried.wait()
        gate.set()
        bell.ring()

    def root() -> Effects[Any]:
        return (yield Gate(attempt))

    thread = threading.Thread(target=ringer)
    thread.start()
    assert drive(root(), bell) is Signal.READY
    thread.join()


@drivers
def test_a_ring_between_the_attempt_and_the_wait_is_not_lost(drive: Driver) -> None:
    """The gate opens, and the bell rings, inside the first attempt that failed."""
    bell = Bell()
    state = {"open": False}

    def attempt() -> bool:
        was, state["open"] = state["open"], True
        bell.ring()
        return was

    def root() -> Effects[Any]:
        return (yield Gate(attempt))

    assert drive(root(), bell) is Signal.READY


@drivers
def test_a_ring_from_inside_the_same_call_wakes_its_own_gates(drive: Driver) -> None:
    """One branch may open the gate at which another one waits."""
    bell = Bell()
    state = {"open": False}

    def waiter() -> Effects[Any]:
        return (yield Gate(lambda: state["open"]))

    def opener(pipe_end: float) -> Effects[None]:
        yield Gate(lambda: False, pipe_end)
        state["open"] = True
        bell.ring()

    def root() -> Effects[Any]:
        return (yield Fork((waiter(), opener(CLOCK.monotonic() + 0.01))))

    assert drive(root(), bell) == [Signal.READY, None]


@drivers
def test_an_exception_in_a_branch_cancels_the_others_and_goes_on(
    drive: Driver, pipes: list[Pipe]
) -> None:
    """The other branches see CANCELLED before the exception reaches the caller."""
    seen: list[Any] = []

    def other() -> Effects[None]:
        seen.append((yield Io(pipes[0].read, None, None)))

    def broken() -> Effects[None]:
        yield Gate(lambda: True)
        raise ZeroDivisionError

    def root() -> Effects[Any]:
        return (yield Fork((other(), broken())))

    with pytest.raises(ZeroDivisionError):
        drive(root(), Bell())
    assert seen == [Signal.CANCELLED]


def test_an_interrupt_while_waiting_cancels_the_call(
    pipes: list[Pipe],
) -> None:
    """KeyboardInterrupt in the waiting thread reaches the branches as CANCELLED, then goes on."""
    seen: list[Any] = []

    def root() -> Effects[None]:
        seen.append((yield Io(pipes[0].read, None, None)))

    def interrupted(*_: Any) -> set[int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block(root(), Bell(attrs.evolve(LINUX, poll=interrupted)))
    assert seen == [Signal.CANCELLED]


def test_cancelling_the_awaiting_task_cancels_the_call(pipes: list[Pipe]) -> None:
    """The branches see CANCELLED; the task ends as cancelled."""
    seen: list[Any] = []

    def root() -> Effects[None]:
        seen.append((yield Io(pipes[0].read, None, None)))

    async def main() -> None:
        task = asyncio.ensure_future(run_async(root(), CLOCK, Bell()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == [Signal.CANCELLED]


def test_a_cancellation_at_the_moment_of_the_answer_is_not_swallowed(pipes: list[Pipe]) -> None:
    """Either the call is over or it is cancelled: a task is never left waiting."""

    def root() -> Effects[Any]:
        yield Io(pipes[0].read, None, None)
        return (yield Io(pipes[1].read, None, None))

    async def main() -> None:
        task = asyncio.ensure_future(run_async(root(), CLOCK, Bell()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        os.write(pipes[0].write, b"x")
        asyncio.get_running_loop().call_soon(task.cancel)
        # In the round in which the reader fires, the cancellation arrives as well.
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)

    asyncio.run(main())


def test_many_awaited_calls_share_one_loop(pipes: list[Pipe]) -> None:
    """The loop stays free: what one call waits for, another one of the same loop may bring."""

    def writing(pipe: Pipe) -> Effects[int]:
        return os.write(pipe.write, b"from here")
        yield

    async def main() -> list[Any]:
        bell = Bell()
        calls = [reading(pipes[0]), reading(pipes[1]), writing(pipes[1]), writing(pipes[0])]
        return await asyncio.gather(*(run_async(call, CLOCK, bell) for call in calls))

    assert asyncio.run(main()) == [b"from here", b"from here", 9, 9]


@drivers
def test_drivers_close_what_they_opened(drive: Driver, pipes: list[Pipe]) -> None:
    """After calls that ended well, at a gate, at a deadline or badly, no descriptor is left."""

    def broken() -> Effects[None]:
        yield Gate(lambda: False, CLOCK.monotonic())
        raise ZeroDivisionError

    drive(reading(pipes[0], CLOCK.monotonic()), Bell())
    before = open_files()
    bell = Bell()
    for _ in range(20):
        drive(reading(pipes[0], CLOCK.monotonic()), bell)
        with pytest.raises(ZeroDivisionError):
            drive(broken(), bell)
    assert open_files() == before
    assert not bell._listeners


def test_the_bell_rings_everybody_and_nobody_who_left() -> None:
    """Each listener is called once a ring, until it leaves."""
    bell, heard = Bell(), []

    def first() -> None:
        heard.append(1)

    bell.listen(first)
    bell.listen(lambda: heard.append(2))
    bell.ring()
    bell.leave(first)
    bell.leave(first)
    bell.ring()
    assert heard == [1, 2, 2]


def test_a_listener_that_breaks_costs_the_others_nothing() -> None:
    """The ringing thread does not hear of it, and it is not called again."""
    bell, heard = Bell(), []

    def broken() -> None:
        heard.append("broken")
        raise ValueError

    bell.listen(broken)
    bell.listen(lambda: heard.append("other"))
    bell.ring()
    bell.ring()
    assert heard == ["broken", "other", "other"]


def test_nobody_is_rung_after_leaving() -> None:
    """leave() waits for a ring under way: afterwards the listener's descriptor may be closed."""
    bell = Bell()
    inside, go_on, left = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        inside.set()
        go_on.wait()

    bell.listen(slow)
    ringer = threading.Thread(target=bell.ring)
    ringer.start()
    inside.wait()

    def leave() -> None:
        bell.leave(slow)
        left.set()

    leaver = threading.Thread(target=leave)
    leaver.start()
    assert not left.wait(0.05)
    go_on.set()
    ringer.join()
    leaver.join()
    assert left.is_set()
