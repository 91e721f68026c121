"""What a contender is: a module with plugins to let, and how it does the work."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

__all__ = ["Contender", "Fleet"]


class Fleet(Protocol):
    """Some plugins of one contender, up or not; the first one does what is asked of one."""

    def echo(self, value: Any) -> Any:
        """Return *value* from the first plugin."""

    def pages(self, data: Any) -> int:
        """Have the first plugin read every page of *data*, which :meth:`binary` gave."""

    def binary(self, data: bytes) -> Any:
        """Return what the contender takes for binary data."""

    def everybody(self, value: Any) -> list[Any]:
        """Return *value* from each plugin."""

    def nest(self, value: Any) -> Any:
        """Have the first plugin call the second one with *value*, and return its answer."""

    def victim(self) -> int:
        """Return the process id of the first plugin."""

    def revive(self) -> None:
        """Do what an application has to do itself once the first plugin has died."""


class Contender(Protocol):
    """A module of :mod:`benchmarks.contest.contenders`."""

    #: How the table calls it.
    NAME: str
    #: What a reader has to know to read its numbers.
    NOTE: str
    #: task -> why it cannot do it.
    CANNOT: Mapping[str, str]

    def fleet(self, count: int) -> AbstractContextManager[Fleet]:
        """Let *count* plugins."""
