"""The first steps of a worker after the fork: descriptors, confinement, the plugin, the loop.

The order is the argument: nothing of the plugin is read before the process is confined and has
said so (``Hello``), and the confinement itself is the last thing that needs privileges.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from nxkernel._namespaces import build_root
from nxkernel._wire import EXIT_CONFINE, VERSION, Confine, Hello, Root
from nxkernel.errors import NxError
from nxkernel.worker.confine import confine, restrict, self_test
from nxkernel.worker.outfit import enter_environment
from nxkernel.worker.pipe import COMMAND_FD, RESULT_FD, HostGone, Pipe
from nxkernel.worker.service import serve

if sys.platform != "win32":
    import fcntl

__all__ = ["lift", "live", "main"]

#: Where the arena's two descriptors are put, what the host writes first, and the ruleset's.
ARENA_FDS = (5, 6)
RULESET_FD = 7
#: Above every final number, and no higher: the embedder may be allowed few open files.
_ABOVE = 8


def main(fds: list[int], *, with_ruleset: bool, parent: int, with_arena: bool = True) -> NoReturn:
    """Become a worker; never returns.

    *fds*: command pipe to read, result pipe to write, log pipe to write, then if there are such the
    arena's two files and the Landlock ruleset; last, for a plugin that is debugged, its terminal.
    *parent*: the zygote's pid, taken before the fork.
    """
    arena = ARENA_FDS if with_arena else ()
    kept = [*arena, *([RULESET_FD] if with_ruleset else [])]
    try:
        # Python's own fork would have: the number of the thread is that of the new process.
        threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
        debugged = _lay_out(fds, kept)
    except BaseException as error:
        _say(error)
        os._exit(EXIT_CONFINE)
    ruleset = RULESET_FD if with_ruleset else -1
    live(Pipe(), ruleset, parent, debugged=debugged, arena=arena)


def live(
    pipe: Pipe,
    ruleset: int,
    parent: int,
    *,
    debugged: bool = False,
    arena: tuple[int, ...] = (),
) -> NoReturn:
    """Confine this process as the host says over *pipe*, then serve it; never returns.

    *ruleset*: the Landlock ruleset's descriptor, or -1. *parent*: see :func:`main`.
    *debugged*: standard input is the terminal of a debugger. *arena*: its two descriptors, or none.
    """
    status = EXIT_CONFINE
    try:
        level = _lock_in(pipe, ruleset, parent)
        gc.enable()
        status = serve(pipe, level, debugged, arena)
    except HostGone:
        status = 0
    except BaseException as error:
        _say(error)
    finally:
        _flush()
        os._exit(status)


def _say(error: BaseException) -> None:
    """The log pipe is the only place left to say why."""
    os.write(2, f"worker: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))


def _lay_out(fds: list[int], kept: list[int]) -> bool:
    """Put the descriptors where they belong, close every other one; say if there is a terminal.

    *kept*: the numbers of those that come after the log's.
    """
    command, result, log = fds[:3]
    # Above the final numbers, all of them, before any of those is overwritten.
    high = [lift(fd) for fd in (command, result, log, *fds[3:])]
    debugged = len(fds) > 3 + len(kept)
    stdin = high[-1] if debugged else lift(os.open("/dev/null", os.O_RDWR))
    for source, target in ((stdin, 0), (high[2], 1), (high[2], 2)):
        os.dup2(source, target)
    os.dup2(high[0], COMMAND_FD)
    os.dup2(high[1], RESULT_FD)
    for source, target in zip(high[3:], kept, strict=False):
        os.dup2(source, target, inheritable=False)
    if debugged:
        _take_terminal()
    for number in {*ARENA_FDS, RULESET_FD}.difference(kept):
        os.closerange(number, number + 1)
    os.closerange(RULESET_FD + 1, 1 << 20)
    return debugged


def _take_terminal() -> None:
    """Make the terminal this process's own, so that Ctrl-C in it is an interrupt here."""
    import termios

    os.setsid()
    with contextlib.suppress(PermissionError):
        # It is still that of an older edition, until that ends: everything else works meanwhile.
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def lift(fd: int) -> int:
    """Return a copy of *fd* above the numbers that a worker gives a meaning. For POSIX systems."""
    if sys.platform == "win32":
        return os.dup(fd)
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE)


def _lock_in(pipe: Pipe, ruleset: int, parent: int) -> str:
    message = pipe.receive()
    if not isinstance(message, Confine) or message.version != VERSION:
        raise NxError(f"expected Confine of protocol version {VERSION}")
    enter_environment(message.environment)
    os.chdir(message.run_dir)
    pipe.send(Hello(version=VERSION, witnessed=_confined(message, ruleset, parent)))
    return message.level


def _confined(message: Confine, ruleset: int, parent: int) -> dict[str, str]:
    """Apply the message's level, and return what the self-test met."""
    if message.level not in ("confined", "isolated"):
        restrict(message.limits, parent=parent)
        return {}
    isolated = message.level == "isolated"
    if ruleset < 0 or not message.program or isolated != (message.root is not None):
        raise NxError(f"level {message.level} came without its ruleset, filter or root")
    root = None if message.root is None else _root(message.root, stage=message.run_dir)
    confine(ruleset, message.program, message.limits, parent=parent, root=root)
    # The first process of a pid namespace is a worker that may start programs: no other is.
    return self_test(isolated=isolated, processes=os.getpid() == 1)


def _root(root: Root, stage: str) -> Callable[[], None]:
    """Return what builds *root* and ends in the same folder as before."""

    def build() -> None:
        build_root(
            read=root.read,
            write=root.write,
            links=root.links,
            scratch=root.scratch,
            scratch_mb=root.scratch_mb,
            stage=stage,
        )
        os.chdir(stage)

    return build


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            continue
