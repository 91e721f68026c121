"""The shelter: what runs there is torn by no signal handler, and nobody waits for ever."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nxkernel._system.shelter import _Turn, sheltered
from tests.support.zoo import eventually


class Struck(BaseException):
    """What the handler raises."""


@contextmanager
def striking() -> Iterator[list[threading.Thread]]:
    """Have every SIGUSR1 raise :class:`Struck`; yields the threads in which the handler ran."""
    threads: list[threading.Thread] = []

    def handler(_number: int, _frame: object) -> None:
        threads.append(threading.current_thread())
        raise Struck

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield threads
    finally:
        signal.signal(signal.SIGUSR1, before)


def strike() -> None:
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGUSR1)


def test_it_returns_what_the_action_returns() -> None:
    """And runs it in a thread that signal handlers never run in."""
    assert sheltered(threading.get_ident) != threading.get_ident()


def test_it_raises_what_the_action_raises() -> None:
    """The very same object, with its traceback."""
    error = ValueError("no")

    def fails() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        sheltered(fails)
    assert caught.value is error


def test_another_thread_needs_no_shelter() -> None:
    """No handler runs there: the action runs in that thread itself."""
    seen: list[bool] = []

    def ask() -> None:
        seen.append(sheltered(threading.get_ident) == threading.get_ident())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert seen == [True]


def test_an_interrupt_comes_when_the_action_is_over() -> None:
    """The action is done to its last step, and the interrupt is not lost."""
    done: list[str] = []
    with striking() as struck:

        def action() -> None:
            strike()
            eventually(lambda: bool(struck), "the handler has run")
            done.append("whole")

        with pytest.raises(Struck):
            sheltered(action)
    assert (done, struck) == (["whole"], [threading.main_thread()])


def test_an_interrupt_does_not_wait_for_what_hangs() -> None:
    """Once its patience is at an end, the action goes on alone."""
    go_on, over = threading.Event(), threading.Event()
    with striking():

        def hangs() -> None:
            strike()
            go_on.wait()
            over.set()

        with pytest.raises(Struck):
            sheltered(hangs, patience_s=0.01)
    assert not over.is_set()
    go_on.set()
    assert over.wait(60)


def test_a_second_interrupt_does_not_wait() -> None:
    """Who presses twice is heard at once."""
    go_on, over = threading.Event(), threading.Event()
    with striking() as struck:

        def hangs() -> None:
            strike()
            eventually(lambda: bool(struck), "the first one has struck")
            strike()
            go_on.wait()
            over.set()

        with pytest.raises(Struck):
            sheltered(hangs, patience_s=600)
    assert len(struck) == 2
    go_on.set()
    assert over.wait(60)


def test_what_is_over_is_waited_for_any_number_of_times() -> None:
    """An interrupt may come just after the end was heard: nobody waits for another one."""
    turn = _Turn(lambda: 7)
    turn.run()
    turn.wait()
    turn.wait()
    assert turn.result() == 7
