"""Counting calls under way."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel.kernel.traffic import Traffic
from tests.support.interrupts import interrupted


def test_the_last_call_rings() -> None:
    """Only the last one: a closing kernel waits for nothing else."""
    rings: list[int] = []
    traffic = Traffic(lambda: rings.append(traffic.calls))
    with traffic:
        with traffic:
            assert traffic.calls == 2
        assert rings == []
    assert rings == [0]


def test_a_call_that_raises_is_over_too() -> None:
    """KernelNotRunning, for one."""
    traffic = Traffic(lambda: None)
    with pytest.raises(KeyError), traffic:
        raise KeyError
    assert traffic.calls == 0


def test_threads_are_all_counted() -> None:
    """However they interleave, none is left at the end."""
    traffic = Traffic(lambda: None)

    def work() -> None:
        for _ in range(2000):
            with traffic:
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
    with traffic:
        other = threading.Thread(target=lambda: seen.append(traffic.here))
        other.start()
        other.join()
        assert traffic.here == 1
    assert (seen, traffic.here) == ([0], 0)


def test_a_call_may_end_in_another_thread() -> None:
    """The collector ends what an event loop left where it happens to run: the sum is right."""
    rings: list[int] = []
    traffic = Traffic(lambda: rings.append(traffic.calls))
    traffic.__enter__()
    other = threading.Thread(target=lambda: traffic.__exit__(None, None, None))
    other.start()
    other.join()
    assert (traffic.calls, rings) == (0, [0])
    with traffic:
        assert traffic.calls == 1
    assert (traffic.calls, rings) == (0, [0, 0])


class _Hooks:
    @nx.HookspecMarker("demo")(firstresult=True)
    def first(self, x):
        """The first one answers."""


class _Same:
    @nx.HookimplMarker("demo")
    def first(self, x):
        return x


def test_an_interrupt_anywhere_leaves_no_call_under_way(tmp_path: Path) -> None:
    """Wherever the interpreter takes one: the thread is in no call any more, and may reload."""
    run = nx.Run.create(tmp_path, seed=1)
    kernel = nx.Kernel("demo", specs=[_Hooks], run=run, builtins={"same": _Same()}, middleware=[])
    with kernel:
        kernel.hook.first(x=1)
        traffic, struck, missed = kernel._lifetime.parts.traffic, [], 0
        for number in itertools.count(1):
            where = interrupted(lambda: kernel.hook.first(x=1), number)
            assert (traffic.calls, traffic.here) == (0, 0), where
            kernel.hook.first(x=1)  # takes away what the other has left to it
            missed += where is None
            if missed == 9:  # one that is measured has more places than the next
                break
            struck.append(where)
    assert any("Traffic.left" in str(each) for each in struck), struck[-20:]
