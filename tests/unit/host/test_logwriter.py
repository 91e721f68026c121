"""What waits for the disk: in order, bounded, and nobody waits with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from nxkernel.host import logwriter
from nxkernel.host.logwriter import LogWriter
from tests.support.zoo import eventually


class Disk:
    """A log on a disk that hangs until it is let go."""

    def __init__(self) -> None:
        self.goes = threading.Event()
        self.fails = False
        self.got: list[object] = []
        self.busy = threading.Event()

    def feed(self, data: bytes, worker: int) -> None:
        self.busy.set()
        assert self.goes.wait(60)
        if self.fails:
            raise ValueError("a fault of ours")
        self.got.append((data, worker))

    def miss(self, count: int, reason: str) -> None:
        self.got.append((count, reason))


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.goes.set()
    eventually(lambda: "nxkernel-logs" not in names(), "the thread has ended")


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_nothing_to_write_needs_no_thread(disk: Disk) -> None:
    """A kernel whose plugins are silent has one thread less."""
    writer = LogWriter()
    writer.queue(disk)
    assert "nxkernel-logs" not in names()
    writer.stop()


def test_what_waits_is_written_in_its_order(disk: Disk) -> None:
    """All of it, before the kernel has ended."""
    writer = LogWriter()
    log = writer.queue(disk)
    for number in range(100):
        log.feed(b"%d" % number, 1)
    disk.goes.set()
    writer.stop()
    assert disk.got == [(b"%d" % number, 1) for number in range(100)]


def test_what_waits_is_bounded(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no room is counted, and comes where it would have been."""
    monkeypatch.setattr(logwriter, "MOST", 10)
    writer = LogWriter()
    log = writer.queue(disk)
    log.feed(b"under way", 1)
    assert disk.busy.wait(60)
    for data in (b"kept", b"kept too", b"lost", b"x"):
        log.feed(data, 1)
    disk.goes.set()
    eventually(lambda: len(disk.got) == 3, "all was taken")
    log.feed(b"after", 2)
    writer.stop()
    missed = len(b"kept too") + len(b"lost") + len(b"x")
    assert disk.got == [
        (b"under way", 1),
        (b"kept", 1),
        (missed, "the disk did not keep up"),
        (b"after", 2),
    ]


def test_a_disk_that_hangs_holds_no_end_up(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel ends, and says what it leaves; the rest is written if the disk comes back."""
    monkeypatch.setattr(logwriter, "PATIENCE_S", 0.0)
    writer = LogWriter()
    log = writer.queue(disk)
    log.feed(b"first", 1)
    log.feed(b"second", 1)
    writer.stop()
    assert caplog.messages == [
        "the end of some plugins' logs is not written: their disk hangs",
    ]
    disk.goes.set()
    eventually(lambda: len(disk.got) == 2, "the rest is written")


def test_one_log_that_fails_costs_no_other(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours at one plugin is told, and the thread goes on."""
    other = Disk()
    disk.goes.set()
    other.goes.set()
    disk.fails = True
    writer = LogWriter()
    writer.queue(disk).feed(b"x", 1)
    writer.queue(other).feed(b"x", 1)
    writer.stop()
    assert (disk.got, other.got) == ([], [(b"x", 1)])
    assert "a write of a plugin's log failed" in caplog.text


def test_a_forked_child_leaves_the_rest_to_its_parent(disk: Disk) -> None:
    """It has no such thread, and writes nothing that was fed before the fork."""
    writer = LogWriter()
    log = writer.queue(disk)
    log.feed(b"the parent's", 1)
    assert disk.busy.wait(60)
    log.feed(b"the parent's too", 1)
    read, write = os.pipe()
    with writer._changed:  # As it may stand in another thread.
        child = os.fork()
        if child == 0:
            disk.goes.set()
            log.feed(b"the child's", 2)
            writer.stop()
            os.write(write, repr(disk.got).encode())
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as said:
        assert said.read() == repr([(b"the child's", 2)])
    disk.goes.set()
    writer.stop()
    assert disk.got == [(b"the parent's", 1), (b"the parent's too", 1)]
