"""The spool as a kernel writes it: on record or refused, never half."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from nxkernel._canonical import NotCanonical
from nxkernel.audit.spool import segments
from nxkernel.audit.spool.entries import entry
from nxkernel.audit.spool.remains import Remains
from nxkernel.audit.spool.segments import Segment
from nxkernel.audit.spool.slots import fence
from tests.unit.audit.spool.spools import CALLS, NAME, a_spool, begin, call, drained, names


def in_flight(folder: Path) -> list[str]:
    """Return the ids of the calls in flight."""
    return [str(facts[0]) for _, facts in Remains(folder, NAME).in_flight()]


def test_a_call_is_in_flight_and_then_a_row(tmp_path: Path) -> None:
    """At every moment it is one of the two."""
    spool = a_spool(tmp_path)
    begun = begin(spool, "1")
    assert in_flight(tmp_path) == ["1"]
    spool.finish(CALLS, begun, ("done", 7))
    assert in_flight(tmp_path) == []
    spool.close()
    rows = drained(tmp_path)
    assert [row.facts for row in rows.entries] == [
        ("run-1", 1),
        ("1", "ocr", None, 3, "done", 7),
    ]


def test_threads_may_share_a_spool(tmp_path: Path) -> None:
    """Every call of every thread is there once, over the borders of segments."""
    spool = a_spool(tmp_path, roll_bytes=3000)

    def work(thread: int) -> None:
        for number in range(100):
            call(spool, f"{thread}.{number}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.close()
    assert len(names(tmp_path)) > 5
    ended = drained(tmp_path).ended()
    assert sorted(ended) == sorted(f"{t}.{n}" for t in range(4) for n in range(100))


def test_a_segment_that_is_large_enough_is_complete(tmp_path: Path) -> None:
    """Somebody is told, so that it can be drained."""
    told: list[int] = []
    spool = a_spool(tmp_path, roll_bytes=120, rolled=lambda: told.append(1))
    for number in range(9):
        call(spool, str(number))
    assert len(told) == len([name for name in names(tmp_path) if "spool" in name]) - 1 > 1
    spool.close()


class Disk:
    """Stands for what appends: writes a part, and then says why not all."""

    def __init__(self, keep: int, error: int | None) -> None:
        self.keep, self.error, self.write = keep, error, os.write

    def __call__(self, fd: int, data: bytes) -> int:
        written = self.write(fd, data[: self.keep]) if self.keep else 0
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        return written


@pytest.mark.parametrize("error", [None, errno.ENOSPC, errno.EIO])
def test_what_was_half_written_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int | None
) -> None:
    """After a short write or an error at any byte the file ends as it did, and takes rows again."""
    spool = a_spool(tmp_path)
    file = tmp_path / NAME.segment(1)
    before = file.stat().st_size
    call(spool, "before")
    size = file.stat().st_size
    for keep in range(size - before):
        begun = begin(spool, "unsaid")  # which also finds that the disk takes rows again
        with monkeypatch.context() as patch:
            patch.setattr(segments, "put", Disk(keep, error))
            with pytest.raises(OSError, match=r"No space left|Input/output"):
                spool.finish(CALLS, begun, ("done", 7))
        assert file.stat().st_size == size
    call(spool, "after")
    spool.close()
    rows = drained(tmp_path)
    assert rows.ended() == ["before", "after"]
    assert rows.interrupted() == ["unsaid"] * (size - before)
    assert [mark.ending for mark in rows.marks] == ["end", "end"]


def test_a_file_that_cannot_be_cut_back_takes_no_row_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows behind half a row would be lost to every reader."""
    spool = a_spool(tmp_path)
    begun = begin(spool, "lost")

    def stuck(fd: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", stuck)
        with monkeypatch.context() as inner:
            inner.setattr(segments, "put", Disk(9, None))
            with pytest.raises(OSError, match="No space"):
                spool.finish(CALLS, begun, ())
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output"):
                spool.append(entry("events", ("x",)))
    spool.append(entry("events", ("y",)))
    spool.close()
    assert [row.facts for row in drained(tmp_path).entries] == [
        ("run-1", 1),
        ("y",),
        ("lost", "ocr", None, 3),
    ]


def test_while_rows_find_no_place_no_call_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call to find that out has been made; those after it are not."""
    spool = a_spool(tmp_path)
    size = (tmp_path / NAME.segment(1)).stat().st_size
    begun = begin(spool, "made")
    with monkeypatch.context() as patch:
        patch.setattr(segments, "put", Disk(5, None))
        with pytest.raises(OSError, match="No space"):
            spool.finish(CALLS, begun, ())
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                begin(spool, "not made")
    assert (tmp_path / NAME.segment(1)).stat().st_size == size
    call(spool, "after")
    spool.close()
    rows = drained(tmp_path)
    assert (rows.ended(), rows.interrupted()) == (["after"], ["made"])


class Interrupt(BaseException):
    """Comes where a KeyboardInterrupt may come."""


def test_an_interrupt_behind_the_write_leaves_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be in the database by then: it is on record, and the call is not in flight."""
    spool = a_spool(tmp_path)
    write = os.write

    def interrupted(fd: int, data: bytes) -> int:
        write(fd, data)
        raise Interrupt

    begun = begin(spool, "1")
    with monkeypatch.context() as patch:
        patch.setattr(segments, "put", interrupted)
        with pytest.raises(Interrupt):
            spool.finish(CALLS, begun, ())
    assert in_flight(tmp_path) == []
    call(spool, "2")
    spool.close()
    rows = drained(tmp_path)
    assert (rows.ended(), rows.interrupted()) == (["1", "2"], [])


def test_a_call_without_a_row_stays_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its slot is not given to another: that it began is all that is known of it."""
    spool = a_spool(tmp_path)
    begun = begin(spool, "lost")
    with monkeypatch.context() as patch:
        patch.setattr(segments, "put", Disk(0, errno.EIO))
        with pytest.raises(OSError, match="Input/output"):
            spool.finish(CALLS, begun, ())
    call(spool, "next")
    assert in_flight(tmp_path) == ["lost"]
    spool.close()
    assert drained(tmp_path).interrupted() == ["lost"]


@pytest.mark.parametrize("facts", [("\udcff",), (2**64,)])
def test_facts_that_no_row_can_hold_are_refused(tmp_path: Path, facts: Any) -> None:
    """Before the call as after it, and nothing is written."""
    spool = a_spool(tmp_path)
    size = (tmp_path / NAME.segment(1)).stat().st_size
    begun = begin(spool, "1")
    for attempt in (
        lambda: spool.begin(facts),
        lambda: spool.finish(CALLS, begun, facts),
        lambda: spool.append(entry("events", facts)),
    ):
        with pytest.raises((NotCanonical, OverflowError)):
            attempt()
    assert (tmp_path / NAME.segment(1)).stat().st_size == size
    spool.close()


def test_who_was_taken_for_dead_acknowledges_nothing(tmp_path: Path) -> None:
    """Its files have been read to the end: a row after that would be lost in silence."""
    spool = a_spool(tmp_path)
    begun = begin(spool, "1")
    fence(tmp_path / NAME.slots)
    for attempt in (
        lambda: spool.finish(CALLS, begun, ()),
        lambda: begin(spool, "2"),
        lambda: spool.append(entry("events", ("x",))),
    ):
        with pytest.raises(OSError, match="taken this kernel for dead"):
            attempt()
    spool.close()


def test_a_closed_spool_takes_no_row(tmp_path: Path) -> None:
    """A call that ends after its run is in flight for ever."""
    spool = a_spool(tmp_path)
    begun = begin(spool, "1")
    spool.close()
    spool.close()
    for attempt in (
        lambda: spool.finish(CALLS, begun, ()),
        lambda: begin(spool, "2"),
        lambda: spool.append(entry("events", ("x",))),
    ):
        with pytest.raises(ValueError, match="closed"):
            attempt()
    assert in_flight(tmp_path) == ["1"]


def test_with_power_every_row_is_synced_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And after a sync that failed, rows go to a new file: the old one is not to be trusted."""
    broken = False
    real = os.fdatasync
    synced: list[int] = []

    def fdatasync(fd: int) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error")
        synced.append(os.fstat(fd).st_size)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    spool = a_spool(tmp_path, durability="power")
    call(spool, "1")
    assert synced[-1] == (tmp_path / NAME.segment(1)).stat().st_size
    broken = True
    with pytest.raises(OSError, match="Input/output"):
        call(spool, "2")
    broken = False
    call(spool, "3")
    spool.close()
    assert names(tmp_path) == ["-000001.spool", "-000002.spool", ".slots"]
    assert drained(tmp_path).ended() == ["1", "2", "3"]


def test_a_spool_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write fails."""
    for whole in (0, 1):
        writes = iter([os.write] * whole)
        full = Disk(3, None)

        def write(fd: int, data: bytes, writes: Any = writes, full: Disk = full) -> int:
            return next(writes, full)(fd, data)

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)  # the slots
            patch.setattr(segments, "put", write)
            with pytest.raises(OSError, match="No space"):
                a_spool(tmp_path)
        assert names(tmp_path) == []


def test_what_a_kernel_left_unborn_is_replaced(tmp_path: Path) -> None:
    """A file that its maker was killed over has no rows yet."""
    path = tmp_path / NAME.segment(1)
    path.with_suffix(".new").write_bytes(b"half")
    Segment(path).close()
    assert names(tmp_path) == ["-000001.spool"]


def test_a_call_in_flight_is_found_again(tmp_path: Path) -> None:
    """Who was interrupted before he was told of it ends it all the same, and no other one."""
    spool = a_spool(tmp_path)
    begin(spool, "1")
    begin(spool, "2")
    found = spool.unfinished(lambda facts: facts[0] == "1")
    assert found is not None
    begun, facts = found
    assert facts == ("1", "ocr", None, 3)
    spool.finish(CALLS, begun, ("done", 7))
    assert spool.unfinished(lambda facts: facts[0] == "1") is None
    assert in_flight(tmp_path) == ["2"]
    spool.close()
    assert drained(tmp_path).entries[1].facts == ("1", "ocr", None, 3, "done", 7)


def test_a_call_whose_row_is_there_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt between the row and the clearing of its slot: no second row, and a free slot."""
    spool = a_spool(tmp_path)
    begun = begin(spool, "1")

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(begun.slot), "clear", lambda _: interrupt())
    with pytest.raises(KeyboardInterrupt):
        spool.finish(CALLS, begun, ("done", 7))
    monkeypatch.undo()
    assert spool.unfinished(lambda facts: facts[0] == "1") is None
    assert spool.unfinished(lambda _: True) is None
    spool.close()
    assert len(drained(tmp_path).entries) == 2


def test_a_row_that_was_aimed_and_not_written_is_not_taken_for_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt came between the two, and another call's row lies there by now."""
    spool = a_spool(tmp_path)
    begun = begin(spool, "1")
    aim = type(begun.slot).aim

    def aimed(slot: Any, segment: int, offset: int) -> None:
        aim(slot, segment, offset)
        if segment:
            raise KeyboardInterrupt

    monkeypatch.setattr(type(begun.slot), "aim", aimed)
    with pytest.raises(KeyboardInterrupt):
        spool.finish(CALLS, begun, ("done", 7))
    monkeypatch.undo()
    call(spool, "2")
    found = spool.unfinished(lambda facts: facts[0] == "1")
    assert found is not None
    spool.finish(CALLS, found[0], ("done", 7))
    spool.close()
    assert sorted(drained(tmp_path).ended()) == ["1", "2"]
