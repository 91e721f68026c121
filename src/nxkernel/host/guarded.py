"""Keeps a thread of the host alive: what fails at one plugin must not end the care for all others.

The threads that watch and tidy run until their kernel ends, and nobody waits for their result: an
exception would end them without a word, and limits, pings and logs with them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakKeyDictionary

__all__ = ["Guarded"]

_log = logging.getLogger("nxkernel.host")


class Guarded:
    """Does things one by one, and tells of what fails: once, until it goes well or differs."""

    def __init__(self, what: str) -> None:
        """*what*: the work, for the log, as words that ``failed`` may follow."""
        self._what = what
        #: What failed last, by whose it was; one that is gone takes its memory along.
        self._told: WeakKeyDictionary[object, str] = WeakKeyDictionary()

    def does(self, whose: object, action: Callable[[], object]) -> bool:
        """Do *action* for *whose*, which can be referred to weakly; returns whether it went well.

        Only exceptions are held: whatever else is raised is meant to end the thread.
        """
        try:
            action()
        except Exception as error:
            self._tell(whose, error)
            return False
        self._told.pop(whose, None)
        return True

    def _tell(self, whose: object, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if self._told.get(whose) != text:
            self._told[whose] = text
            name = getattr(whose, "plugin", None)
            of = f" of plugin {name!r}" if name else ""
            _log.error("%s%s failed and is tried again: %s", self._what, of, text, exc_info=error)
