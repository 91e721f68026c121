"""Files of a log are sealed, moved and compressed, and stay one log; nothing is lost on the way."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nxkernel.audit import rotation
from nxkernel.audit.checkpoint import Checkpoint
from nxkernel.audit.ledger import opened as ledger_opened
from nxkernel.audit.prover import prove_consistency, prove_inclusion
from nxkernel.audit.reader import AuditReader
from nxkernel.audit.segments import sealed_folder
from nxkernel.audit.verification import VerifyReport, verify
from nxkernel.errors import AuditError
from tests.unit.audit.logs import (
    DIGEST,
    STANDALONE,
    Ticks,
    every_row,
    sample_rows,
    tampering,
    write_batches,
    write_sample,
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.db"


@pytest.fixture
def points(log: Path) -> list[Checkpoint]:
    """Three files of one log; the checkpoint at the end of each."""
    found = []
    for number in range(3):
        found.append(write_batches(log, sample_rows(log), 7)[-1])
        if number < 2:
            rotation.rotate(log, Ticks())
    return found


def both(
    log: Path, checkpoint: Checkpoint | None = None, archives: tuple[Path, ...] = ()
) -> VerifyReport:
    """Verify with both verifiers, which must agree, and return our report."""
    report = verify(log, checkpoint, archives=archives)
    point = (checkpoint.origin, checkpoint.size, checkpoint.root) if checkpoint else None
    other = STANDALONE.verify(log, point, archives)
    assert [p[:3] for p in other.problems] == [(p.kind, p.table, p.seq) for p in report.problems]
    assert (other.rows, other.runs) == (report.rows, report.runs)
    head = report.head
    assert other.head() == ([head.origin, head.size, head.root] if head else None)
    return report


def found(log: Path, checkpoint: Checkpoint | None = None) -> list[tuple[str, str, int]]:
    """Return kind, table and number of each problem."""
    return [(p.kind, p.table, p.seq) for p in both(log, checkpoint).problems]


def sealed(log: Path) -> list[Path]:
    """Return the sealed files, oldest first."""
    return sorted(sealed_folder(log).glob("*.db*"))


def test_a_log_goes_on_in_the_next_file(log: Path, points: list[Checkpoint]) -> None:
    """Numbers, name and tree go on, and each checkpoint is still continued."""
    first, second = sealed(log)
    assert [path.name for path in (first, second)] == [
        "000000000001.db",
        f"{every_row(second)[0][0]:012d}.db",
    ]
    assert every_row(second)[0][0] == every_row(first)[-1][0] + 1
    assert len({point.origin for point in points}) == 1
    report = both(log, points[0])
    assert report.ok
    assert (report.rows, report.runs, report.head) == (points[-1].size, 3, points[-1])
    for point in points:
        assert both(log, point).ok


def test_a_sealed_file_can_be_read_by_itself(log: Path, points: list[Checkpoint]) -> None:
    """By another user too: it is no WAL file, it has its own names, and nobody may write to it."""
    for path in sealed(log):
        assert path.stat().st_mode & 0o777 == 0o444
        assert path.read_bytes()[18:20] == b"\1\1"
        with AuditReader(path) as reader:
            (run,) = reader.runs()
            assert (run.run_id, run.level, run.lock_digest) == ("run-1", "confined", DIGEST)
    assert both(sealed(log)[0]).ok
    alone = both(sealed(log)[1])
    assert alone.ok
    assert any("the files that have them are not here" in limit for limit in alone.limits)


def test_a_sealed_file_takes_no_more_rows(log: Path, points: list[Checkpoint]) -> None:
    """Whoever kept it open is refused by its triggers."""
    copy = log.with_name("copy.db")
    shutil.copy(sealed(log)[0], copy)
    copy.chmod(0o600)
    with closing(sqlite3.connect(copy)) as connection:
        for statement in (
            "INSERT INTO names VALUES (999, 'x')",
            "INSERT INTO seals VALUES (999, 1)",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


def test_proofs_reach_over_all_files(log: Path, points: list[Checkpoint]) -> None:
    """A row of a sealed file is in the log as it is now, which continues each older state."""
    proof = prove_inclusion(log, 4)
    assert proof.ok
    assert proof.checkpoint == points[-1]
    assert prove_consistency(log, points[0]).ok


def test_an_edit_in_a_sealed_file_is_found(log: Path, points: list[Checkpoint]) -> None:
    """The message says in which file."""
    path = sealed(log)[0]
    path.chmod(0o600)
    with tampering(path) as connection:
        connection.execute("UPDATE runs SET python = '2.7'")
    (problem,) = both(log).problems
    assert problem.kind == "edited"
    assert problem.message.startswith("000000000001.db: ")


def remove_first(log: Path) -> list[tuple[str, str, int]]:
    """Without its first file a log begins later: that is said, and is no problem."""
    sealed(log)[0].unlink()
    return []


def remove_second(log: Path) -> list[tuple[str, str, int]]:
    """A file from the middle is missed."""
    first = every_row(sealed(log)[1])[0][0]
    sealed(log)[1].unlink()
    return [("missing", "", first)]


def another_first(log: Path) -> list[tuple[str, str, int]]:
    """A file of another log does not fit before the next."""
    other = log.parent / "other" / "audit.db"
    write_sample(other)
    rotation.rotate(other, Ticks())
    second = every_row(sealed(log)[1])[0][0]
    path = sealed(log)[0]
    shutil.copy(sealed(other)[0], path.with_name("new"))
    os.replace(path.with_name("new"), path)
    return [("forged", "segments", second)]


def another_base(log: Path) -> list[tuple[str, str, int]]:
    """A next file that begins with another frontier continues another state."""
    first = every_row(log)[0][0]
    with tampering(log) as connection:
        connection.execute("UPDATE segments SET frontier = zeroblob(length(frontier))")
    return [("edited", "segments", first), ("forged", "segments", first)]


@pytest.mark.parametrize("attack", [remove_first, remove_second, another_first, another_base])
def test_attacks_on_the_files(
    log: Path, points: list[Checkpoint], attack: Callable[[Path], list[tuple[str, str, int]]]
) -> None:
    """A file that is gone, exchanged or joined to another one is found, or said to be missing."""
    expected = attack(log)
    assert set(expected) <= set(found(log))
    report = both(log, points[0])
    assert not report.ok or any("is not here" in limit for limit in report.limits)


def test_archives_are_compressed_and_moved(
    log: Path, points: list[Checkpoint], tmp_path: Path
) -> None:
    """What was moved verifies from where it is now; the manifest says where that is."""
    contents = [path.read_bytes() for path in sealed(log)]
    there = tmp_path / "archive"
    moved = rotation.archive(log, there, Ticks())
    assert [gzip.decompress(path.read_bytes()) for path in moved] == contents
    assert sealed(log) == []
    assert any("are not here" in limit for limit in both(log).limits)
    report = both(log, points[0], (there,))
    assert report.ok
    assert report.rows == points[-1].size
    assert prove_inclusion(log, 4, archives=(there,)).ok
    with pytest.raises(AuditError, match="give the folder where they were moved to"):
        prove_inclusion(log, 4)
    manifest = (sealed_folder(log) / "manifest.jsonl").read_text().splitlines()
    lines: list[dict[str, Any]] = [json.loads(line) for line in manifest]
    assert [line.get("moved_to") for line in lines] == [None, None, *map(str, moved)]
    assert Checkpoint.parse(lines[0]["checkpoint"]).size == every_row_of(contents[0], tmp_path)
    assert rotation.archive(log, there, Ticks()) == []


def every_row_of(data: bytes, folder: Path) -> int:
    """Return how many rows the file with these bytes has."""
    path = folder / "unpacked.db"
    path.write_bytes(data)
    return len(every_row(path))


def test_archives_may_stay_where_they_are(log: Path, points: list[Checkpoint]) -> None:
    """Compressed in place, the log is still whole."""
    rotation.archive(log, sealed_folder(log), Ticks())
    assert {path.suffix for path in sealed(log)} == {".gz"}
    assert both(log, points[0]).ok
    assert both(log).rows == points[-1].size


def test_a_copy_that_is_another_one_takes_nothing_away(
    log: Path, points: list[Checkpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original goes only when its copy was read back and is the same."""
    digests = iter("ab")
    monkeypatch.setattr(rotation, "_sha256", lambda path, packed=False: next(digests))
    with pytest.raises(AuditError, match="the copy is another one"):
        rotation.archive(log, tmp_path / "archive", Ticks())
    assert len(sealed(log)) == 2


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("name", ["_go_on", "_note", "_next", "_move"])
def test_a_rotation_that_was_killed_is_finished_by_the_next_who_writes(
    log: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed and not moved, moved and not followed, followed and not in place: no row is lost."""
    point = write_batches(log, sample_rows(log), 7)[-1]

    def kill(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(rotation, name, kill)
    with pytest.raises(Killed):
        rotation.rotate(log, Ticks())
    monkeypatch.undo()
    with ledger_opened(log, Ticks()) as ledger:
        checkpoint = ledger.checkpoint()
    assert checkpoint.origin == point.origin
    assert checkpoint.size > point.size
    assert both(log, point).ok
    assert len(sealed(log)) == 1
    assert write_batches(log, sample_rows(log), 7)[-1].size > checkpoint.size
    assert both(log, point).ok


def test_a_log_that_somebody_reads_is_not_sealed(log: Path) -> None:
    """The error says so, and nothing has changed."""
    point = write_batches(log, sample_rows(log), 7)[-1]
    with closing(sqlite3.connect(log)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM runs").fetchall()
        with pytest.raises(AuditError, match=r"cannot seal audit/audit\.db: database is locked"):
            rotation.rotate(log, Ticks(), waits=False)
    assert both(log, point).head == point


def test_there_has_to_be_something_to_seal(log: Path) -> None:
    """No file and an empty one are refused."""
    with pytest.raises(AuditError, match="there is no audit log"):
        rotation.rotate(log, Ticks())
    write_batches(log, [], 1)
    with pytest.raises(AuditError, match="no rows to seal"):
        rotation.rotate(log, Ticks())


def test_when_a_file_is_due(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its rows or by its size; what cannot be read is not."""
    assert not rotation.is_due(log)
    size = write_batches(log, sample_rows(log), 7)[-1].size
    assert not rotation.is_due(log)
    monkeypatch.setattr(rotation, "MAX_ROWS", size)
    assert rotation.is_due(log)
    monkeypatch.setattr(rotation, "MAX_ROWS", size + 1)
    assert not rotation.is_due(log)
    monkeypatch.setattr(rotation, "MAX_BYTES", log.stat().st_size)
    assert rotation.is_due(log)
