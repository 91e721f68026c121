"""A wall clock that is ahead, as Python tells the time. Counters, and what C asks, stay."""

from __future__ import annotations

import ctypes
import datetime
import gc
import time
from typing import Any, Final

__all__ = ["install"]

#: What takes the present if it gets no time; the position of that argument.
_PRESENT: Final = {"asctime": 0, "ctime": 0, "gmtime": 0, "localtime": 0, "strftime": 1}
#: Those of them that take seconds, not fields.
_OF_SECONDS: Final = frozenset({"ctime", "gmtime", "localtime"})


def install(seconds: int) -> None:
    """Put Python's wall clock *seconds* ahead, for the rest of the process."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + seconds * 10**9
    _shift_clocks(seconds)
    for name, position in _PRESENT.items():
        _shift_present(name, position)
    _shift_types()


def _shift_clocks(seconds: int) -> None:
    """The clocks by number: that of the wall alone."""
    real: Any = getattr(time, "CLOCK_REALTIME", None)
    for name, unit in (("clock_gettime", 1), ("clock_gettime_ns", 10**9)):
        original: Any = getattr(time, name, None)
        if original is not None:

            def ask(number: int, _ask: Any = original, _unit: int = unit) -> Any:
                return _ask(number) + (seconds * _unit if number == real else 0)

            setattr(time, name, ask)


def _shift_present(name: str, position: int) -> None:
    original: Any = getattr(time, name)
    localtime = time.localtime

    def show(*args: Any) -> Any:
        given = args[position] if len(args) > position else None
        if given is not None:
            return original(*args)
        present = time.time() if name in _OF_SECONDS else localtime(time.time())
        return original(*args[:position], present)

    setattr(time, name, show)


def _shift_types() -> None:
    """`datetime` and `date` in place: a class put in their stead would be another one."""
    _replace(datetime.datetime, "now", lambda cls, tz=None: cls.fromtimestamp(time.time(), tz))
    _replace(datetime.datetime, "today", lambda cls: cls.fromtimestamp(time.time()))
    _replace(datetime.datetime, "utcnow", _utcnow)
    _replace(datetime.date, "today", lambda cls: cls.fromtimestamp(time.time()))


def _utcnow(cls: Any) -> Any:
    return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)


def _replace(cls: type, name: str, function: Any) -> None:
    function.__name__, function.__qualname__ = name, f"{cls.__name__}.{name}"
    # The mapping that a type shows is read-only; what it shows is the first thing it refers to.
    (names,) = gc.get_referents(cls.__dict__)
    names[name] = classmethod(function)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(cls))
