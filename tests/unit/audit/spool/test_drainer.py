"""The drainer: every row once, whatever was torn, and whenever it stopped."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.audit.spool import remains
from nxkernel.audit.spool.drainer import Drainer, Mark, Moved
from nxkernel.audit.spool.entries import Entry
from nxkernel.audit.spool.folder import SpoolName
from nxkernel.audit.spool.frames import frames
from nxkernel.audit.spool.segments import MAGIC
from nxkernel.audit.spool.slots import Slot
from tests.unit.audit.spool.spools import (
    CALLS,
    NAME,
    Rows,
    a_spool,
    begin,
    call,
    drained,
    names,
)

IDS = [str(number) for number in range(12)]


def written(folder: Path, in_flight: int = 0, roll_bytes: int = 1 << 20) -> Path:
    """Write twelve calls, and leave some more in flight; the kernel is dead."""
    spool = a_spool(folder, roll_bytes=roll_bytes)
    for call_id in IDS:
        call(spool, call_id)
    for number in range(in_flight):
        begin(spool, f"open {number}")
    spool.close()
    return folder


def test_all_of_a_dead_kernel_is_taken_and_its_files_go(tmp_path: Path) -> None:
    """Rows first, in order, then what was in flight."""
    written(tmp_path, in_flight=2, roll_bytes=300)
    rows = drained(tmp_path)
    assert rows.ended() == IDS
    assert rows.interrupted() == ["open 0", "open 1"]
    assert names(tmp_path) == []
    assert drained(tmp_path, rows).entries is rows.entries


def test_of_a_living_kernel_the_newest_files_stay(tmp_path: Path) -> None:
    """Its complete segments go when they are in the database; calls in flight are its own."""
    spool = a_spool(tmp_path, roll_bytes=300)
    for call_id in IDS[:6]:
        call(spool, call_id)
    begun = begin(spool, "open")
    rows = drained(tmp_path, lives=True)
    assert (rows.ended(), rows.interrupted()) == (IDS[:6], [])
    assert len(names(tmp_path)) == 2
    for call_id in IDS[6:]:
        call(spool, call_id)
    drained(tmp_path, rows, lives=True)
    spool.finish(CALLS, begun, ())
    spool.close()
    drained(tmp_path, rows)
    assert (rows.ended(), rows.interrupted()) == ([*IDS, "open"], [])


def test_of_a_living_kernel_half_a_row_is_left_alone(tmp_path: Path) -> None:
    """It is being written at this moment."""
    spool = a_spool(tmp_path)
    call(spool, "1")
    with (tmp_path / NAME.segment(1)).open("ab") as file:
        file.write(b"\x10\0\0")
    rows = drained(tmp_path, lives=True)
    assert rows.ended() == ["1"]
    assert [mark.ending for mark in rows.marks] == [None]
    spool.close()


def test_torn_at_every_byte_nothing_but_the_torn_row_is_lost(tmp_path: Path) -> None:
    """What is left of it is recorded by size and digest, and its file is kept."""
    whole = (written(tmp_path / "a") / NAME.segment(1)).read_bytes()
    ends = [end for _, end in frames(whole, len(MAGIC))]
    for cut in range(len(whole)):
        folder = tmp_path / "b"
        folder.mkdir()
        (folder / NAME.segment(1)).write_bytes(whole[:cut])
        rows = drained(folder)
        kept = [end for end in ends if end <= cut]
        assert len(rows.entries) == len(kept)
        rest = whole[:cut][kept[-1] if kept else (8 if cut >= 8 else 0) :]
        if rest:
            digest = hashlib.sha256(rest).hexdigest()
            assert rows.marks[-1].ending == f"torn:{len(rest)}:{digest}"
            assert (folder / NAME.segment(1)).with_suffix(".torn").read_bytes() == whole[:cut]
        else:
            assert rows.marks[-1].ending == "end"
            assert names(folder) == []
        shutil.rmtree(folder)


@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_is_never_taken_for_a_row(place: int, bit: int) -> None:
    """Rows before it are taken, and nothing that was not written."""
    folder = TEMPLATE[0]
    data = bytearray(TEMPLATE[1])
    data[place % len(data)] ^= 1 << bit
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / NAME.segment(1)).write_bytes(data)
    rows = drained(folder)
    assert rows.ended() == IDS[: len(rows.ended())]
    assert rows.marks[-1].ending is not None
    assert rows.marks[-1].ending.startswith("torn:")


TEMPLATE: list = []  # type: ignore[type-arg]


@pytest.fixture(autouse=True, scope="module")
def _template(tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.mktemp("template")
    TEMPLATE[:] = [base / "b", (written(base / "a") / NAME.segment(1)).read_bytes()]


def test_a_damaged_segment_does_not_hide_the_next(tmp_path: Path) -> None:
    """Rows behind it in the same file are kept aside; those in other files are taken."""
    written(tmp_path, roll_bytes=150)
    second = tmp_path / NAME.segment(2)
    data = bytearray(second.read_bytes())
    data[12] ^= 1
    second.write_bytes(data)
    rows = drained(tmp_path)
    assert set(rows.ended()) < set(IDS)
    assert rows.ended()[-1] == IDS[-1]
    assert names(tmp_path) == ["-000002.torn"]


def test_stopped_at_any_transaction_it_goes_on(tmp_path: Path) -> None:
    """No row twice, none lost, whichever transaction failed."""
    for stop in range(40):
        folder = written(tmp_path / str(stop), in_flight=1, roll_bytes=200)
        rows = Rows(left=stop)
        with suppress(OSError):
            drained(folder, rows)
        rows.left = None
        drained(folder, rows)
        assert (rows.ended(), rows.interrupted()) == (IDS, ["open 0"])
        assert names(folder) == []


class Killed(BaseException):
    """The drainer's end."""


@pytest.mark.parametrize("step", ["unlink", "rename"])
def test_killed_at_any_removal_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before and behind each file that is removed or renamed."""
    real = {"unlink": Path.unlink, "rename": shutil.os.rename}  # type: ignore[attr-defined]
    for stop in range(8):
        for before in (True, False):
            folder = written(tmp_path / f"{stop} {before}", in_flight=1, roll_bytes=300)
            with (folder / NAME.segment(2)).open("ab") as file:
                file.write(b"half a row")
            count = iter(range(100))

            def killing(*arguments: object, **options: object) -> None:
                here = next(count) == stop  # noqa: B023
                if here and before:  # noqa: B023
                    raise Killed
                real[step](*arguments, **options)
                if here:
                    raise Killed

            rows = Rows()
            with monkeypatch.context() as patch:
                if step == "unlink":
                    patch.setattr(Path, "unlink", killing)
                else:
                    patch.setattr("os.rename", killing)
                with suppress(Killed):
                    drained(folder, rows)
            drained(folder, rows)
            assert (rows.ended(), rows.interrupted()) == (IDS, ["open 0"])
            assert names(folder) == ["-000002.torn"]


class Racing(Rows):
    """A database that another drainer is always a transaction ahead at."""

    def take(self, spool: SpoolName, entries: list[Entry], mark: Mark) -> None:  # type: ignore[override]
        """Take the rows as another one, and then find that they are taken."""
        super().take(spool, entries, mark)
        raise Moved


def test_two_drainers_do_not_take_a_row_twice(tmp_path: Path) -> None:
    """Who comes second reads again from where the first one left off."""
    written(tmp_path, in_flight=1, roll_bytes=300)
    rows = Racing()
    drained(tmp_path, rows)
    assert (rows.ended(), rows.interrupted()) == (IDS, ["open 0"])
    assert names(tmp_path) == []


def test_told_to_stop_it_stops_between_transactions(tmp_path: Path) -> None:
    """And removes no file of which something is left to take."""
    written(tmp_path, in_flight=1, roll_bytes=300)
    for turns in range(30):
        left = iter([True] * turns)
        rows = Rows()
        Drainer(
            tmp_path, rows, lambda claim: False, lambda left=left: next(left, None) is not None
        ).drain()
        if rows.interrupted():
            break
        assert rows.ended() == IDS[: len(rows.ended())]
        assert (tmp_path / NAME.slots).exists()
        rows2 = Rows()
        assert drained(_copy(tmp_path), rows2).ended()[-1] == IDS[-1]
    else:
        raise AssertionError("it never came to the end")


def _copy(folder: Path) -> Path:
    copy = folder.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return copy


def test_a_row_longer_than_what_is_read_at_once_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is, it is one row."""
    spool = a_spool(tmp_path)
    spool.finish(CALLS, begin(spool, "long"), ("x" * 5000,))
    call(spool, "short")
    spool.close()
    monkeypatch.setattr(remains, "STEP", 100)
    assert drained(tmp_path).ended() == ["long", "short"]


def test_a_kernel_killed_between_row_and_slot_was_not_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slot says where the row would be, and there it is."""
    spool = a_spool(tmp_path / "a")
    call(spool, "1")
    begun = begin(spool, "2")
    copy = tmp_path / "killed before the row"
    shutil.copytree(tmp_path / "a", copy)
    assert drained(copy).interrupted() == ["2"]
    monkeypatch.setattr(Slot, "clear", lambda self: None)
    spool.finish(CALLS, begun, ())
    spool.close()
    rows = drained(tmp_path / "a")
    assert (rows.ended(), rows.interrupted()) == (["1", "2"], [])


def test_a_row_of_another_call_does_not_end_one(tmp_path: Path) -> None:
    """Where its row was to be there may be the next one, if its own found no place."""
    spool = a_spool(tmp_path)
    begun = begin(spool, "lost")
    at = (tmp_path / NAME.segment(1)).stat().st_size
    call(spool, "next")
    begun.slot.aim(1, at)
    spool.close()
    rows = drained(tmp_path)
    assert (rows.ended(), rows.interrupted()) == (["next"], ["lost"])
