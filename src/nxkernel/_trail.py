"""Where an exception came from, as plain data that crosses: frames, causes, groups and notes.

Runs beside the exception, in the worker: any attribute of it may be a trap, and all of it is
bounded. The host gets texts and numbers, and prints them; see ``nxkernel._remote``.
"""

from __future__ import annotations

import linecache
import re
import traceback
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

import attrs

from nxkernel.errors import NxError

__all__ = [
    "Trail",
    "cause_of",
    "context_of",
    "headline",
    "members_of",
    "module_of",
    "short_name",
    "text_of",
    "type_name",
]

#: Frames of the runner and of the import system, which say nothing about the plugin.
_OURS = re.compile(r"/nxkernel/(worker/|host/|_wrappers\.py)|<frozen importlib")
#: Exceptions that one failure tells of, and frames of each, the innermost.
MAX_EXCEPTIONS, MAX_FRAMES = 16, 20
#: Longest text of an exception, longest note and longest source line, in characters.
MAX_TEXT, MAX_NOTE, MAX_SOURCE = 1000, 500, 200
MAX_NOTES = 8
# The slots themselves: a class may define attributes of the same names, to hide or to raise.
cause_of = BaseException.__dict__["__cause__"].__get__
context_of = BaseException.__dict__["__context__"].__get__
_suppresses = BaseException.__dict__["__suppress_context__"].__get__
members_of = BaseExceptionGroup.__dict__["exceptions"].__get__
# The same of classes, whose metaclass may do so.
_name = type.__dict__["__name__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_module = type.__dict__["__module__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__


@attrs.define
class Trail:
    """Follows one exception to whatever led to it; made anew for each failure."""

    #: Makes a text fit to cross, and the same on every machine.
    scrub: Callable[[str], str]
    _seen: set[int] = attrs.Factory(set)

    def of(self, error: BaseException) -> dict[str, Any]:
        """Return the tree of *error*.

        Keys: ``exception``, ``text``, ``frames``, and where there are such ``notes`` (texts),
        ``cause`` or ``context`` (a tree), ``group`` (trees), ``left_out`` (how many there were
        beyond the bound).
        """
        self._seen.add(id(error))
        tree: dict[str, Any] = {
            "exception": type_name(error),
            "text": self.scrub(text_of(error))[:MAX_TEXT],
            "frames": self.frames(error),
        }
        if notes := _notes(error):
            tree["notes"] = [self.scrub(note)[:MAX_NOTE] for note in notes]
        return tree | self._before(error) | self._group(error)

    def frames(self, error: BaseException) -> list[dict[str, Any]]:
        """Return the plugin's own frames: ``file``, ``line``, ``function``, ``source``."""
        inside = (
            (frame, line)
            for frame, line in traceback.walk_tb(_traceback(error))
            if not _OURS.search(frame.f_code.co_filename)
        )
        return [self._frame(*each) for each in deque(inside, maxlen=MAX_FRAMES)]

    def _frame(self, frame: FrameType, line: int | None) -> dict[str, Any]:
        name, number = frame.f_code.co_filename, line or 0
        return {
            "file": self.scrub(name),
            "line": number,
            "function": self.scrub(frame.f_code.co_name),
            "source": self.scrub(linecache.getline(name, number).strip())[:MAX_SOURCE],
        }

    def _before(self, error: BaseException) -> dict[str, Any]:
        """What was being handled, as Python tells it: the cause, else the context."""
        cause = cause_of(error)
        if cause is not None:
            return self._more("cause", cause)
        context = None if _suppresses(error) else context_of(error)
        return {} if context is None else self._more("context", context)

    def _more(self, key: str, error: BaseException) -> dict[str, Any]:
        known = id(error) in self._seen
        return {} if known else {key: self.of(error)} if self._room else {"left_out": 1}

    def _group(self, error: BaseException) -> dict[str, Any]:
        if not isinstance(error, BaseExceptionGroup):
            return {}
        group, members = [], members_of(error)
        for member in members:
            if not self._room:
                break
            group.append(self.of(member))
        left_out = len(members) - len(group)
        return {"group": group} | ({"left_out": left_out} if left_out else {})

    @property
    def _room(self) -> bool:
        return len(self._seen) < MAX_EXCEPTIONS


def type_name(error: BaseException) -> str:
    """Return the module and the qualified name of the exception's class."""
    return f"{module_of(error)}.{_qualname(type(error))}"


def module_of(error: BaseException) -> str:
    """Return the name of the module of the exception's class, or nothing if it hides that."""
    try:
        name = _module(type(error))
    except AttributeError:
        return ""
    return name if type(name) is str else ""


def short_name(error: BaseException) -> str:
    """Return the name of the exception's class, whatever its metaclass makes of that."""
    name: str = _name(type(error))
    return name


def text_of(error: BaseException) -> str:
    """Return the exception's text, or words in its place if it cannot be made."""
    try:
        return error.message if isinstance(error, NxError) else str(error)
    except BaseException:
        return "<the exception's text cannot be made>"


def headline(error: BaseException, scrub: Callable[[str], str]) -> str:
    """Return ``TypeName: text`` of *error*, the text made the same on every machine by *scrub*."""
    return f"{short_name(error)}: {scrub(text_of(error))}".removesuffix(": ")


def _notes(error: BaseException) -> list[str]:
    try:
        found = list(getattr(error, "__notes__", ()))
    except BaseException:
        return []
    # exactly str: a subclass has methods of its own
    return [note for note in found if type(note) is str][:MAX_NOTES]
