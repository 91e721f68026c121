"""Clocks, and facts of the machine and the process: seen by settings of their own.

Ordinary libraries ask a clock all the time, to wait or to log, and no result depends on it. So the
standard library may always ask; only who asks directly is seen. ``datetime`` and ``date`` are
changed in place, by way of the dictionary of their type: a class put in their stead would be
another one for ``isinstance`` and for pickles.
"""

from __future__ import annotations

import ctypes
import datetime
import gc
import os
import platform
import socket
import time
from types import ModuleType
from typing import Any, Final

from nxkernel.worker.chance.guarded import Guarded, Unless
from nxkernel.worker.chance.sources import CLOCK, ENVIRONMENT, Kind, Source
from nxkernel.worker.chance.watch import Watch

__all__ = ["install_clocks", "install_environment"]

_NOW: Final = "context.now() instead: the run's start"
_MEASURE: Final = "nothing: the audit has the duration of each call"
_CLOCKS: Final = {
    "clock_gettime": _NOW,
    "clock_gettime_ns": _NOW,
    "monotonic": _MEASURE,
    "monotonic_ns": _MEASURE,
    "perf_counter": _MEASURE,
    "perf_counter_ns": _MEASURE,
    "process_time": _MEASURE,
    "process_time_ns": _MEASURE,
    "thread_time": _MEASURE,
    "thread_time_ns": _MEASURE,
    "time": _NOW,
    "time_ns": _NOW,
}
#: What takes the present if it gets no time; the position of that argument.
_PRESENT: Final = {"asctime": 0, "ctime": 0, "gmtime": 0, "localtime": 0, "strftime": 1}
_INPUT: Final = "no such value into a result; what differs by machine is an argument of the call"
_FACTS: Final[tuple[tuple[ModuleType, tuple[str, ...]], ...]] = (
    (
        os,
        (
            "cpu_count",
            "getloadavg",
            "getlogin",
            "getpid",
            "getppid",
            "process_cpu_count",
            "sched_getaffinity",
            "sysconf",
            "times",
            "uname",
        ),
    ),
    (platform, ("node", "platform", "release", "uname", "version")),
    (socket, ("getfqdn", "gethostname")),
)


def install_clocks(watch: Watch) -> None:
    """Watch the clocks, for the rest of the process."""
    for name, instead in _CLOCKS.items():
        _replace(time, name, CLOCK, instead, watch)
    for name, position in _PRESENT.items():
        source = Source(CLOCK, f"time.{name}()", _NOW)
        original = getattr(time, name)
        stand_in = Unless(
            original, watch, source, "time", name, argument="seconds", position=position
        )
        setattr(time, name, stand_in)
    for name in ("now", "today", "utcnow"):
        _replace_in_type(datetime.datetime, name, watch)
    _replace_in_type(datetime.date, "today", watch)


def install_environment(watch: Watch) -> None:
    """Watch what is asked of the machine and the process, for the rest of it."""
    for module, names in _FACTS:
        for name in names:
            _replace(module, name, ENVIRONMENT, _INPUT, watch)


def _replace(module: ModuleType, name: str, kind: Kind, instead: str, watch: Watch) -> None:
    original = getattr(module, name, None)
    if original is not None:
        source = Source(kind, f"{module.__name__}.{name}()", instead)
        setattr(module, name, Guarded(original, watch, source, module.__name__, name))


def _replace_in_type(cls: type, name: str, watch: Watch) -> None:
    # `datetime.today` is the one of `date`, which asks `time.time`.
    original = next(base.__dict__[name] for base in cls.__mro__ if name in base.__dict__)
    source = Source(CLOCK, f"datetime.{cls.__name__}.{name}()", _NOW)

    def ask(kind: type, *args: Any, **kwargs: Any) -> Any:
        watch.met(source)
        return original.__get__(None, kind)(*args, **kwargs)

    ask.__name__, ask.__qualname__ = name, f"{cls.__name__}.{name}"
    ask.__doc__ = original.__doc__
    # The mapping that a type shows is read-only; what it shows is the first thing it refers to.
    (names,) = gc.get_referents(cls.__dict__)
    names[name] = classmethod(ask)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(cls))
