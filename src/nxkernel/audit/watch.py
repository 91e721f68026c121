"""A look at something every moment, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["MOMENT_S", "Watch"]

#: Seconds between two looks: how long who seals a file waits for kernels that have nothing to do.
MOMENT_S = 0.5


class Watch:
    """Calls *look* every moment from :meth:`start` to :meth:`stop`; *look* raises nothing."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self.abandon()

    def abandon(self) -> None:
        """In a forked child, which has no such thread."""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it has; where no thread is to be had, nobody looks."""
        if self._thread is not None:
            return
        ended = self._ended = threading.Event()
        thread = threading.Thread(
            target=self._run, args=(ended,), name="nxkernel-audit", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            return
        self._thread = thread

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(MOMENT_S):
            self._look()

    def stop(self) -> None:
        """End, and wait for that."""
        thread, self._thread = self._thread, None
        self._ended.set()
        if thread is not None:
            thread.join()
