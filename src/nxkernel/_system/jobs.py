"""Windows job objects: what holds a worker there, set from outside and ended as one.

One job for each worker, never one for all: the limits of a shared job add up over its processes,
and the second worker would use up what the first one was given. The job has this process's only
handle: when this process ends, whatever way, Windows closes it and ends what is in the job.

Layouts and numbers are those of ``winnt.h``, in fixed widths, so that they can be checked anywhere.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from nxkernel._system.processes import Child, ChildProcess

__all__ = ["Job", "JobProcess", "Kernel32", "kernel32", "limits_of"]

ACTIVE_PROCESS: Final = 0x00000008
DIE_ON_UNHANDLED_EXCEPTION: Final = 0x00000400
KILL_ON_JOB_CLOSE: Final = 0x00002000
PROCESS_MEMORY: Final = 0x00000100
PROCESS_TIME: Final = 0x00000002
#: Handles, clipboard, system parameters, display, atoms, desktops, logging off: none of it.
UI_ALL: Final = 0x000000FF
BASIC_ACCOUNTING, BASIC_UI, EXTENDED_LIMITS = 1, 4, 9
#: Exit code of a worker that was ended by us; 128 and SIGKILL, as a shell would say it.
KILLED: Final = 137
#: Windows counts time in steps of 100 ns.
_STEPS: Final = 10_000_000
_EVERY = KILL_ON_JOB_CLOSE | DIE_ON_UNHANDLED_EXCEPTION | ACTIVE_PROCESS


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("PerProcessUserTimeLimit", ctypes.c_int64),
        ("PerJobUserTimeLimit", ctypes.c_int64),
        ("LimitFlags", ctypes.c_uint32),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", ctypes.c_uint32),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", ctypes.c_uint32),
        ("SchedulingClass", ctypes.c_uint32),
    )


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION; the counters in its middle are the system's."""

    _fields_ = (
        ("BasicLimitInformation", BasicLimits),
        ("IoInfo", ctypes.c_uint64 * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


class BasicAccounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION."""

    _fields_ = (
        ("TotalUserTime", ctypes.c_int64),
        ("TotalKernelTime", ctypes.c_int64),
        ("ThisPeriodTotalUserTime", ctypes.c_int64),
        ("ThisPeriodTotalKernelTime", ctypes.c_int64),
        ("TotalPageFaultCount", ctypes.c_uint32),
        ("TotalProcesses", ctypes.c_uint32),
        ("ActiveProcesses", ctypes.c_uint32),
        ("TotalTerminatedProcesses", ctypes.c_uint32),
    )


class Kernel32(Protocol):
    """Six functions of kernel32.dll, by their names there."""

    #: (security, name) -> the handle of a new job, or None.
    CreateJobObjectW: Callable[[None, None], int | None]
    #: (job, kind, what to set, its size) -> whether it worked; the others likewise.
    SetInformationJobObject: Callable[[int, int, Any, int], int]
    #: (job, kind, what to fill, its size, NULL)
    QueryInformationJobObject: Callable[[int, int, Any, int, None], int]
    #: (job, process)
    AssignProcessToJobObject: Callable[[int, int], int]
    #: (job, exit code)
    TerminateJobObject: Callable[[int, int], int]
    #: (handle)
    CloseHandle: Callable[[int], int]


#: Result and arguments: without them ctypes would cut handles to 32 bits.
_HANDLE, _DWORD, _POINTER, _BOOL = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_int
_SIGNATURES: Final = {
    "CreateJobObjectW": (_HANDLE, (_POINTER, ctypes.c_wchar_p)),
    "SetInformationJobObject": (_BOOL, (_HANDLE, ctypes.c_int, _POINTER, _DWORD)),
    "QueryInformationJobObject": (_BOOL, (_HANDLE, ctypes.c_int, _POINTER, _DWORD, _POINTER)),
    "AssignProcessToJobObject": (_BOOL, (_HANDLE, _HANDLE)),
    "TerminateJobObject": (_BOOL, (_HANDLE, ctypes.c_uint32)),
    "CloseHandle": (_BOOL, (_HANDLE,)),
}


def kernel32() -> Kernel32:
    """Return the real one. Raises OSError where there is none."""
    if sys.platform == "win32":
        library: Any = ctypes.WinDLL("kernel32", use_last_error=True)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        found: Kernel32 = library
        return found
    raise OSError(f"job objects are Windows' own; this is {sys.platform}")


class Job:
    """A job object with the limits of one worker."""

    def __init__(self, limits: Mapping[str, tuple[int, int]], api: Kernel32) -> None:
        """Make the job; *limits* as in :func:`limits_of`. Raises OSError."""
        self._api = api
        handle = api.CreateJobObjectW(None, None)
        if not handle:
            raise _failed("CreateJobObjectW")
        self._handle = handle
        self._limits = limits_of(limits)
        try:
            self._set(EXTENDED_LIMITS, self._limits)
            self._set(BASIC_UI, ctypes.c_uint32(UI_ALL))
        except OSError:
            self.close()
            raise

    def _set(self, kind: int, info: Any) -> None:
        size = ctypes.sizeof(info)
        if not self._api.SetInformationJobObject(self._handle, kind, ctypes.byref(info), size):
            raise _failed("SetInformationJobObject")

    def assign(self, process: int) -> None:
        """Put the process with that handle into the job, for good. Raises OSError."""
        if not self._api.AssignProcessToJobObject(self._handle, process):
            raise _failed("AssignProcessToJobObject")

    def terminate(self) -> None:
        """End what is in the job; no error when nothing is."""
        if self._handle:
            self._api.TerminateJobObject(self._handle, KILLED)

    def allow_cpu(self, seconds: float) -> None:
        """Let the worker use *seconds* of user time from now on, then end it."""
        used = BasicAccounting()
        size = ctypes.sizeof(used)
        if self._api.QueryInformationJobObject(
            self._handle, BASIC_ACCOUNTING, ctypes.byref(used), size, None
        ):
            basic = self._limits.BasicLimitInformation
            basic.LimitFlags |= PROCESS_TIME
            basic.PerProcessUserTimeLimit = used.TotalUserTime + int(seconds * _STEPS)
            self._set(EXTENDED_LIMITS, self._limits)

    def close(self) -> None:
        """Close the handle, which ends what is left in the job; safe to call twice."""
        handle, self._handle = self._handle, 0
        if handle:
            self._api.CloseHandle(handle)


def limits_of(limits: Mapping[str, tuple[int, int]]) -> ExtendedLimits:
    """Return what Windows has of *limits*, name after RLIMIT_ -> (soft, hard).

    Memory is what a process commits, where Linux counts what is private and writable. A worker is
    one process: in a virtual environment, python.exe would start another one and be refused.
    """
    made = ExtendedLimits()
    made.BasicLimitInformation.LimitFlags = _EVERY
    made.BasicLimitInformation.ActiveProcessLimit = 1
    if "DATA" in limits:
        made.BasicLimitInformation.LimitFlags |= PROCESS_MEMORY
        made.ProcessMemoryLimit = limits["DATA"][0]
    return made


class JobProcess(ChildProcess):
    """A child in a job of its own."""

    def __init__(
        self, child: Child, limits: Mapping[str, tuple[int, int]], api: Kernel32 | None = None
    ) -> None:
        """Put *child* into a job; it must not have been told to do anything yet. Raises OSError."""
        super().__init__(child)
        self._job = Job(limits, api or kernel32())
        try:
            self._job.assign(int(getattr(child, "_handle", child.pid)))
        except OSError:
            self._job.close()
            raise

    def kill(self) -> None:
        """End the job."""
        self._job.terminate()

    def interrupt(self) -> None:
        """End it: Windows has nothing gentler."""
        self.kill()

    def terminate(self) -> None:
        """End the job: Windows has nothing gentler."""
        self._job.terminate()

    def allow_cpu(self, seconds: float) -> None:
        """Move the job's limit of user time."""
        if not self.has_ended():
            self._job.allow_cpu(seconds)

    def close(self) -> None:
        """Let go of the job, which ends a worker that has not ended."""
        super().close()
        self._job.close()


def _failed(function: str) -> OSError:
    if sys.platform == "win32":
        return OSError(ctypes.get_last_error(), f"{function} failed")
    return OSError(0, f"{function} failed")
