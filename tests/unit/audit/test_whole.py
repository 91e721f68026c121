"""A reader sees all files of a log as one: whether it was sealed makes no difference."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest

from nxkernel.audit import reader, rotation, whole
from nxkernel.audit.filters import CallFilter
from nxkernel.audit.following import follow
from nxkernel.audit.request import asked
from nxkernel.audit.segments import sealed_folder, segments_of
from nxkernel.audit.whole import AuditReader
from nxkernel.dispatch.stack import Event
from nxkernel.errors import AuditError
from tests.unit.audit.logs import Ticks, boot_facts, facts_of, failed, make_call, ok, write_sample
from tests.unit.audit.test_seams import drain, log_at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit" / "audit.db"


class Still(Ticks):
    """A clock that goes on when it is told to: who opens a database asks it too."""

    now = 1_700_000_000_000_000_000

    def wall_ns(self) -> int:
        return self.now


def fill(path: Path, *, rotates: bool) -> None:
    """Write two runs beside each other; after each step the log is rotated, or not."""
    clock = Still()
    logs = [log_at(path, clock=clock) for _ in range(2)]
    for number, log in enumerate(logs):
        log.begin_run(boot_facts(f"run-{number}"))
        log.plugin(facts_of())
    step(path, rotates)
    asks = make_call("a")
    intent = logs[0].intend(asks)
    left = make_call("left")
    logs[1].intend(left)
    for each in range(4):
        for log in logs:
            clock.now += 1_000_000
            inner = make_call(f"a.{each}", parent="a", caller="store", plugin="disk", depth=1)
            under = make_call(f"a.{each}.1", parent=f"a.{each}", caller="disk", depth=2)
            first, second = log.intend(inner), log.intend(under)
            log.finish(second, under, (failed if each % 2 else ok)(under), 7)
            step(path, rotates)
            log.finish(first, inner, ok(inner), 9)
            log.event(Event(kind="worker.exit", plugin="disk", data={"each": each}))
        step(path, rotates)
    logs[0].finish(intent, asks, ok(asks), 100)
    logs[0].end_run()
    logs[0].close()
    logs[1].close()
    drain(path)


def step(path: Path, rotates: bool) -> None:
    drain(path)
    if rotates:
        rotation.rotate(path, Ticks())


def answers(log: reader.AuditReader) -> dict[str, Any]:
    """Ask everything that a reader answers, without the numbers of rows."""
    wheres = [
        CallFilter(),
        CallFilter(run_id="run-0"),
        CallFilter(failures=True),
        CallFilter(plugin="disk", run_id="run-1"),
        CallFilter(min_us=9),
        CallFilter(run_id="nobody"),
    ]
    return {
        "runs": [said(run, "continues") for run in log.runs()],
        "one run": [run.run_id for run in log.runs("run-1")],
        "plugins": [said(each) for each in log.plugins()],
        "events": [said(each) for each in log.events()],
        "kinds": [said(each) for each in log.events("run-0", "worker.exit")],
        "select": [[said(call) for call in log.select(where)] for where in wheres],
        "newest": [[said(call) for call in log.select(where, limit=3)] for where in wheres],
        "stream": [[said(call) for call in log.stream(where)] for where in wheres],
        "ended": [[said(call) for call in log.stream(w, unended=False)] for w in wheres],
        "total": [log.total(where) for where in wheres],
        "latest": [[said(call) for call in log.latest(where, limit=5)] for where in wheres],
        "tally": sorted(log.tally(0).items()),
        "interrupted": [said(call) for call in log.interrupted()],
        "show": [(level, said(call)) for level, call in log.show("run-0", "a").walk()],
        "statistics": said(log.statistics()),
        "compare": log.compare("run-0", "run-1").same,
    }


def said(record: Any, *without: str) -> Any:
    """Return a record as plain values, all the way down, without the numbers of rows."""
    return plain(attrs.asdict(record), {"seq", *without})


def plain(value: Any, without: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: plain(item, without) for key, item in value.items() if key not in without}
    return [plain(item, without) for item in value] if isinstance(value, list | tuple) else value


def test_files_make_no_difference(path: Path, tmp_path: Path) -> None:
    """To any query: runs, plugins, events, calls, trees, figures, differences."""
    other = tmp_path / "other" / "audit.db"
    fill(path, rotates=True)
    fill(other, rotates=False)
    with AuditReader(path) as many, AuditReader(other) as one:
        assert answers(many) == answers(one)
        assert many.newest() > 0
    assert (len(segments_of(path)), len(segments_of(other))) == (14, 1)


def test_calls_are_tallied_since_a_moment(path: Path) -> None:
    """Those that began then or later, in flight or not, as if each had been looked at."""
    fill(path, rotates=False)
    with AuditReader(path) as log:
        calls = log.calls()
        moments = sorted({call.started_ns for call in calls})
        for since in (0, *moments, moments[-1] + 1):
            late = [call for call in calls if call.started_ns >= since]
            counts = Counter((call.run_id, call.plugin, call.edition) for call in late)
            faults = Counter(
                (call.run_id, call.plugin, call.edition) for call in late if call.fault == "plugin"
            )
            assert log.tally(since) == {key: (n, faults[key]) for key, n in counts.items()}
        assert any(failures for _, failures in log.tally(0).values())


def test_files_that_were_sealed_before_are_not_tallied(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of years of calls a window of a week looks at those of a week."""
    clock = Still()
    log = log_at(path, clock=clock)
    log.begin_run(boot_facts("run-1"))
    for number in range(5):
        clock.now += 3_600 * 10**9
        call = make_call(str(number))
        log.finish(log.intend(call), call, ok(call), 1)
        drain(path)
        rotation.rotate(path, clock)
    looked: list[Path] = []
    tally = reader.AuditReader.tally

    def watched(self: reader.AuditReader, since_ns: int) -> Any:
        looked.append(self.path)
        return tally(self, since_ns)

    monkeypatch.setattr(reader.AuditReader, "tally", watched)
    with AuditReader(path) as read:
        assert read.tally(clock.now - 3_600 * 10**9) == {("run-1", "ocr.rapid", 1): (2, 0)}
    log.close()
    assert len(segments_of(path)) == 6
    assert len(looked) == 3


def test_a_reader_of_one_sealed_file_reads_that_alone(path: Path) -> None:
    """It was given that, and not the log."""
    fill(path, rotates=True)
    first, second, *_ = segments_of(path)
    with AuditReader(first.path) as begins, AuditReader(second.path) as goes_on:
        assert [run.continues for run in begins.runs()] == [None, None]
        assert [run.continues for run in goes_on.runs()] == [run.seq for run in begins.runs()]


def test_files_that_were_moved_are_read_from_where_they_are(path: Path, tmp_path: Path) -> None:
    """Compressed in their place or elsewhere; without them the log begins later."""
    fill(path, rotates=True)
    with AuditReader(path) as log:
        whole_log = answers(log)
    rotation.archive(path, sealed_folder(path), Ticks())
    with AuditReader(path) as log:
        assert answers(log) == whole_log
    there = tmp_path / "archive"
    rotation.archive(path, there, Ticks())
    with AuditReader(path, archives=[there]) as log:
        assert answers(log) == whole_log
    with AuditReader(path) as log:
        assert log.total() < whole_log["total"][0]


def test_new_calls_are_followed_from_file_to_file(path: Path) -> None:
    """Each once, in the order of their ends, wherever the log is sealed meanwhile."""
    log = log_at(path)
    log.begin_run(boot_facts("run-1"))
    drain(path)
    numbers = iter(range(12))

    def pause() -> None:
        call = make_call(str(next(numbers)))
        log.finish(log.intend(call), call, ok(call), 1)
        sealing = threading.Thread(target=step, args=(path, True))
        sealing.start()
        while sealing.is_alive():
            following.make_way()

    with AuditReader(path) as following:
        found = [call.call_id for call in itertools.islice(follow(following, pause), 12)]
    log.close()
    assert found == [str(number) for number in range(12)]
    assert len(segments_of(path)) == 13


def test_a_reader_makes_way_while_somebody_seals(path: Path) -> None:
    """It sees afterwards what it saw before, and what has come."""
    write_sample(path)
    with AuditReader(path) as log:
        before = log.total()
        log.make_way()
        with pytest.raises(AuditError, match="database is locked"):
            rotation.rotate(path, Ticks(), waits=False)
        sealing = threading.Thread(target=rotation.rotate, args=(path, Ticks()))
        sealing.start()
        while sealing.is_alive():
            log.make_way()
        assert len(segments_of(path)) == 2
        assert log.total() == before


def test_a_rotation_that_was_killed_half_way_is_read_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed and not moved: it is there once."""
    monkeypatch.setattr(whole, "_LOOKS", 2)
    write_sample(path)

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(rotation, "_move", kill)
            with pytest.raises(KeyboardInterrupt):
                rotation.rotate(path, Ticks())
        with AuditReader(path) as log:
            assert [run.status for run in log.runs()] == ["completed"] * 2
            assert log.total() == 4
        rotation.rotate(path, Ticks())


def kill(*_: object) -> None:
    raise KeyboardInterrupt


def test_nobody_waits_for_a_log_that_is_not_there(tmp_path: Path) -> None:
    """Neither for one that never was."""
    with pytest.raises(AuditError, match="there is no audit log"):
        AuditReader(tmp_path / "audit.db")


def test_who_asks_in_vain_is_not_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader comes back after a while, and reads on."""
    monkeypatch.setattr(whole, "_AWAY_S", 0.0)
    write_sample(path)
    with AuditReader(path) as log, asked(path):
        log.make_way()
        assert log.total() == 4
