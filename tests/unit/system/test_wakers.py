"""Wakers: readable from a wake to the next drain, on every system."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from nxkernel._system import BSD, WINDOWS, System, Waker
from nxkernel._system.linux import LINUX
from tests.support.descriptors import open_files

SYSTEMS = [LINUX, BSD, WINDOWS]


@pytest.fixture(params=SYSTEMS, ids=lambda system: system.name)
def waker(request: pytest.FixtureRequest) -> Iterator[Waker]:
    made = request.param.waker()
    made.open()
    yield made
    made.close()


def is_awake(waker: Waker) -> bool:
    return waker.fd in LINUX.poll((), waker.fd, 0)


def test_it_is_awake_from_a_wake_to_the_next_drain(waker: Waker) -> None:
    """However often it was woken, one drain makes it quiet."""
    assert not is_awake(waker)
    for _ in range(3):
        waker.wake()
    assert is_awake(waker)
    waker.drain()
    assert not is_awake(waker)


def test_a_drain_of_a_quiet_one_does_not_wait(waker: Waker) -> None:
    """Two that were woken together may both drain."""
    waker.drain()
    assert not is_awake(waker)


def test_a_hundred_thousand_wakes_do_not_wait(waker: Waker) -> None:
    """Nobody may be listening: a bell must ring all the same, and one drain is enough."""
    for _ in range(100_000):
        waker.wake()
    waker.drain()
    assert not is_awake(waker)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_close_gives_back_what_it_holds(system: System) -> None:
    """A waker is made for every call that waits at a gate."""
    before = open_files()
    waker = system.waker()
    waker.open()
    waker.close()
    assert open_files() == before


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_no_child_inherits_it(system: System) -> None:
    """A program that the embedder starts must not be able to wake or to listen."""
    waker = system.waker()
    waker.open()
    assert not os.get_inheritable(waker.fd)
    waker.close()
