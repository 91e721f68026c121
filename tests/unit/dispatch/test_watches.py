"""How an event loop watches descriptors for a call: each once, and none that may be closed."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from nxkernel.dispatch.drivers import Bell
from nxkernel.dispatch.effects import Io
from nxkernel.dispatch.watches import LoopWatch

NEVER_S = 3600.0


class Loop(asyncio.SelectorEventLoop):
    """Counts what it is asked to watch."""

    def __init__(self) -> None:
        super().__init__()
        self.added: Counter[int] = Counter()
        self.timers = 0

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        self.added[fd] += 1
        super().add_reader(fd, callback, *args)

    def call_at(self, when: float, callback: Any, *args: Any, **options: Any) -> Any:
        self.timers += 1
        return super().call_at(when, callback, *args, **options)

    def watched(self) -> set[int]:
        """What it watches beside its own pair."""
        own = self._ssock.fileno()  # type: ignore[attr-defined]
        return set(self._selector.get_map()) - {own}  # type: ignore[attr-defined]


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    made = [os.pipe() for _ in range(4)]
    yield made
    for pair in made:
        for end in pair:
            os.close(end)


def test_what_another_wait_outlasts_is_watched_once(loop: Loop, pipes: Any) -> None:
    """Four answers, one after the other: four descriptors, and one timer for all of them."""

    async def main() -> list[set[int]]:
        watch, found = LoopWatch(loop), []
        waits = [Io(read, None, None) for read, _ in pipes]
        while waits:
            watch.quiet()
            os.write(pipes[len(found)][1], b"x")
            found.append(await watch.wait(waits, NEVER_S))
            waits = [each for each in waits if each.read not in found[-1]]
            watch.keep(waits)
        watch.close()
        return found

    assert loop.run_until_complete(main()) == [{read} for read, _ in pipes]
    assert loop.added == Counter({read: 1 for read, _ in pipes})
    assert loop.timers == 1
    assert loop.watched() == set()


def test_a_wait_that_goes_on_is_not_watched_meanwhile(loop: Loop, pipes: Any) -> None:
    """What is about to run may close the descriptor: the next wait for its number is another."""
    (one, wake), (two, _) = pipes[:2]

    async def main() -> None:
        watch = LoopWatch(loop)
        kept = Io(two, None, None)
        os.write(wake, b"x")
        assert await watch.wait([Io(one, None, None), kept], NEVER_S) == {one}
        assert loop.watched() == {two}
        watch.keep([kept])
        assert loop.watched() == {two}
        watch.keep([Io(two, None, None)])  # the number of another one
        assert loop.watched() == set()
        watch.close()

    loop.run_until_complete(main())


def test_a_ring_before_the_wait_ends_it(loop: Loop, pipes: Any) -> None:
    """None is lost that comes between the last try of a gate and the wait."""

    async def main() -> set[int]:
        watch = LoopWatch(loop)
        watch.quiet()
        watch.ring()
        found = await watch.wait([Io(pipes[0][0], None, None)], NEVER_S)
        watch.close()
        return found

    assert loop.run_until_complete(main()) == set()


def test_the_earliest_time_ends_a_wait(loop: Loop, pipes: Any) -> None:
    """Also one that came later than the timer for the others."""

    async def main() -> None:
        watch, wait = LoopWatch(loop), Io(pipes[0][0], None, None)
        os.write(pipes[1][1], b"x")
        assert await watch.wait([wait, Io(pipes[1][0], None, None)], NEVER_S)
        watch.quiet()
        assert await watch.wait([wait], 0.001) == set()
        watch.close()

    loop.run_until_complete(main())
    assert loop.timers == 2


def test_what_disturbs_it_takes_everything_away(loop: Loop, pipes: Any) -> None:
    """Its wait ends with nothing, and the loop watches nothing of it."""

    async def main() -> set[int]:
        watch = LoopWatch(loop)
        loop.call_soon(watch.disturb)
        found = await watch.wait([Io(pipes[0][0], pipes[0][1], None)], NEVER_S)
        assert loop.watched() == set()
        watch.close()
        return found

    # Its other end can be written at once, which may be seen first.
    assert loop.run_until_complete(main()) <= {pipes[0][1]}


def test_a_cancelled_wait_leaves_nothing_watched(loop: Loop, pipes: Any) -> None:
    """Once it is closed, as its driver does."""

    async def main() -> None:
        watch = LoopWatch(loop)
        task = asyncio.ensure_future(watch.wait([Io(pipes[0][0], None, None)], NEVER_S))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        watch.close()
        assert loop.watched() == set()

    loop.run_until_complete(main())


def test_the_bell_forgets_a_loop_that_is_closed() -> None:
    """A worker that is left later must not raise there, nor hold the loop."""
    gone, bell = Loop(), Bell()
    watch = LoopWatch(gone)
    bell.listen(watch.ring, "worker")
    gone.close()
    bell.ring("worker")
    held = weakref.ref(watch)
    del watch
    gc.collect()
    assert held() is None
