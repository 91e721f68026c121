"""Counting calls under way."""

from __future__ import annotations

import threading

import pytest

from nxkernel.kernel.traffic import Traffic


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
