"""Confine this process, for good: the walls that the host built, applied in the right order.

Runs in the freshly forked, single-threaded child of the zygote, before it receives one byte that
concerns a plugin. Each step that fails raises: a worker is either confined or it does not run.

The order matters. Limits and capabilities need no privilege to be lowered, but seccomp would refuse
the calls; Landlock and seccomp need no_new_privs; seccomp comes last, as it refuses all of these.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Final, TypeAlias

from nxkernel import _linux
from nxkernel.errors import SandboxUnavailable
from nxkernel.worker.limits import lower

__all__ = [
    "call_test",
    "confine",
    "drop_bounding_set",
    "look_at_machine",
    "restrict",
    "self_test",
    "stack",
]

# NOROOT, NO_SETUID_FIXUP, KEEP_CAPS (off) and NO_CAP_AMBIENT_RAISE, each with its lock.
_SECUREBITS: Final = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40 | 0x80
_CAPABILITY_HEADER: Final = struct.pack("<Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, self
_NO_CAPABILITIES: Final = bytes(24)
_CLONE_NEWUSER: Final = 0x10000000
_AF_INET, _SOCK_DGRAM = 2, 2
#: Most bytes of /proc/self/status; its first line, a name, can hold no line of its own.
_STATUS_BYTES: Final = 1 << 16

#: Its name, the attempt, and what may refuse it.
_Attempt: TypeAlias = tuple[str, Callable[[], object], Sequence[int]]


def restrict(limits: Mapping[str, tuple[int, int]], *, parent: int | None = None) -> None:
    """Do what every level needs: die with the zygote, keep memory private, lower the limits.

    Args:
        limits: name after RLIMIT_ -> (soft, hard); limits that are already lower stay.
        parent: pid of the zygote, taken before the fork; None where its end shows otherwise.

    Raises:
        SandboxUnavailable: a step failed.
    """
    if sys.platform == "linux":
        with _step("death signal"):
            _tie_to_parent(parent)
        with _step("private memory"):
            # Not dumpable: no core file, no ptrace or /proc/<pid>/mem by others of the same user.
            _linux.prctl(_linux.PR_SET_DUMPABLE, 0)
    os.umask(0o077)
    with _step("limits"):
        lower(limits)


def confine(
    ruleset_fd: int,
    program: bytes,
    limits: Mapping[str, tuple[int, int]],
    *,
    parent: int | None = None,
    root: Callable[[], None] | None = None,
) -> None:
    """Give up everything that the plan does not grant; *ruleset_fd* is closed.

    Args:
        ruleset_fd: Landlock ruleset.
        program: seccomp filter with `SELF_PID` where this process's pid belongs.
        limits, parent: see `restrict`, which is the first step.
        root: builds this process a root of its own and enters it; None to stay in the host's.

    Raises:
        SandboxUnavailable: a step failed. The process is then half confined: end it.
    """
    with _step("machine"):
        _check_machine()
    with _step("status"):
        threads, bounding = _status()
    with _step("threads"):
        _check_single_thread(threads)
    restrict(limits, parent=parent)
    if root is not None:
        # The last step that needs capabilities, and the last that sees the host's files.
        with _step("root"):
            root()
    with _step("capabilities"):
        _drop_capabilities(bounding=bounding != 0)
    with _step("no_new_privs"):
        _linux.prctl(_linux.PR_SET_NO_NEW_PRIVS, 1)
    with _step("landlock"):
        _linux.syscall("landlock_restrict_self", ruleset_fd, _landlock_flags())
        os.close(ruleset_fd)
    with _step("seccomp"):
        _linux.load_filter(_with_own_pid(program))


def stack(program: bytes) -> None:
    """Stack the filter of one call on that of its template; see `confine`.

    Raises:
        SandboxUnavailable: the system refused it. The process is of no use then.
    """
    with _step("seccomp"):
        _linux.load_filter(_with_own_pid(program))


def drop_bounding_set() -> bool:
    """Empty the capability bounding set; return False where this process may not.

    For the zygote, once for all workers. The set only counts across execve, which no_new_privs and
    the filter close as well: without the privilege there is nothing to lose.
    """
    capability = 0
    while True:
        try:
            _linux.prctl(_linux.PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == errno.EINVAL and capability > 0:
                return True  # past the last capability of this kernel
            if error.errno == errno.EPERM:
                return False
            raise
        capability += 1


def self_test(*, isolated: bool = False, processes: bool = False) -> dict[str, str]:
    """Try what must fail now, and return attempt -> name of the errno that refused it.

    One witness for each wall: listing "/" for Landlock; a datagram socket, a fork, a change of mode
    and a signal to the parent for seccomp; for *isolated* also folders that the host has for
    everybody and that its own root has not: neither can be granted. With *processes*, which may
    fork and has no parent in sight, the way into further namespaces instead of fork and signal.

    Raises:
        SandboxUnavailable: something went through, or was refused by something else.
    """
    attempts = [*_attempts(), *(_isolated_attempts() if isolated else ())]
    if processes:
        attempts = [each for each in attempts if each[0] not in ("fork", "signal")]
        attempts += _process_attempts()
    return {name: _witness(name, attempt, refusals) for name, attempt, refusals in attempts}


def call_test() -> dict[str, str]:
    """Try what its template may and a call may not; see `self_test`."""
    stacked = [each for each in _attempts() if each[0] in ("fork", "signal")]
    return {name: _witness(name, attempt, refusals) for name, attempt, refusals in stacked}


def _process_attempts() -> Iterator[_Attempt]:
    yield "unshare", lambda: _linux.syscall("unshare", _CLONE_NEWUSER), (errno.EPERM,)
    yield "clone", lambda: _linux.syscall("clone", _CLONE_NEWUSER, 0, 0, 0, 0), (errno.EPERM,)


def _isolated_attempts() -> Iterator[_Attempt]:
    yield "stat /proc", lambda: os.stat("/proc/self"), (errno.ENOENT,)
    yield "stat /sys", lambda: os.stat("/sys"), (errno.ENOENT,)


def _attempts() -> Iterator[_Attempt]:
    yield "list /", lambda: os.listdir("/"), (errno.EACCES,)
    yield "socket", lambda: _linux.syscall("socket", _AF_INET, _SOCK_DGRAM, 0), (errno.EACCES,)
    yield "fork", _fork, (errno.EPERM,)
    # Without the filter: EBADF, as no such descriptor is open.
    yield "chmod", lambda: _linux.syscall("fchmod", -1, 0o777), (errno.EPERM,)
    yield "signal", lambda: os.kill(os.getppid(), 0), (errno.EPERM,)


def _witness(name: str, attempt: Callable[[], object], refusals: Sequence[int]) -> str:
    try:
        attempt()
    except OSError as error:
        if error.errno is not None and error.errno in refusals:
            return errno.errorcode[error.errno]
        raise SandboxUnavailable(
            f"self-test `{name}` was refused for another reason: {error.strerror}",
            details={"guarantee": name, "errno": error.errno},
        ) from error
    raise SandboxUnavailable(
        f"self-test `{name}` went through: the worker is not confined",
        details={"guarantee": name, "errno": 0},
    )


def _fork() -> None:
    child = _linux.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


class _step:  # noqa: N801 - it is used like a function
    """Names what is done within, if it fails. No generator: this runs at every start."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, OSError | ValueError):
            return
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else str(error)
        raise SandboxUnavailable(
            f"the worker could not be confined at step `{self._name}`: {reason}",
            details={"guarantee": self._name, "errno": number},
        ) from error


def look_at_machine() -> None:
    """Find out what each worker would find out anew: for the zygote, which confines nobody."""
    with suppress(ValueError):
        _check_machine()


@cache
def _check_machine() -> None:
    reason = _linux.unsupported_machine()
    if reason is not None:
        raise ValueError(reason)


def _tie_to_parent(parent: int | None) -> None:
    _linux.prctl(_linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if (
        parent is not None and os.getppid() != parent
    ):  # it ended before the line above: the signal will never come
        raise ValueError("the parent is gone")


def _status() -> tuple[int, int]:
    """Return how many threads this process has, and its bounding set of capabilities."""
    # Neither a file object nor an expression: a fork copies each page of memory that they touch.
    file = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(file, _STATUS_BYTES)
    finally:
        os.close(file)
    threads, bounding = _field(text, b"\nThreads:\t"), _field(text, b"\nCapBnd:\t")
    if not (threads and bounding):
        raise ValueError("/proc/self/status has no `Threads` and `CapBnd`")
    return int(threads), int(bounding, 16)


def _field(text: bytes, name: bytes) -> bytes:
    """Return what *text* has after *name*, up to the end of the line; empty if it is not there."""
    return text.partition(name)[2].partition(b"\n")[0]


def _check_single_thread(threads: int) -> None:
    """Landlock and seccomp hold for the calling thread alone."""
    if threads != 1:
        raise ValueError(f"{threads} threads; start none before the worker is confined")


def _drop_capabilities(*, bounding: bool) -> None:
    if bounding:
        drop_bounding_set()
    try:
        _linux.prctl(_linux.PR_CAP_AMBIENT, _linux.PR_CAP_AMBIENT_CLEAR_ALL)
        _linux.prctl(_linux.PR_SET_SECUREBITS, _SECUREBITS)
    except OSError as error:
        # Without the privilege: securebits only change what uid 0 would gain, by an exec that is
        # closed.
        if error.errno != errno.EPERM:
            raise
    _linux.syscall("capset", _CAPABILITY_HEADER, _NO_CAPABILITIES)


def _landlock_flags() -> int:
    """From ABI 7 on, keep a plugin from flooding the system's audit log with its refusals."""
    version = _linux.syscall(
        "landlock_create_ruleset", None, 0, _linux.LANDLOCK_CREATE_RULESET_VERSION
    )
    return _linux.LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF if version >= 7 else 0


def _with_own_pid(program: bytes) -> bytes:
    patched = _linux.patch_pid(program, os.getpid())
    if patched == program:
        raise ValueError("the filter has no place for the pid of its process")
    return patched
