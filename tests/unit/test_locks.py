"""Locks of which a thread can say whether it holds one."""

from __future__ import annotations

import gc
import threading

import pytest

from nxkernel import _locks
from nxkernel.errors import CallRejected
from nxkernel.kernel.traffic import Traffic


def test_a_thread_knows_of_its_own_locks() -> None:
    """For as long as it holds one, also in the middle of another one."""
    outer, inner = _locks.lock(), _locks.lock()
    assert not _locks.holding()
    with outer:
        assert _locks.holding()
        with inner:
            assert _locks.holding()
        assert _locks.holding()
    assert not _locks.holding()


def test_what_another_thread_holds_is_not_its_own() -> None:
    """Who would have to wait for it may: its holder goes on."""
    lock, taken, told = _locks.lock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            told.wait()

    other = threading.Thread(target=hold)
    other.start()
    taken.wait()
    assert not _locks.holding()
    told.set()
    other.join()


def test_a_lock_that_is_gone_is_forgotten() -> None:
    """Workers come and go, and their locks with them."""
    gc.collect()
    before = len(_locks._known)
    kept = [_locks.lock() for _ in range(3)]
    assert len(_locks._known) == before + 3
    del kept
    assert len(_locks._known) == before


def test_who_holds_a_lock_begins_no_second_call() -> None:
    """It is refused before it is counted; who holds none may call on top of a call."""
    traffic, lock = Traffic(lambda: None), _locks.lock()
    own = traffic.enter()
    for enter in (traffic.enter, traffic.enter_apart):
        with lock, pytest.raises(CallRejected) as refused:
            enter()
        assert refused.value.code == "call.reentrant"
        assert traffic.calls == 1
    assert traffic.enter() == own
    assert traffic.calls == 2
