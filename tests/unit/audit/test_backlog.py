"""Damage to what waits, by attack: found with the right words, or listed as beyond that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from nxkernel._canonical import decode, encode
from nxkernel.audit.backlog import Backlog, backlog_of
from nxkernel.audit.draining import drain
from nxkernel.audit.ledger import opened as ledger_of
from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader, verify
from nxkernel.audit.segments import Segment
from nxkernel.audit.spool.drainer import Drainer
from nxkernel.audit.spool.folder import folder_of
from nxkernel.audit.spool.frames import frame, frames
from nxkernel.audit.spool.segments import MAGIC
from nxkernel.audit.spool.slots import CHUNK
from nxkernel.audit.writer import Writer
from nxkernel.errors import IntegrityError
from tests.unit.audit.logs import Ticks, boot_facts, make_call, ok, write_sample

CALLS = 30


@attrs.frozen
class Victim:
    """A log whose last kernel was killed: calls wait in several segments, and one is in flight."""

    path: Path
    #: How the names of its spool begin.
    prefix: str

    @property
    def segments(self) -> list[Path]:
        return sorted(folder_of(self.path).glob("*.spool"))

    @property
    def slots(self) -> Path:
        return folder_of(self.path) / f"{self.prefix}.slots"

    def payloads(self, segment: int) -> list[bytes]:
        """Return the rows of a segment."""
        data = self.segments[segment].read_bytes()
        return [bytes(payload) for payload, _ in frames(data, len(MAGIC))]

    def write(self, segment: int, payloads: list[bytes]) -> None:
        """Write rows with their checksums, as a forger would."""
        self.segments[segment].write_bytes(MAGIC + b"".join(map(frame, payloads)))


def killed(path: Path, run_id: str = "run-3", clock: Ticks | None = None) -> Victim:
    """Leave what a kernel leaves that is killed."""
    clock = clock or Ticks()
    writer = Writer(path, clock, roll_bytes=4000)
    log = AuditLog(path, clock, writer=writer)
    log.begin_run(boot_facts(run_id, clock=clock))
    for number in range(CALLS):
        call = make_call(str(number), run_id=run_id)
        log.finish(log.intend(call), call, ok(call), 1)
    log.intend(make_call("open", run_id=run_id))
    assert writer._spool is not None
    prefix = writer._spool.name.prefix
    log._leave()
    writer.close()
    return Victim(path, prefix)


@pytest.fixture
def log(tmp_path: Path) -> Victim:
    path = tmp_path / "audit.db"
    write_sample(path)
    return killed(path)


def drain_some(path: Path, steps: int) -> None:
    """Have a drainer work until it was asked *steps* times whether to go on."""
    left = iter(range(steps))
    drain(path, Ticks(), lambda: next(left, None) is not None)


def found(log: Victim) -> list[tuple[str, str]]:
    """Return kind and words of what is wrong, without names of files."""
    report = verify(log.path)
    assert not report.problems
    assert report.ok == (not report.backlog.problems)
    return [(p.kind, p.message.replace(log.prefix, "S")) for p in report.backlog.problems]


def test_what_a_killed_kernel_leaves_is_sound(log: Victim) -> None:
    """Rows are counted, and that they have no tree yet is said."""
    report = verify(log.path)
    assert report.ok
    assert report.backlog == Backlog(rows=1 + CALLS, in_flight=1)
    assert any(f"none of the {CALLS + 2} rows that wait" in limit for limit in report.limits)
    assert len(log.segments) >= 3


def test_nothing_waits_when_all_was_taken(log: Victim) -> None:
    """Then nothing is said of it either."""
    drain_some(log.path, 10**6)
    report = verify(log.path)
    assert report.ok
    assert report.backlog == Backlog()
    assert not any("wait" in limit for limit in report.limits)


@pytest.mark.parametrize("steps", range(0, 24, 3))
def test_what_a_killed_drainer_leaves_is_sound(log: Victim, steps: int) -> None:
    """Wherever it stopped."""
    drain_some(log.path, steps)
    assert found(log) == []


@pytest.mark.parametrize("keep", [1, 7, 8, 9, 40])
def test_a_torn_row_is_no_damage(log: Victim, keep: int) -> None:
    """A kernel that is killed while it writes leaves the beginning of a row; its size is told."""
    last = log.segments[-1]
    last.write_bytes(last.read_bytes() + frame(b"x" * 60)[:keep])
    assert found(log) == []
    assert verify(log.path).backlog.torn == keep


def test_zeros_are_no_damage(log: Victim) -> None:
    """They are there while a kernel asks whether the disk has room, and after a loss of power."""
    last = log.segments[-1]
    last.write_bytes(last.read_bytes() + bytes(4096))
    assert found(log) == []


def test_a_log_at_work_is_sound_at_every_moment(tmp_path: Path) -> None:
    """Files come and go while they are looked at, rows are half written: that is no damage."""
    path = tmp_path / "audit.db"
    log = AuditLog(path, Ticks(), writer=Writer(path, Ticks(), roll_bytes=2000))
    log.begin_run(boot_facts())
    done = threading.Event()

    def work() -> None:
        for number in range(300):
            call = make_call(str(number))
            log.finish(log.intend(call), call, ok(call), 1)
        log.end_run()
        done.set()

    def drain_on() -> None:
        while not done.is_set():
            drain(path, Ticks(), lambda: True)

    threads = [threading.Thread(target=work), threading.Thread(target=drain_on)]
    for thread in threads:
        thread.start()
    seen = []
    while not done.is_set():
        seen.append(backlog_of(path, Segment(0, path)))
    for thread in threads:
        thread.join()
    log.close()
    assert [each.problems for each in seen if each.problems] == []
    assert backlog_of(path, Segment(0, path)) == Backlog()


# -- the matrix ------------------------------------------------------------------------------


def flip(path: Path, at: int, bits: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= bits
    path.write_bytes(data)


def a_byte_of_a_row_edited(log: Victim) -> list[tuple[str, str]]:
    """The rows behind it are counted: nothing will take them."""
    rows = log.payloads(1)
    flip(log.segments[1], len(MAGIC) + 100)
    behind = f"{len(rows) - 1} whole rows behind it are cut off from the rest"
    return [("damaged", f"S-000002.spool is damaged at byte {len(MAGIC)}; {behind}")]


def a_length_edited(log: Victim) -> list[tuple[str, str]]:
    """A length that reaches beyond the file is no torn row when whole rows follow it."""
    rows = log.payloads(1)
    flip(log.segments[1], len(MAGIC) + 2, 0x40)
    behind = f"{len(rows) - 1} whole rows behind it are cut off from the rest"
    return [("damaged", f"S-000002.spool is damaged at byte {len(MAGIC)}; {behind}")]


def the_last_row_edited(log: Victim) -> list[tuple[str, str]]:
    """A row that is all there and not what was written is no torn one."""
    last = log.segments[-1]
    at = last.stat().st_size - len(frame(log.payloads(-1)[-1]))
    flip(last, last.stat().st_size - 1)
    return [("damaged", f"S-{len(log.segments):06d}.spool is damaged at byte {at}")]


def a_header_edited(log: Victim) -> list[tuple[str, str]]:
    """Nothing of such a file is ever taken."""
    flip(log.segments[1], 3)
    return [("damaged", "S-000002.spool does not begin as a spool does: none of it is taken")]


def a_segment_removed(log: Victim) -> list[tuple[str, str]]:
    """One between two others is missed."""
    log.segments[1].unlink()
    words = "S-000002.spool is missing: the database has not taken it as a whole"
    return [("missing", words)]


def the_first_segment_removed(log: Victim) -> list[tuple[str, str]]:
    """Also the first."""
    log.segments[0].unlink()
    words = "S-000001.spool is missing: the database has not taken it as a whole"
    return [("missing", words)]


def the_slots_removed(log: Victim) -> list[tuple[str, str]]:
    """With them the calls in flight would be gone."""
    log.slots.unlink()
    return [("missing", "S.slots is missing: calls in flight would not be seen")]


def the_slots_overwritten(log: Victim) -> list[tuple[str, str]]:
    """What is no row of slots is not read as an empty one."""
    log.slots.write_bytes(b"\xff" * CHUNK)
    return [("damaged", "S.slots is damaged: a call in flight may not be seen")]


def another_run_said(log: Victim) -> list[tuple[str, str]]:
    """A spool is called after its run."""
    table, number, facts, more = decode(log.payloads(0)[0])
    facts[0] = "run-9"
    log.write(0, [encode([table, number, facts, more]), *log.payloads(0)[1:]])
    return [("forged", "S-000001.spool is of another run than the one that it is called after")]


def the_runs_own_row_removed(log: Victim) -> list[tuple[str, str]]:
    """The first row of a spool is its run's."""
    log.write(0, log.payloads(0)[1:])
    return [("forged", "S-000001.spool is of another run than the one that it is called after")]


def put_in(log: Victim, row: bytes, words: str) -> list[tuple[str, str]]:
    """Put *row* behind that of the run, with a good checksum."""
    rows = log.payloads(0)
    at = len(MAGIC) + len(frame(rows[0]))
    log.write(0, [rows[0], row, *rows[1:]])
    return [("malformed", f"S-000001.spool: what stands at byte {at} is no row: {words}")]


def a_seal_said(log: Victim) -> list[tuple[str, str]]:
    """A spool has no rows of batches, names or seals, which are the database's to make."""
    words = "a row of a table that spools have no rows of"
    return put_in(log, encode(["seals", 0, [], []]), words)


def a_table_that_is_none(log: Victim) -> list[tuple[str, str]]:
    """Nor of tables that there are not."""
    words = "a row of a table that spools have no rows of"
    return put_in(log, encode(["nonsense", 0, [1], []]), words)


def a_row_of_the_wrong_shape(log: Victim) -> list[tuple[str, str]]:
    """A row that its table does not take is named before it is taken."""
    return put_in(log, encode(["events", 0, [1], []]), "events has 7 columns")


def a_number_too_large(log: Victim) -> list[tuple[str, str]]:
    """Also one that only SQLite does not take."""
    row = encode(["events", 0, [2**63, "k", "", None, None, "{}"], []])
    return put_in(log, row, "an integer that the database has no room for")


def a_copy_under_a_new_number(log: Victim) -> list[tuple[str, str]]:
    """A run that is in the database, or in another spool, is not recorded twice."""
    number, rest = log.prefix.split("-")
    copies = []
    for path in (*log.segments, log.slots):
        copies.append((path.name.replace(number, f"{int(number) + 1:08d}"), path.read_bytes()))
    drain_some(log.path, 10**6)
    for name, data in copies:
        (folder_of(log.path) / name).write_bytes(data)
    with AuditReader(log.path) as reader:
        run = reader.runs("run-3")[0].seq
    copy = f"{int(number) + 1:08d}-{rest}-000001.spool"
    return [("forged", f"{copy} is a copy: its run is row {run} of the database already")]


def cut_below_what_was_taken(log: Victim) -> list[tuple[str, str]]:
    """The database knows how far a file went."""
    took = taken_in_part(log)
    log.segments[0].write_bytes(log.segments[0].read_bytes()[: took - 1])
    words = f"S-000001.spool ends at byte {took - 1}, and the database has taken it up to {took}"
    return [("truncated", f"{words}: what came after that is gone")]


def removed_when_taken_in_part(log: Victim) -> list[tuple[str, str]]:
    """It knows as well that there was more to come."""
    took = taken_in_part(log)
    for path in (*log.segments, log.slots):
        path.unlink()
    words = f"S-000001.spool is missing: the database has taken it up to byte {took}"
    return [("missing", f"{words}, and what came after that is gone")]


def taken_in_part(log: Victim) -> int:
    """Have the first segment taken in part; return up to where."""
    first = log.segments[0]
    whole = first.read_bytes()
    ends = [end for _, end in frames(whole, len(MAGIC))]
    # What a drainer of a living kernel finds: only a part is there.
    others = {path: path.read_bytes() for path in (*log.segments[1:], log.slots)}
    first.write_bytes(whole[: ends[3]])
    for path in others:
        path.unlink()
    with_lives(log.path)
    first.write_bytes(whole)
    for path, data in others.items():
        path.write_bytes(data)
    return ends[3]


def with_lives(path: Path) -> None:
    """Drain as if the kernel still lived."""
    with ledger_of(path, Ticks()) as ledger:
        Drainer(folder_of(path), ledger, lambda claim: True).drain()


MATRIX = [
    a_byte_of_a_row_edited, a_length_edited, the_last_row_edited, a_header_edited,
    a_segment_removed, the_first_segment_removed, the_slots_removed, the_slots_overwritten,
    another_run_said, the_runs_own_row_removed, a_seal_said, a_table_that_is_none,
    a_row_of_the_wrong_shape, a_number_too_large, a_copy_under_a_new_number,
    cut_below_what_was_taken, removed_when_taken_in_part,
]  # fmt: skip


@pytest.mark.parametrize("attack", MATRIX, ids=lambda attack: attack.__name__)
def test_the_matrix_of_attacks(
    log: Victim, attack: Callable[[Victim], list[tuple[str, str]]]
) -> None:
    """Each is found with the right words; and a drainer that comes later is not stopped by it."""
    assert attack(log) == found(log)
    with pytest.raises(IntegrityError, match=r"spool|slots"):
        verify(log.path).require()
    drain_some(log.path, 10**6)
    assert not verify(log.path).problems
    with AuditReader(log.path) as reader:
        reader.calls()


def test_a_tail_that_was_kept_is_held_to_its_digest(log: Victim) -> None:
    """What is no row is kept as evidence, and its digest is in the tree."""
    last = log.segments[-1]
    last.write_bytes(last.read_bytes() + frame(b"x" * 60)[:40])
    drain_some(log.path, 10**6)
    assert found(log) == []
    (kept,) = folder_of(log.path).glob("*.torn")
    flip(kept, kept.stat().st_size - 1)
    words = f"{kept.name.replace(log.prefix, 'S')} is not what was recorded when it was kept"
    assert found(log) == [("edited", words)]


# -- what cannot be found ----------------------------------------------------------------------


def a_row_edited_with_its_checksum(log: Victim) -> None:
    table, number, facts, more = decode(log.payloads(0)[1])
    more[1] = 1
    log.write(0, [log.payloads(0)[0], encode([table, number, facts, more]), *log.payloads(0)[2:]])


def a_row_cut_out(log: Victim) -> None:
    log.write(1, log.payloads(1)[1:])


def two_rows_swapped(log: Victim) -> None:
    first, second, *others = log.payloads(1)
    log.write(1, [second, first, *others])


def cut_at_the_end_of_a_row(log: Victim) -> None:
    log.write(-1, log.payloads(-1)[:-1])


def a_whole_spool_removed(log: Victim) -> None:
    for path in (*log.segments, log.slots):
        path.unlink()


def a_spool_of_another_log(log: Victim) -> None:
    other = killed(log.path.parent / "other" / "audit.db", "run-7")
    number = f"{int(log.prefix[:8]) + 1:08d}"
    for path in (*other.segments, other.slots):
        path.rename(folder_of(log.path) / (number + path.name[8:]))


BEYOND = [
    a_row_edited_with_its_checksum, a_row_cut_out, two_rows_swapped, cut_at_the_end_of_a_row,
    a_whole_spool_removed, a_spool_of_another_log,
]  # fmt: skip


@pytest.mark.parametrize("attack", BEYOND, ids=lambda attack: attack.__name__)
def test_what_cannot_be_found_is_said(log: Victim, attack: Callable[[Victim], None]) -> None:
    """Before a row is in the tree, whoever may write the files may change it; the report says so.

    The documentation lists the same: a test that began to fail here would be good news.
    """
    attack(log)
    report = verify(log.path)
    assert report.ok
    waiting = report.backlog.rows + report.backlog.in_flight
    assert bool(waiting) == any("changed together with its checksum" in x for x in report.limits)
