"""The system refuses the zygote what a worker needs: that one is not had, and no other ends."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from nxkernel._system import Process
from nxkernel.errors import SandboxUnavailable
from nxkernel.host.zygote import Zygote
from nxkernel.kernel.profiles import default_profile
from nxkernel.settings import Hosting
from tests.support.zoo import eventually

#: A module that has the next use of one of the system's functions fail, ours or Python's.
REFUSES = """
import os
from nxkernel import _linux

home = _linux if hasattr(_linux, "{function}") else os
real, refusals = home.{function}, [{number}]

def {function}(*arguments):
    if refusals:
        number = refusals.pop()
        raise OSError(number, os.strerror(number))
    return real(*arguments)

home.{function} = {function}
"""
#: More descriptors than a worker costs the zygote while it is made.
ROOM = 12


@attrs.define
class Worker:
    """A worker that is told nothing and ends with its pipes."""

    process: Process
    pipes: list[int]

    def end(self) -> None:
        for fd in self.pipes:
            os.close(fd)
        eventually(self.process.has_ended, "a worker ends with its pipes")
        self.process.close()


def spawn(zygote: Zygote, *, tasks: int = 0) -> Worker:
    (command, ours), (result, theirs), (log, write) = os.pipe(), os.pipe(), os.pipe()
    try:
        process = zygote.spawn([command, theirs, write], with_ruleset=False, tasks=tasks)
    except BaseException:
        for fd in (ours, result, log):
            os.close(fd)
        raise
    finally:
        for fd in (command, theirs, write):
            os.close(fd)
    return Worker(process, [ours, result, log])


def open_files(zygote: Zygote) -> set[str]:
    return set(os.listdir(f"/proc/{zygote.pid}/fd"))


Starts = Callable[..., Zygote]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starts]:
    started: list[Zygote] = []

    def starts(module: str = "") -> Zygote:
        (tmp_path / "refuses.py").write_text(module)
        profile = default_profile(Hosting(), "process")
        sys_path = (str(tmp_path), *profile.sys_path)
        zygote = Zygote(attrs.evolve(profile, sys_path=sys_path, preload=("refuses",)))
        started.append(zygote)
        return zygote

    yield starts
    for zygote in started:
        zygote.end()
        zygote.close()


@pytest.mark.parametrize(
    ("function", "number", "tasks", "advice"),
    [
        ("fork", errno.EAGAIN, 0, "EAGAIN; raise the limit of processes"),
        ("fork", errno.ENOMEM, 4, "ENOMEM; give the machine or the control group more memory"),
        ("pidfd_open", errno.EMFILE, 0, "EMFILE; raise the limit of open files"),
        ("pidfd_open", errno.EMFILE, 4, "EMFILE; raise the limit of open files"),
        # With a nanny, the worker's descriptor comes from her and is not copied.
        ("dup", errno.ENFILE, 0, "ENFILE; raise the limit of open files of the machine"),
        ("fork", errno.EPERM, 0, "EPERM; see what the system's log says of it"),
    ],
)
def test_a_refusal_costs_one_worker(
    start: Starts, function: str, number: int, tasks: int, advice: str
) -> None:
    """The caller hears which and what to do; the zygote serves on and holds nothing of it."""
    zygote = start(REFUSES.format(function=function, number=number))
    before = open_files(zygote)
    with pytest.raises(SandboxUnavailable, match=advice) as caught:
        spawn(zygote, tasks=tasks)
    assert caught.value.details == {"errno": number}
    assert open_files(zygote) == before
    spawn(zygote).end()
    assert not zygote.gone


def test_no_room_for_descriptors_costs_no_other_worker(start: Starts) -> None:
    """At whichever step the zygote runs out of them: who lives goes on, and so does it."""
    zygote = start()
    held = len(open_files(zygote)) + 1  # One for each worker that lives.
    other = spawn(zygote)
    limits = resource.prlimit(zygote.pid, resource.RLIMIT_NOFILE)
    refused: list[object] = []
    for room in range(ROOM):
        resource.prlimit(zygote.pid, resource.RLIMIT_NOFILE, (held + room, limits[1]))
        try:
            spawn(zygote).end()
        except SandboxUnavailable as error:
            refused.append(error.details["errno"])
        eventually(lambda: len(open_files(zygote)) == held, "the zygote gave everything back")
    assert set(refused) == {errno.EMFILE}
    assert len(refused) < ROOM
    assert not other.process.has_ended()
    resource.prlimit(zygote.pid, resource.RLIMIT_NOFILE, limits)
    spawn(zygote).end()
    other.end()
