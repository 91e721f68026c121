"""A thread that does one thing again and again, and outlives its failures."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from nxkernel.host.guarded import Guarded

__all__ = ["Ticker"]

_log = logging.getLogger("nxkernel.host")

#: Seconds that the end of a kernel waits for the end of what a thread is doing.
PATIENCE_S: Final = 5.0


class Ticker:
    """Does *action* every *interval_s* seconds, from :meth:`start` to :meth:`stop`.

    One for each action that may be held up: what hangs at one thing must not keep the others.
    """

    def __init__(
        self, name: str, interval_s: float, action: Callable[[], None], guarded: Guarded
    ) -> None:
        self._interval_s = interval_s
        self._action = action
        self._guarded = guarded
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for the end of what it is doing, unless that hangs."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            _log.error("%s hangs and is left behind: it ends when it can", self._thread.name)

    def _run(self) -> None:
        while not self._end.wait(self._interval_s):
            self._guarded.does(self, self._action)
