"""A value that is computed once, whatever another thread was doing when the process forked."""

from __future__ import annotations

import os
import threading

import pytest

from nxkernel._once import once


class Slow:
    """Computes when it is told to."""

    def __init__(self, go: threading.Event) -> None:
        self.go, self.begun, self.count = go, threading.Event(), 0

    @once
    def value(self) -> int:
        """Words about it."""
        self.begun.set()
        self.go.wait()
        self.count += 1
        return self.count


def ready() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def test_it_is_computed_once_for_each_object() -> None:
    """And again for another one."""
    one, two = Slow(ready()), Slow(ready())
    assert (one.value, one.value, two.value) == (1, 1, 1)


def test_the_class_shows_what_it_is() -> None:
    """Its words stand where documentation looks for them."""
    assert Slow.value.__doc__ == "Words about it."


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_computes_what_another_thread_was_computing_at_the_fork() -> None:
    """No lock is inherited."""
    busy = Slow(threading.Event())
    thread = threading.Thread(target=lambda: busy.value)
    thread.start()
    busy.begun.wait()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if Slow(ready()).value == 1 else 1)
    busy.go.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
