"""The folder of a log's spools, and what the names in it mean.

``<number>-<claim>-<segment>.spool`` and ``<number>-<claim>.slots``: *number* counts the spools of
a log and is never given twice, *claim* names the file that says whether its kernel lives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import attrs

__all__ = ["Left", "SpoolName", "folder_of", "listing"]

_NAME = re.compile(r"(\d{8})-([0-9a-f]{32})(?:-(\d{6})\.spool|\.slots)")
_HIGHEST = 10**8 - 1


@attrs.frozen(order=True)
class SpoolName:
    """One spool: what one kernel writes in one run."""

    number: int
    claim: str

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.number <= _HIGHEST:
            raise OSError(28, f"more than {_HIGHEST} spools")

    @property
    def prefix(self) -> str:
        """How the names of all its files begin."""
        return f"{self.number:08d}-{self.claim}"

    @property
    def slots(self) -> str:
        """Name of the file of calls in flight."""
        return f"{self.prefix}.slots"

    def segment(self, number: int) -> str:
        """Name of the file *number*, from 1, of finished calls."""
        return f"{self.prefix}-{number:06d}.spool"


@attrs.frozen
class Left:
    """What the folder has of one spool."""

    name: SpoolName
    #: Numbers of the segments that are there, ascending.
    segments: tuple[int, ...]
    has_slots: bool


def folder_of(log: Path) -> Path:
    """Return the folder of the spools of the log at *log*."""
    return log.with_name(f"{log.name}-spool")


def listing(folder: Path) -> list[Left]:
    """Return the spools in *folder*, in the order in which they were begun.

    Raises:
        OSError: when the folder cannot be read; one that is not there is empty.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return _grouped(match for name in names if (match := _NAME.fullmatch(name)))


def _grouped(matches: Iterable[re.Match[str]]) -> list[Left]:
    segments: dict[SpoolName, list[int]] = {}
    slots: set[SpoolName] = set()
    for match in matches:
        name = SpoolName(int(match[1]), match[2])
        found = segments.setdefault(name, [])
        if match[3] is None:
            slots.add(name)
        else:
            found.append(int(match[3]))
    return [Left(name, tuple(sorted(segments[name])), name in slots) for name in sorted(segments)]
