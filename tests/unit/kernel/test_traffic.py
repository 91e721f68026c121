"""Counting calls under way."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.kernel.traffic import Traffic
from tests.support.interrupts import interrupted


@contextmanager
def a_call(traffic: Traffic) -> Iterator[None]:
    """A call that blocks this thread."""
    own = traffic.enter()
    try:
        yield
    finally:
        traffic.threads[own] -= 1
        traffic.left(own)


def test_the_last_call_rings() -> None:
    """Only the last one: a closing kernel waits for nothing else."""
    rings: list[int] = []
    traffic = Traffic(lambda: rings.append(traffic.calls))
    with a_call(traffic):
        with a_call(traffic):
            assert traffic.calls == 2
        assert rings == []
    assert rings == [0]


def test_a_call_that_raises_is_over_too() -> None:
    """KernelNotRunning, for one."""
    traffic = Traffic(lambda: None)
    with pytest.raises(KeyError), a_call(traffic):
        raise KeyError
    assert traffic.calls == 0


def test_threads_are_all_counted() -> None:
    """However they interleave, none is left at the end."""
    traffic = Traffic(lambda: None)

    def work() -> None:
        for _ in range(2000):
            with a_call(traffic):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert traffic.calls == 0


def test_a_thread_knows_its_own_calls() -> None:
    """Those of others are not in its way."""
    traffic = Traffic(lambda: None)
    seen: list[int] = []
    with a_call(traffic):
        other = threading.Thread(target=lambda: seen.append(traffic.here))
        other.start()
        other.join()
        assert traffic.here == 1
    assert (seen, traffic.here) == ([0], 0)


def test_a_call_may_end_in_another_thread() -> None:
    """The collector ends what an event loop left where it happens to run: the sum is right."""
    rings: list[int] = []
    traffic = Traffic(lambda: rings.append(traffic.calls))
    own = traffic.enter_apart()
    assert (traffic.calls, traffic.here) == (1, 1)
    seen: list[int] = []

    def leave() -> None:
        seen.append(traffic.here)
        traffic.threads.pop(own, None)
        traffic.left(own)
        seen.append(traffic.here)

    other = threading.Thread(target=leave)
    other.start()
    other.join()
    assert (traffic.calls, rings) == (0, [0])
    assert (traffic.here, seen) == (0, [0, 0])
    with a_call(traffic):
        assert traffic.calls == 1
    assert (traffic.calls, rings) == (0, [0, 0])


class _Hooks:
    @nx.HookspecMarker("demo")(firstresult=True)
    def first(self, x):
        """The first one answers."""

    @nx.HookspecMarker("demo")(historic=True)
    def told(self, x):
        """It is kept in mind."""

    @nx.HookspecMarker("demo")(firstresult=True, stream=True)
    def flow(self, x):
        """One item after the other."""


class _Same:
    @nx.HookimplMarker("demo")
    def first(self, x):
        return x

    @nx.HookimplMarker("demo")
    def told(self, x):
        return x

    @nx.HookimplMarker("demo")
    def flow(self, x):
        yield from range(x)


def _blocking(kernel: nx.Kernel) -> None:
    kernel.hook.first(x=1)


def _historic(kernel: nx.Kernel) -> None:
    kernel.hook.told.call_historic(kwargs={"x": 1})


def _streaming(kernel: nx.Kernel) -> None:
    assert list(kernel.call("flow", x=1).value) == [0]


def _awaited(kernel: nx.Kernel) -> None:
    asyncio.run(kernel.acall("first", x=1))


def _awaited_stream(kernel: nx.Kernel) -> None:
    async def main() -> list[Any]:
        return [item async for item in (await kernel.acall("flow", x=1)).value]

    assert asyncio.run(main()) == [0]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("make", [_blocking, _historic, _streaming, _awaited, _awaited_stream])
def test_an_interrupt_anywhere_leaves_no_call_under_way(
    tmp_path: Path, make: Callable[[nx.Kernel], None]
) -> None:
    """Wherever the interpreter takes one: the thread is in no call any more, and may reload."""
    run = nx.Run.create(tmp_path, seed=1)
    kernel = nx.Kernel("demo", specs=[_Hooks], run=run, builtins={"same": _Same()}, middleware=[])
    with kernel:
        make(kernel)
        traffic, struck = kernel._lifetime.parts.traffic, []
        for where in interrupted(lambda: make(kernel)):
            if traffic.calls:  # the loop's task is a cycle, with the call in it
                gc.collect()
            assert (traffic.calls, traffic.here) == (0, 0), where
            kernel.hook.first(x=1)  # takes away what the other has left to it
            struck.append(str(where))
    assert any("Traffic.left" in each for each in struck), struck[-20:]


def test_calls_that_the_collector_ends_anywhere_leave_the_threads_counts_alone() -> None:
    """One that blocks a thread is seen there, also while the collector ends another in it."""
    traffic = Traffic(lambda: None)
    apart: list[Any] = []
    loop = threading.Thread(target=lambda: apart.append(traffic.enter_apart()))
    loop.start()
    loop.join()
    with a_call(traffic):
        traffic.threads.pop(apart[0], None)
        traffic.left(apart[0])
        assert (traffic.calls, traffic.here) == (1, 1)
    assert (traffic.calls, traffic.here) == (0, 0)
