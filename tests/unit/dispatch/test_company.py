"""Calls that share a thread: whoever blocks it takes the others further, and no more than that."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from nxkernel._system.pollers import Waiter, waiter
from nxkernel.dispatch import company
from nxkernel.dispatch.drivers import Bell, run_async, run_blocking
from nxkernel.dispatch.effects import Effects, Fork, Gate, Io
from tests.unit.dispatch.test_drivers import CLOCK, Driver, block, drivers


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    made = os.pipe()
    yield made
    for fd in made:
        os.close(fd)


class Place:
    """Something that one call holds and another one waits for."""

    def __init__(self, bell: Bell, pipe: tuple[int, int]) -> None:
        self.bell = bell
        self.read, self.write = pipe
        #: What its holder waits by, where that is his own.
        self.waiter: Waiter | None = None
        self.free = False
        #: What has happened, in order.
        self.seen: list[str] = []

    def held(self) -> Effects[str]:
        """Hold it until something can be read."""
        yield Io(self.read, None, None, self.waiter)
        self.seen.append("held")
        self.free = True
        self.bell.ring(self)
        return os.read(self.read, 10).decode()

    def wanted(self) -> Effects[str]:
        """Wait until it is free."""
        yield Gate(lambda: self.free, key=self)
        return "had it"

    def blocking(self, bell: Bell | None = None, root: Any = None) -> Effects[str]:
        """Wait for it as code of the application does in the middle of a call."""
        os.write(self.write, b"free")
        self.seen.append("blocks")
        got: str = run_blocking(root or self.wanted(), CLOCK, bell or self.bell)
        self.seen.append("goes on")
        return got
        yield

    def idle(self) -> Effects[str]:
        """Do nothing in particular."""
        self.seen.append("idle")
        return "idle"
        yield


def forked(*branches: Effects[Any]) -> Effects[list[Any]]:
    given: list[Any] = yield Fork(branches)
    return given


@drivers
def test_one_that_blocks_takes_the_others_further(drive: Driver, pipe: tuple[int, int]) -> None:
    """What it waits for is held by another branch of the very call that it is in."""
    bell = Bell()
    place = Place(bell, pipe)
    assert drive(forked(place.held(), place.blocking()), bell) == ["free", "had it"]


@drivers
def test_what_was_not_begun_stays_so(drive: Driver, pipe: tuple[int, int]) -> None:
    """It holds nothing, and might block in its turn: many would be as many levels deep."""
    bell = Bell()
    place = Place(bell, pipe)
    drive(forked(place.held(), place.blocking(), place.idle()), bell)
    assert place.seen == ["blocks", "held", "goes on", "idle"]


@drivers
def test_many_that_block_are_not_within_each_other(drive: Driver, pipe: tuple[int, int]) -> None:
    """A thousand of them need no deeper stack than one."""
    bell = Bell()
    place = Place(bell, pipe)
    branches = [place.blocking() for _ in range(1000)]
    assert drive(forked(place.held(), *branches), bell)[1:] == ["had it"] * 1000


@drivers
def test_what_another_raises_is_not_the_business_of_the_one_that_blocks(
    drive: Driver, pipe: tuple[int, int]
) -> None:
    """It ends the call that it belongs to, once that goes on."""
    bell = Bell()
    place = Place(bell, pipe)

    def fails() -> Effects[None]:
        yield from place.held()
        raise ZeroDivisionError("of the other branch")

    with pytest.raises(ZeroDivisionError):
        drive(forked(fails(), place.blocking()), bell)
    assert place.seen == ["blocks", "held", "goes on"]


def test_interrupts_strike_where_they_strike(pipe: tuple[int, int]) -> None:
    """Ctrl-C in a call that is taken further ends both, as it ends what runs in the thread."""
    bell = Bell()
    place = Place(bell, pipe)

    def interrupted() -> Effects[None]:
        yield from place.held()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block(forked(interrupted(), place.blocking()), bell)
    assert place.seen == ["blocks", "held"]
    assert block(place.wanted(), bell) == "had it"


def test_calls_of_another_kernel_are_let_alone(pipe: tuple[int, int]) -> None:
    """They have another bell, and nothing that this one could wait for."""
    bell, other = Bell(), Bell()
    place = Place(bell, pipe)
    free = Place(other, pipe)
    free.free = True
    block(forked(place.held(), place.blocking(other, free.wanted())), bell)
    assert place.seen == ["blocks", "goes on", "held"]


@drivers
def test_whoever_is_taken_further_is_not_part_of_that_call(
    drive: Driver, pipe: tuple[int, int]
) -> None:
    """Its context is its own."""
    bell = Bell()
    place = Place(bell, pipe)
    inside: ContextVar[bool] = ContextVar("inside", default=False)
    seen = []

    def looks() -> Effects[None]:
        yield from place.held()
        seen.append(inside.get())

    def blocks() -> Effects[str]:
        inside.set(True)
        return (yield from place.blocking())

    drive(forked(looks(), blocks()), bell)
    assert seen == [False]


def test_other_tasks_of_the_loop_end_meanwhile(pipe: tuple[int, int]) -> None:
    """A call that another task awaits is over when the loop goes on, and its task hears of it."""
    bell = Bell()
    place = Place(bell, pipe)

    async def main() -> Any:
        first = asyncio.create_task(run_async(place.held(), CLOCK, bell))
        await asyncio.sleep(0)
        second = asyncio.create_task(run_async(place.blocking(), CLOCK, bell))
        return await asyncio.gather(first, second)

    assert asyncio.run(main()) == ["free", "had it"]


def test_a_number_that_is_given_again_is_watched_for_its_new_owner(pipe: tuple[int, int]) -> None:
    """What was waited for may be closed meanwhile, and its descriptor be another call's."""
    bell = Bell()
    place = Place(bell, pipe)
    mine, theirs = os.pipe()

    def closes() -> Effects[str]:
        yield Io(mine, None, None)
        os.close(mine)
        place.free = True
        bell.ring(place)
        again, other = os.pipe()
        assert again == mine
        os.write(other, b"again")
        yield Io(again, None, None)
        got = os.read(again, 10).decode()
        os.close(again)
        os.close(other)
        return got

    async def main() -> Any:
        first = asyncio.create_task(run_async(closes(), CLOCK, bell))
        await asyncio.sleep(0)
        os.write(theirs, b"x")
        second = asyncio.create_task(run_async(place.blocking(), CLOCK, bell))
        return await asyncio.gather(first, second)

    try:
        assert asyncio.run(main()) == ["again", "had it"]
    finally:
        os.close(theirs)


def held_back(action: Callable[[], Any]) -> Effects[Any]:
    """A call that does *action* when it is begun."""
    return action()
    yield


def test_two_that_block_on_top_of_each_other_both_go_on(pipe: tuple[int, int]) -> None:
    """A call that is taken further may block as well; all below it go on all the same."""
    bell = Bell()
    place = Place(bell, pipe)

    def resumed() -> Effects[str]:
        yield Io(place.read, None, None)
        return (yield from held_back(lambda: run_blocking(place.held(), CLOCK, bell)))

    assert block(forked(resumed(), place.blocking()), bell) == ["free", "had it"]


def test_an_interrupt_in_a_call_that_is_taken_further_ends_both(pipe: tuple[int, int]) -> None:
    """Its own driver hears of it too, also where whoever took it further has swallowed it."""
    bell, swallowed = Bell(), []
    place = Place(bell, pipe)

    def struck() -> Effects[None]:
        yield Io(place.read, None, None)
        raise KeyboardInterrupt

    def swallowing() -> Effects[None]:
        yield from ()
        os.write(pipe[1], b"x")
        try:
            run_blocking(place.wanted(), CLOCK, bell)
        except KeyboardInterrupt as interrupt:
            swallowed.append(interrupt)

    with pytest.raises(KeyboardInterrupt):
        block(forked(struck(), swallowing()), bell)
    assert len(swallowed) == 1


def test_nobody_is_kept_who_has_gone(pipe: tuple[int, int]) -> None:
    """Neither a call that is over, with what it returned, nor for long one that was abandoned."""
    bell = Bell()
    place = Place(bell, pipe)
    assert block(place.idle(), bell) == "idle"
    assert company._thread.members == []

    def interrupted() -> Effects[None]:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        block(interrupted(), bell)
    block(place.idle(), bell)
    assert company._thread.members == []


def here(work: Callable[[], None]) -> None:
    """Do *work* in this thread."""
    work()


def elsewhere(work: Callable[[], None]) -> None:
    """Do *work* in another one, and wait for that."""
    other = threading.Thread(target=work)
    other.start()
    other.join()


@pytest.mark.parametrize("where", [here, elsewhere])
def test_who_takes_a_call_further_leaves_its_wait_to_its_driver(
    pipe: tuple[int, int], where: Callable[[Callable[[], None]], None]
) -> None:
    """He is in it until the handler of the signal is over; the next call there has another."""
    place, main = Place(Bell(), pipe), threading.main_thread().ident
    place.waiter = waiter(place.read)
    assert main is not None
    waits, got = threading.Event(), list[str]()

    def next_one() -> None:
        os.write(place.write, b"next")
        got.append(run_blocking(place.held(), CLOCK, place.bell))

    def handler(*_: object) -> None:
        os.write(place.write, b"first")
        got.append(run_blocking(place.wanted(), CLOCK, place.bell))
        where(next_one)

    def look(_fd: int, block: Callable[[], Any]) -> Any:
        waits.set()
        return block()

    def kick() -> None:
        waits.wait()
        time.sleep(0.1)  # Until it is in there; struck before that, it says less.
        signal.pthread_kill(main, signal.SIGUSR1)

    before, kicker = signal.signal(signal.SIGUSR1, handler), threading.Thread(target=kick)
    kicker.start()
    try:
        assert run_blocking(place.held(), CLOCK, place.bell, look) == "first"
    finally:
        kicker.join()
        signal.signal(signal.SIGUSR1, before)
    assert got == ["had it", "next"]
    assert company._thread.members == []
