"""Places: where trials keep their files, and the second in which the last of them ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nxkernel._system.removal import discard
from nxkernel.variation.conditions import Conditions

__all__ = ["Places"]

_SECOND_NS: Final = 10**9
_PAUSE_S: Final = 0.05


class Places:
    """Gives each trial a data directory below *root*: at the same path, unless that is varied."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._second = 0

    @contextmanager
    def of(self, conditions: Conditions) -> Iterator[Path]:
        """Yield a path with nothing there, and remove afterwards what is."""
        place = self._root / "another" / "place" if conditions.elsewhere else self._root / "usual"
        try:
            yield place
        finally:
            if place.exists():
                discard(place)
            self._second = time.time_ns() // _SECOND_NS

    def let_time_pass(self) -> None:
        """Wait until a clock that counts seconds shows another one than at the last trial's end."""
        while time.time_ns() // _SECOND_NS == self._second:
            time.sleep(_PAUSE_S)
