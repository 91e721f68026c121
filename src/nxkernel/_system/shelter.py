"""A place that signal handlers do not reach.

Python runs signal handlers in the main thread, between any two of its steps, and what they raise
comes out there: a KeyboardInterrupt between a call and the assignment of its result loses the
result, and with it the process and the descriptors that it holds. What must not be torn is done in
a thread of its own while the main thread waits. To block the signals would not do: the C handler
notes them in whichever thread they arrive, and the main thread runs them all the same.
"""

from __future__ import annotations

import _thread
import math
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from nxkernel._system.holding import into

__all__ = ["PATIENCE_S", "sheltered"]

T = TypeVar("T")

#: Seconds for which an interrupt is held back while what it must not tear comes to its end.
PATIENCE_S = 5.0
#: Seconds after which a waiting main thread looks for signals.
_LOOK_S = 0.1


def sheltered(action: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Run *action* where no signal handler strikes, and return what it returns.

    What a handler raises meanwhile is raised when *action* is over and its result is dropped, so
    *action* has to leave what it made where others find it. It is raised while *action* goes on
    after *patience_s* seconds, or at once if there is a second one.
    """
    if threading.current_thread() is not threading.main_thread():
        return action()
    turn, begun = _Turn(action), list[int]()
    try:
        # Not a Thread: an interrupt in its start() would leave nobody knowing whether it runs.
        into(begun, _thread.start_new_thread, turn.run, ())
        turn.wait()
    except BaseException:
        if begun:
            turn.wait(patience_s)
        raise
    return turn.result()


class _Turn(Generic[T]):
    """One action, and how it ended."""

    def __init__(self, action: Callable[[], T]) -> None:
        self._action = action
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._done = False
        self._over = threading.Lock()
        self._over.acquire()

    def run(self) -> None:
        try:
            self._results.append(self._action())
        except BaseException as error:
            self._error = error
        finally:
            self._done = True
            self._over.release()

    def wait(self, timeout_s: float = math.inf) -> None:
        # Looked up again and again: a signal that comes just before the lock is waited for would
        # not be noticed before it is there.
        while timeout_s > 0 and not self._done:
            self._over.acquire(timeout=min(timeout_s, _LOOK_S))
            timeout_s -= _LOOK_S

    def result(self) -> T:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._results[0]
