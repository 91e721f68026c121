"""Ctrl-C, again and again, in the middle of everything that a start of a worker does."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import attrs
import psutil
import pytest

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.storms import Storm, footprint, settles
from tests.support.zoo import Zoo, eventually, patient

#: More answers than a socket keeps for a host that does not read them.
UNREAD = 400


@attrs.define
class Shooter:
    """Interrupts the main thread at random instants."""

    storm: Storm
    shots: int
    over: threading.Event = attrs.Factory(threading.Event)

    def __call__(self) -> None:
        dice, main = self.storm.dice("shots"), threading.main_thread().ident
        assert main is not None
        for _ in range(self.shots):
            self.over.wait(dice.uniform(0.001, 0.012))
            signal.pthread_kill(main, signal.SIGINT)
        self.over.set()


@attrs.define
class Trigger:
    """A handler of SIGINT that raises while it is armed, once."""

    armed: bool = False
    raised: int = 0

    def __call__(self, _number: int, _frame: object) -> None:
        if self.armed:
            self.armed = False
            self.raised += 1
            raise KeyboardInterrupt


@contextmanager
def taking_interrupts() -> Iterator[Trigger]:
    trigger = Trigger()
    before = signal.signal(signal.SIGINT, trigger)
    try:
        yield trigger
    finally:
        signal.signal(signal.SIGINT, before)


def start_workers(zoo: Zoo, trigger: Trigger, over: threading.Event) -> None:
    """Start one worker after the other until it is over, whatever strikes."""
    while not over.is_set():
        with suppress(KeyboardInterrupt):
            trigger.armed = True
            while not over.is_set():
                zoo.act("dies", "exit")
        trigger.armed = False


def processes() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


# One that strikes between open() and `with` has the interpreter close the file, which it warns of;
# that no descriptor stays open is counted below.
@pytest.mark.filterwarnings("ignore:unclosed file .*/proc/:ResourceWarning")
def test_interrupts_leave_nothing_behind(open_zoo: Opens, storm: Storm) -> None:
    """No process, thread or descriptor is lost, and everybody answers."""
    zoo = open_zoo(patient, "dies", "prints")
    # Its words are the first for the disk, and start the thread that writes them there.
    assert zoo.act("prints", 1).ok
    eventually(lambda: "printed" in zoo.log("prints"), "the log is read")
    before, known = footprint(), processes()
    shooter = Shooter(storm, storm.size(150, 2_200))
    thread = threading.Thread(target=shooter)
    with taking_interrupts() as trigger:
        thread.start()
        start_workers(zoo, trigger, shooter.over)
        thread.join()
    assert zoo.answers("prints")
    assert zoo.answers("dies")
    settles(before, "no descriptor and no thread was lost")
    mine = {zoo.kernel.plugins["dies"].pid}
    eventually(lambda: processes() - mine <= known, "no process was lost")
    storm.tell("interrupts", shooter.shots)
    storm.tell("... that struck in a start or a call", trigger.raised)


def ask(kernel: nx.Kernel, count: int) -> socket.socket:
    """Ask the kernel's zygote for *count* workers and read no answer, as interrupts would do."""
    (zygote,) = kernel._parts.plant._launcher._living.values()  # type: ignore[attr-defined]
    for _ in range(count):
        ends = [end for _ in range(3) for end in os.pipe()]
        theirs = [ends[0], ends[3], ends[5]]
        socket.send_fds(zygote._control, [struct.pack("<I?I", 0, False, 0)], theirs)
        for end in ends:
            os.close(end)
    control: socket.socket = zygote._control
    return control


def unread(control: socket.socket) -> int:
    """Bytes of requests that the zygote has not taken."""
    return int.from_bytes(fcntl.ioctl(control, termios.TIOCOUTQ, bytes(4)), "little")


def test_answers_that_nobody_reads_do_not_stop_the_zygote(open_zoo: Opens) -> None:
    """It goes on hearing of exits; else every loss of a worker would wait for a word in vain."""
    zoo = open_zoo(patient, "prints")
    assert zoo.answers("prints")
    pid = zoo.kernel.plugins["prints"].pid or 0
    control = ask(zoo.kernel, UNREAD)
    eventually(lambda: unread(control) == 0, "every request has been taken")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(pid), "the zygote has heard of it")
    assert zoo.answers("prints")
    eventually(lambda: len(processes()) <= 2, "none of the others is left")
