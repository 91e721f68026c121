"""What every worker has and none has for itself: put on by the process that workers come from.

A forked worker has a copy of each page of memory that it writes to, and in Python to look at an
object is to write to it. What is the same for all of them is therefore done once, before the fork.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

from nxkernel.worker import chance, listings
from nxkernel.worker.guards import FileShims, install_file_shims
from nxkernel.worker.runner import log_to_stderr

__all__ = ["enter_environment", "file_shims", "put_on"]

_shims: list[FileShims] = []
_environment: dict[str, str] = {}


def put_on() -> None:
    """Make this process what workers are forked from, or a worker that nobody forks."""
    sys.dont_write_bytecode = True
    chance.remember()
    listings.install()
    _shims[:] = [install_file_shims()]
    log_to_stderr()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # SIGPIPE stays ignored, as Python has it: a closed pipe is a BrokenPipeError, not a death.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform != "win32":
        # What the host ignores is ignored across exec: without SIGCHLD nobody could be waited for.
        for number in (signal.SIGHUP, signal.SIGXCPU, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _environment.update(os.environ)


def file_shims() -> FileShims:
    """The shims that were put on; they cover no folder until they are told."""
    return _shims[0]


def enter_environment(wanted: Mapping[str, str]) -> None:
    """Have *wanted* for the environment; most of it has been there since the outfit was put on."""
    for name in _environment.keys() - wanted.keys():
        del os.environ[name]
    for name, value in wanted.items():
        if _environment.get(name) != value:
            os.environ[name] = value
