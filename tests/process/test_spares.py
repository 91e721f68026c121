"""Spare workers: forked ahead, taken by whoever starts next, and gone with their zygote."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest

import nxkernel as nx
from nxkernel import _linux
from nxkernel._system import Process
from nxkernel.host.zygote import Zygote
from nxkernel.kernel.profiles import default_profile
from nxkernel.worker.spares import LOST
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, build, eventually

#: A module that has every fork of the process fail which imports it, while a file is there.
REFUSES = """
import os
from nxkernel import _linux

real = _linux.fork

def fork():
    if os.path.exists({flag!r}):
        raise BlockingIOError("no more processes")
    return real()

_linux.fork = fork
"""
#: A module that leaves the process which imports it few descriptors.
LIMITED = """
import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
"""
#: A module that has every spare end in its rehearsal, and counts them in a file.
DIES = """
from nxkernel.worker import spares

def rehearse(times):
    with open({forks!r}, "ab") as file:
        file.write(b"x")
    raise MemoryError

spares.rehearse = rehearse
"""
INHERIT = 36  # PR_SET_CHILD_SUBREAPER
SPARE = nx.Hosting(spares=1)
Starts = Callable[..., Zygote]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starts]:
    started: list[Zygote] = []

    def starts(spares: int = 1, module: str = "") -> Zygote:
        (tmp_path / "prepares.py").write_text(module)
        profile = default_profile(nx.Hosting(spares=spares), "process")
        sys_path = (str(tmp_path), *profile.sys_path)
        started.append(Zygote(attrs.evolve(profile, sys_path=sys_path, preload=("prepares",))))
        return started[-1]

    yield starts
    for zygote in started:
        zygote.end()
        zygote.close()


def children(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}


def has_spares(zygote: Zygote, number: int) -> None:
    eventually(lambda: len(children(zygote.pid)) == number, f"{number} spares")


def spawn(zygote: Zygote) -> tuple[Process, list[int]]:
    """Start a worker; returns it, and our ends of its pipes."""
    (command, ours), (result, theirs), (log, write) = os.pipe(), os.pipe(), os.pipe()
    process = zygote.spawn([command, theirs, write], with_ruleset=False)
    for fd in (command, theirs, write):
        os.close(fd)
    return process, [ours, result, log]


def end(process: Process, pipes: list[int]) -> None:
    for fd in pipes:
        os.close(fd)
    eventually(process.has_ended, "a worker ends with its pipes")
    process.close()


def zygote_of(zoo: Zoo) -> int:
    """The zygote of a plugin's worker."""
    parent = psutil.Process(zoo.kernel.plugins["sleeps"].pid).parent()
    assert parent is not None
    return parent.pid


def test_a_worker_is_made_of_a_spare(start: Starts) -> None:
    """It is the process that waited, and another one takes its place."""
    zygote = start()
    has_spares(zygote, 1)
    (spare,) = children(zygote.pid)
    process, pipes = spawn(zygote)
    assert process.pid == spare
    has_spares(zygote, 2)
    end(process, pipes)
    has_spares(zygote, 1)
    assert spare not in children(zygote.pid)


def test_a_spare_that_ended_costs_nothing(start: Starts) -> None:
    """Killed while nobody looks, or all at once: the next start has a worker all the same."""
    zygote = start(3)
    has_spares(zygote, 3)
    for pid in children(zygote.pid):
        os.kill(pid, signal.SIGKILL)
    end(*spawn(zygote))
    has_spares(zygote, 3)
    assert not zygote.gone


def test_a_spare_holds_nothing_of_its_zygote(start: Starts) -> None:
    """Its standard streams and the socket on which it waits: no control, no other worker's."""
    zygote = start(2)
    process, pipes = spawn(zygote)
    has_spares(zygote, 3)
    for pid in children(zygote.pid) - {process.pid}:
        held = Path(f"/proc/{pid}/fd")
        eventually(lambda held=held: len(list(held.iterdir())) == 4, "three streams and a socket")
        streams = {int(each.name) for each in held.iterdir()} & {0, 1, 2}
        assert streams == {0, 1, 2}
    end(process, pipes)


def test_without_room_for_spares_workers_start(start: Starts, tmp_path: Path) -> None:
    """The system refuses a process while nobody asks for one: whoever asks later has it."""
    flag = tmp_path / "refused"
    flag.touch()
    zygote = start(module=REFUSES.format(flag=str(flag)))
    with pytest.raises(nx.SandboxUnavailable):
        spawn(zygote)
    flag.unlink()
    end(*spawn(zygote))
    has_spares(zygote, 1)


def test_spares_end_with_their_zygote(start: Starts) -> None:
    """However it ends: none is left."""
    zygote = start(2)
    has_spares(zygote, 2)
    spares = [psutil.Process(pid) for pid in children(zygote.pid)]
    os.kill(zygote.pid, signal.SIGKILL)
    for spare in spares:
        eventually(lambda spare=spare: not spare.is_running(), "a spare ends with its zygote")


@pytest.fixture
def heir() -> Iterator[None]:
    """Have this process inherit the children of its children, as process 1 of a container does."""
    _linux.prctl(INHERIT, 1)
    try:
        yield
    finally:
        _linux.prctl(INHERIT, 0)


@pytest.mark.usefixtures("heir")
def test_a_zygote_that_is_ended_leaves_no_spares_to_its_heir(start: Starts) -> None:
    """Nobody has to wait for processes that he has not started."""
    zygote = start(2)
    has_spares(zygote, 2)
    spares = children(zygote.pid)
    zygote.end()
    for spare in spares:
        with pytest.raises(ChildProcessError):
            os.waitpid(spare, os.WNOHANG)


@pytest.mark.parametrize("spares", [0, 1])
def test_a_worker_knows_its_own_thread(open_zoo: Opens, spares: int) -> None:
    """One thread, by the number of the process that it is: forked for it, or ahead."""
    zoo = open_zoo(build, "inspects", hosting=nx.Hosting(spares=spares))
    said = zoo.act("inspects").value
    assert said["threads"] == [["MainThread", said["pid"]]]


@pytest.mark.parametrize("level", ["process", "confined", "isolated"])
def test_plugins_start_from_spares(open_zoo: Opens, level: str) -> None:
    """The walls stand as ever, a worker that died is replaced, and a close leaves none."""
    zoo = open_zoo(build, "sleeps", "dies", hosting=SPARE, sandbox=nx.Sandbox(require=level))
    assert zoo.answers("sleeps")
    zygote = zygote_of(zoo)
    for _ in range(2):
        eventually(lambda: bool(_spares(zoo, zygote)), "a spare")
        waiting = _spares(zoo, zygote)
        zoo.act("dies", "exit")
        eventually(lambda: zoo.kernel.plugins["dies"].pid is None, "its worker has ended")
        assert zoo.answers("dies")
        assert zoo.kernel.plugins["dies"].pid in waiting
    left = [psutil.Process(pid) for pid in children(zygote)]
    zoo.kernel.close()
    for process in left:
        eventually(lambda process=process: not process.is_running(), "nobody is left")


def _spares(zoo: Zoo, zygote: int) -> set[int]:
    workers = {zoo.kernel.plugins[name].pid for name in ("sleeps", "dies")}
    return children(zygote) - {pid for pid in workers if pid is not None}


@pytest.mark.parametrize(
    "wrong", [-1, 257, True, 1.5, "2", None, 10**5000, -(10**5000)], ids=range(8)
)
def test_spares_are_counted(wrong: Any) -> None:
    """The mistake is told where it is made, with the code of a kernel that cannot work."""
    with pytest.raises(nx.KernelConfigError, match="spares") as caught:
        nx.Hosting(spares=wrong)
    assert caught.value.code == "kernel.config"


def test_spares_leave_descriptors_to_workers(start: Starts) -> None:
    """More are asked for than the zygote has descriptors for: workers start, with spares or none.

    Some are there; the next ones would take the room for what a worker is sent.
    """
    zygote = start(60, module=LIMITED)
    eventually(lambda: len(children(zygote.pid)) >= 10, "some spares")
    number = -1
    while number != (number := len(children(zygote.pid))):
        time.sleep(0.3)  # Until none was added for a while: it asks for one each 20 ms.
    for _ in range(number + 5):
        end(*spawn(zygote))
    assert not zygote.gone


def test_spares_that_do_not_live_are_not_forked_for_ever(start: Starts, tmp_path: Path) -> None:
    """Where each ends by itself there is an end of it; after the next start it is tried again."""
    forks = tmp_path / "forks"
    zygote = start(module=DIES.format(forks=str(forks)))

    def count() -> int:
        return len(forks.read_bytes()) if forks.exists() else 0

    eventually(lambda: count() >= LOST, "they are tried")
    time.sleep(0.5)  # Time for twenty more.
    assert count() == LOST
    end(*spawn(zygote))
    eventually(lambda: count() > LOST, "they are tried again")
