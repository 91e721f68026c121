"""A run that goes on over several files: every row once, under one header, whatever is killed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nxkernel._clock import Clock
from nxkernel.audit import draining, rotation, verification
from nxkernel.audit.ledger import opened as ledger_opened
from nxkernel.audit.log import AuditLog
from nxkernel.audit.prover import prove_consistency, prove_inclusion
from nxkernel.audit.reader import AuditReader, verify
from nxkernel.audit.records import CallRecord, RunRecord
from nxkernel.audit.segments import Segment, segments_of
from nxkernel.audit.spool.folder import folder_of, listing
from nxkernel.audit.writer import Writer
from nxkernel.errors import AuditError
from tests.unit.audit.logs import STANDALONE, Ticks, boot_facts, make_call, ok

#: So small that a run has several files in its spool.
ROLL_BYTES = 900


class Ended:
    """Stands for a drainer: nobody drains unless a test does."""

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.db"


def log_at(path: Path, *, clock: Clock | None = None, **options: Any) -> AuditLog:
    """Return a log whose spool has small files."""
    clock = clock or Ticks()
    writer = Writer(path, clock, drainer=Ended(), roll_bytes=ROLL_BYTES, **options)
    return AuditLog(path, clock, writer=writer)


def write(log: AuditLog, *numbers: int) -> None:
    """Make the calls with these numbers."""
    for number in numbers:
        call = make_call(str(number))
        log.finish(log.intend(call), call, ok(call), 1)


def drain(path: Path, **options: Any) -> int:
    """Take what is there."""
    return draining.drain(path, Ticks(), lambda: True, **options)


def files_of(path: Path) -> list[Path]:
    return [segment.path for segment in segments_of(path)]


def in_files(path: Path) -> list[tuple[list[RunRecord], list[CallRecord]]]:
    """Return the runs and the calls that each file has, oldest first."""
    found = []
    for file in files_of(path):
        with AuditReader(file) as reader:
            found.append((reader.runs(), reader.calls()))
    return found


def calls(path: Path) -> Counter[tuple[str, str, str]]:
    """Return run, number and status of every call in all files, and how often it is there."""
    return Counter(
        (call.run_id, call.call_id, call.status)
        for _, calls in in_files(path)
        for call in calls
        if call.status != "in_flight"
    )


def is_sound(path: Path) -> bool:
    """Whether both verifiers find nothing."""
    assert [p.message for p in verify(path).problems] == []
    assert STANDALONE.verify(path).problems == []
    return True


def test_a_run_goes_on_in_the_next_file(path: Path) -> None:
    """Its header is there again and says which row it continues; each call is there once."""
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    write(log, *range(10))
    drain(path)
    first = rotation.rotate(path, Ticks())
    write(log, *range(10, 20))
    second = rotation.rotate(path, Ticks())
    write(log, *range(20, 25))
    point = log.end_run()
    log.close()
    found = in_files(path)
    assert [[run.run_id for run in runs] for runs, _ in found] == [["run-1"]] * 3
    begun, again, last = [runs[0] for runs, _ in found]
    assert (begun.continues, again.continues, last.continues) == (None, begun.seq, again.seq)
    assert (last.started_ns, last.seed, last.level) == (begun.started_ns, begun.seed, begun.level)
    assert (begun.environment, begun.code_digest) == (last.environment, last.code_digest)
    assert last.status == "completed"
    assert calls(path) == Counter(("run-1", str(number), "ok") for number in range(25))
    assert is_sound(path)
    assert verify(path).runs == STANDALONE.verify(path).runs == 1
    files_of(path)[0].rename(path.with_name("elsewhere.db"))  # the run goes on, and begins nowhere
    assert verify(path).runs == STANDALONE.verify(path).runs == 1
    path.with_name("elsewhere.db").rename(first.path)
    assert verify(path, point).ok
    assert prove_inclusion(path, begun.seq).ok
    assert prove_consistency(path, point).ok
    assert [each.path for each in (first, second)] == files_of(path)[:2]


def test_what_is_in_flight_ends_in_the_next_file(path: Path) -> None:
    """Or is interrupted there, when its kernel is gone."""
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    ends, stays = make_call("1"), make_call("2")
    intent, _ = log.intend(ends), log.intend(stays)
    drain(path)
    rotation.rotate(path, Ticks())
    log.finish(intent, ends, ok(ends), 1)
    log.close()
    drain(path)
    assert calls(path) == Counter([("run-1", "1", "ok"), ("run-1", "2", "interrupted")])
    assert is_sound(path)


@pytest.mark.parametrize("before", [2, 3, 4, 6, 9])
def test_what_was_taken_in_part_is_taken_once(path: Path, before: int) -> None:
    """However much of a spool the sealed file has: the run alone, a file's end, a few files."""
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    write(log, *range(16))
    left = iter([True] * before + [False] * 1000)
    draining.drain(path, Ticks(), lambda: next(left))
    with AuditReader(path) as reader:
        assert reader.waiting()
    rotation.rotate(path, Ticks())
    write(log, *range(16, 20))
    log.end_run()
    log.close()
    assert calls(path) == Counter(("run-1", str(number), "ok") for number in range(20))
    assert is_sound(path)
    assert listing(folder_of(path)) == []


def test_files_that_were_taken_as_a_whole_are_not_missed(path: Path) -> None:
    """Of a long run only the newest file of its spool is left: the log is sound, in two files too.

    A reader sees everything with one look.
    """
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    write(log, *range(30))
    for number in range(30, 34):
        drain(path)
        (left,) = listing(folder_of(path))
        assert left.segments[0] > 2
        rotation.rotate(path, Ticks())
        write(log, number)
        assert is_sound(path)
        backlog = verify(path).backlog
        assert (backlog.rows, backlog.problems) == (1, ())
        with AuditReader(path) as reader:
            pending = reader._pending
            looks, look = [], pending._catch_up

            def counted(*said: Any, looks: Any = looks, look: Any = look) -> Any:
                looks.append(said)
                return look(*said)

            pending._catch_up = counted  # type: ignore[method-assign]
            assert reader.waiting() == 1
            assert len(looks) == 1
    log.end_run()
    log.close()
    assert calls(path) == Counter(("run-1", str(number), "ok") for number in range(34))
    assert is_sound(path)


def test_what_is_verified_is_not_sealed_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotation between two files of a verification would have it miss the one in the middle."""
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    write(log, *range(3))
    drain(path)
    rotation.rotate(path, Ticks())
    write(log, *range(3, 6))
    log.close()  # so that nobody but who verifies has it open
    verified, refused = verification._verified, []

    def meanwhile(segment: Segment, *said: Any) -> Any:
        if segment.first:
            with pytest.raises(AuditError, match="locked") as error:
                rotation.rotate(path, Ticks(), waits=False)
            refused.append(error)
        return verified(segment, *said)

    with monkeypatch.context() as patch:
        patch.setattr(verification, "_verified", meanwhile)
        assert verify(path).problems == ()
    assert len(refused) == 1
    rotation.rotate(path, Ticks(), waits=False)  # nobody holds it any more
    assert is_sound(path)


def test_a_log_between_two_of_its_files_is_sound(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between two renames leaves none to write to: what is there verifies, and waits."""
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    write(log, *range(30))
    drain(path)
    write(log, 30)
    rename = os.rename

    def killed(old: Any, new: Any) -> None:
        if Path(new) == path:
            raise KeyboardInterrupt
        rename(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(rotation.os, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            rotation.rotate(path, Ticks())
    assert not path.exists()
    found = verify(path)
    assert (found.ok, found.backlog.rows) == (True, 1)
    assert prove_inclusion(path, 1).ok
    log.end_run()
    log.close()
    assert calls(path) == Counter(("run-1", str(number), "ok") for number in range(31))
    assert is_sound(path)


def test_several_runs_go_on_beside_each_other(path: Path) -> None:
    """Each under its own header; one that is over is not there again."""
    over = log_at(path)
    over.begin_run(boot_facts("over"))
    over.end_run()
    over.close()
    logs = [log_at(path) for _ in range(3)]
    for number, log in enumerate(logs):
        log.begin_run(boot_facts(f"run-{number}"))
        write(log, *range(5))
    drain(path)
    rotation.rotate(path, Ticks())
    for log in logs:
        write(log, *range(5, 9))
        log.end_run()
        log.close()
    (_, (runs, _)) = in_files(path)
    assert sorted(run.run_id for run in runs) == ["run-0", "run-1", "run-2"]
    assert all(run.continues for run in runs)
    assert calls(path) == Counter(
        (f"run-{number}", str(call), "ok") for number in range(3) for call in range(9)
    )
    assert is_sound(path)


def test_numbers_of_spools_go_on(path: Path) -> None:
    """The next file knows the last one, though no spool is left."""
    for name in ("run-1", "run-2"):
        log = log_at(path)
        log.begin_run(boot_facts(name))
        log.end_run()
        log.close()
    rotation.rotate(path, Ticks())
    with ledger_opened(path, Ticks()) as ledger:
        assert ledger.next_spool("ab" * 16).number == 3
    assert is_sound(path)


class Killed(BaseException):
    """Stands for the end of the process."""


def points() -> Iterator[tuple[Any, str]]:
    """Yield every step of a rotation that may be its last."""
    for name in ("_seal", "_go_on", "_note", "_next", "carried", "_move"):
        yield rotation, name


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("module", "name"), list(points()), ids=lambda each: str(each))
def test_a_kill_at_any_step_loses_and_doubles_nothing(
    path: Path, module: Any, name: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the step and behind it; the kernel goes on writing, and the next one finishes it."""
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    write(log, *range(8))
    drain(path)
    write(log, *range(8, 10))
    step: Callable[..., Any] = getattr(module, name)

    def kill(*arguments: Any, **options: Any) -> Any:
        if after and step(*arguments, **options) is False:
            return False  # the kernel has not let go yet
        raise Killed

    monkeypatch.setattr(module, name, kill)
    with pytest.raises(Killed):
        rotation.rotate(path, Ticks())
    monkeypatch.undo()
    write(log, *range(10, 14))
    assert drain(path) > 0
    write(log, 14)
    log.end_run()
    log.close()
    assert calls(path) == Counter(("run-1", str(number), "ok") for number in range(15))
    assert is_sound(path)
    assert len(files_of(path)) == (1 if name == "_seal" and not after else 2)
    assert not path.with_name("audit.db-next").exists()


def test_the_drainer_seals_a_file_that_is_large(path: Path) -> None:
    """And goes on in the next, as often as it takes; the kernel notices nothing."""
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    for start in range(0, 3000, 500):
        write(log, *range(start, start + 500))
        drain(path, rotate_bytes=300_000)
    log.end_run()
    log.close()
    assert len(files_of(path)) > 2
    assert calls(path) == Counter(("run-1", str(number), "ok") for number in range(3000))
    assert is_sound(path)


def test_a_drainer_does_not_wait_for_a_reader(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes everything all the same; the file is sealed when nobody reads."""
    monkeypatch.setattr(rotation, "_FEW", 2)
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    write(log, *range(2000))
    with AuditReader(path) as reader:
        assert reader.newest() == 0
        assert drain(path, rotate_bytes=250_000) > 1900
        assert len(files_of(path)) == 1
        assert len(reader.calls()) == 2000
    monkeypatch.undo()
    drain(path, rotate_bytes=250_000)
    assert len(files_of(path)) == 2
    log.end_run()
    log.close()
    assert is_sound(path)


def test_the_end_of_a_run_seals_a_file_that_is_large(path: Path) -> None:
    """Runs that are too short for a drainer do not let a file grow for ever."""
    for number in range(3):
        log = log_at(path, rotate_bytes=250_000)
        log.begin_run(boot_facts(f"run-{number}"))
        write(log, *range(600))
        point = log.end_run()
        assert verify(path, point).ok
        log.close()
    assert len(files_of(path)) == 4
    assert is_sound(path)
    assert sum(calls(path).values()) == 1800


def test_a_rotation_that_was_killed_asks_nobody(path: Path) -> None:
    """Its lock is gone with it, and only its file is left: kernels keep what they have open."""
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    drain(path)
    place = path.with_name("audit.db-rotate")
    place.touch()
    log._writer._look()  # type: ignore[attr-defined]
    assert log._writer._kept is not None  # type: ignore[attr-defined]
    rotation.rotate(path, Ticks())
    assert not place.exists()
    log.close()
    assert is_sound(path)


def test_a_kernel_opens_the_next_file_again(path: Path) -> None:
    """For the sake of readers without the right to make the files that they share."""
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    drain(path)
    rotation.rotate(path, Ticks())
    log._writer._look()  # type: ignore[attr-defined]
    assert path.with_name("audit.db-shm").exists()
    log.close()
    assert not path.with_name("audit.db-shm").exists()
    assert os.listdir(path.parent / "segments")
