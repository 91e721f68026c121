r"""Lines of a plugin's log on disk: which worker wrote them, and what it wrote.

A line is the worker's generation in decimal digits, a mark, the bytes as they came, and a newline.
The marks: a space where a line of the plugin begins, ``+`` where it goes on (a very long line, or
one that a rotation cut), ``!`` before words of the host. A plugin cannot forge the beginning of a
line: each newline that it writes begins another one.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import attrs

__all__ = ["BEGINS", "CONTINUES", "SAYS", "LogLine", "Mark", "head", "parse"]

Mark = Literal[" ", "+", "!"]
BEGINS: Final = " "
CONTINUES: Final = "+"
SAYS: Final = "!"
_LINE = re.compile(rb"(\d{1,9})([ +!])(.*)", re.DOTALL)


@attrs.frozen
class LogLine:
    """One line of a plugin's log."""

    #: Which worker of the plugin wrote it: 1 is the first of the run.
    worker: int
    mark: Mark
    #: What it wrote, control characters and all; broken UTF-8 is marked by U+FFFD.
    text: str


def head(worker: int, mark: Mark) -> bytes:
    """Return what stands before the bytes of a line."""
    return f"{worker}{mark}".encode()


def parse(line: bytes) -> LogLine:
    """Read a line of the file, without its newline; one that is none of ours is the host's word."""
    match = _LINE.fullmatch(line)
    if match is None:
        return LogLine(0, SAYS, line.decode("utf-8", "replace"))
    mark: Mark = match[2].decode()  # type: ignore[assignment]
    return LogLine(int(match[1]), mark, match[3].decode("utf-8", "replace"))
