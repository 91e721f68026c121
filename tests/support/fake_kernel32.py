"""Six functions that take what kernel32's take, and do it to processes of this system."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import Any

import attrs

from nxkernel._system.jobs import BasicAccounting, ExtendedLimits

__all__ = ["FakeKernel32", "read"]

SIGKILL = 9
#: What each kind of information takes, in bytes.
SIZES = {1: 48, 4: 4, 9: 144}


@attrs.define
class FakeJob:
    limits: bytes = b""
    ui: int = 0
    processes: list[int] = attrs.Factory(list)


class FakeKernel32:
    """Six functions that take what the real ones take; jobs hold processes by their pid."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken
        self.jobs: dict[int, FakeJob] = {}
        self.handed_out = 0
        self.user_time = 0

    def CreateJobObjectW(self, security: None, name: None) -> int | None:
        assert security is None, "no other user may open it, and no child inherits it"
        assert name is None, "a name could be guessed"
        if self.broken == "CreateJobObjectW":
            return None
        # A handle is a pointer: it may need all 64 bits.
        self.handed_out += 1
        handle = 0x1_0000_0000 + 4 * self.handed_out
        self.jobs[handle] = FakeJob()
        return handle

    def SetInformationJobObject(self, job: int, kind: int, info: Any, size: int) -> int:
        assert size == SIZES[kind]
        if self.broken == "SetInformationJobObject":
            return 0
        data = ctypes.string_at(ctypes.cast(info, ctypes.c_void_p), size)
        if kind == 9:
            self.jobs[job].limits = data
        else:
            assert kind == 4
            self.jobs[job].ui = int.from_bytes(data, "little")
        return 1

    def QueryInformationJobObject(
        self, job: int, kind: int, info: Any, size: int, returned: None
    ) -> int:
        assert (kind, size, returned) == (1, 48, None)
        assert job in self.jobs
        found = ctypes.cast(info, ctypes.POINTER(BasicAccounting)).contents
        found.TotalUserTime = self.user_time
        return int(self.broken != "QueryInformationJobObject")

    def AssignProcessToJobObject(self, job: int, process: int) -> int:
        if self.broken == "AssignProcessToJobObject":
            return 0
        assert not self.jobs[job].processes, "one job for each worker"
        self.jobs[job].processes.append(process)
        return 1

    def TerminateJobObject(self, job: int, code: int) -> int:
        assert code == 137
        end(self.jobs[job].processes)
        return 1

    def CloseHandle(self, handle: int) -> int:
        job = self.jobs.pop(handle)
        if job.limits and read(job.limits).BasicLimitInformation.LimitFlags & 0x2000:
            end(job.processes)
        return 1


def end(pids: list[int]) -> None:
    """What a job does to what is in it; nothing to what has ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, SIGKILL)


def read(data: bytes) -> ExtendedLimits:
    return ExtendedLimits.from_buffer_copy(data)
