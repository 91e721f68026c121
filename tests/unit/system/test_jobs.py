"""Job objects: layouts as documented, and calls as kernel32 wants them.

Windows itself did not run these tests. The stand-in holds every argument against what is documented
of the real function, and does to a real process of this system what the job would do.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from nxkernel._system import jobs
from nxkernel._system.children import ThreadChildren
from nxkernel._system.jobs import BasicAccounting, BasicLimits, ExtendedLimits, Job, JobProcess
from nxkernel._system.wakers import SocketWaker
from tests.support.fake_kernel32 import FakeKernel32, read

LIMITS = {"DATA": (512 << 20, 512 << 20), "AS": (8 << 30, 8 << 30)}
SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(1000)"]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("structure", "size", "offsets"),
    [
        (BasicLimits, 64, {"LimitFlags": 16, "ActiveProcessLimit": 40, "SchedulingClass": 60}),
        (ExtendedLimits, 144, {"IoInfo": 64, "ProcessMemoryLimit": 112, "PeakJobMemoryUsed": 136}),
        (BasicAccounting, 48, {"TotalUserTime": 0, "ActiveProcesses": 40}),
    ],
)
def test_layouts_are_those_of_win64(
    structure: type[ctypes.Structure], size: int, offsets: dict[str, int]
) -> None:
    """Sizes and offsets as a C compiler gives them for winnt.h on x86-64 and arm64."""
    assert ctypes.sizeof(structure) == size
    assert {name: getattr(structure, name).offset for name in offsets} == offsets


def test_a_job_holds_one_process_and_its_memory() -> None:
    """Killed with its host, alone, within its memory, without a dialog, off the desktop."""
    api = FakeKernel32()
    job = Job(LIMITS, api)
    (held,) = api.jobs.values()
    limits = read(held.limits)
    assert limits.BasicLimitInformation.LimitFlags == 0x2000 | 0x400 | 0x100 | 0x8
    assert limits.BasicLimitInformation.ActiveProcessLimit == 1
    assert limits.ProcessMemoryLimit == 512 << 20
    assert limits.JobMemoryLimit == 0
    assert held.ui == 0xFF
    job.close()
    job.close()
    assert api.jobs == {}


def test_user_time_is_counted_from_now() -> None:
    """The limit counts over a process's life: it moves before each call, the others stay."""
    api = FakeKernel32()
    job = Job(LIMITS, api)
    api.user_time = 30_000_000
    job.allow_cpu(1.5)
    limits = read(next(iter(api.jobs.values())).limits)
    assert limits.BasicLimitInformation.PerProcessUserTimeLimit == 45_000_000
    assert limits.BasicLimitInformation.LimitFlags == 0x2000 | 0x400 | 0x100 | 0x8 | 0x2
    assert limits.ProcessMemoryLimit == 512 << 20


@pytest.mark.parametrize(
    "function", ["CreateJobObjectW", "SetInformationJobObject", "AssignProcessToJobObject"]
)
def test_a_worker_without_its_job_is_not_kept(
    child: subprocess.Popen[bytes], function: str
) -> None:
    """It would have no limits: the error names the call, and no handle is left open."""
    api = FakeKernel32(broken=function)
    with pytest.raises(OSError, match=function):
        JobProcess(child, LIMITS, api)
    assert api.jobs == {}


@pytest.mark.parametrize("end", ["kill", "terminate", "close"])
def test_every_way_out_ends_the_worker(child: subprocess.Popen[bytes], end: str) -> None:
    """Also letting go of the job, which is what happens when the host dies."""
    api = FakeKernel32()
    process = JobProcess(child, LIMITS, api)
    getattr(process, end)()
    assert process.wait() == -signal.SIGKILL
    assert process.has_ended()
    process.close()
    process.kill()
    assert api.jobs == {}


def test_each_child_has_a_job_of_its_own() -> None:
    """Limits of a shared job would add up over all workers."""
    api = FakeKernel32()
    children = ThreadChildren(SocketWaker, lambda child, limits: JobProcess(child, limits, api))
    processes = [children.adopt(subprocess.Popen(SLEEP), LIMITS) for _ in range(3)]
    assert sorted(job.processes for job in api.jobs.values()) == sorted([p.pid] for p in processes)
    processes[0].kill()
    children.finish()
    found = sorted(children.ended())
    assert found == [(p.number, -signal.SIGKILL) for p in processes]
    for process in processes:
        process.close()
    children.close()
    assert api.jobs == {}


def test_there_are_none_elsewhere() -> None:
    """The real functions are not looked for where they cannot be."""
    with pytest.raises(OSError, match="Windows' own"):
        jobs.kernel32()
