"""Quarantines on disk: what outlives a kernel, and who may lift it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.errors import StorageError
from nxkernel.kernel.quarantine import QuarantineRecord, lift, quarantines
from tests.support.calls import FakeClock

CODE = "sha256:aa"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def record(tmp_path: Path, clock: FakeClock) -> QuarantineRecord:
    """The record of a plugin that is in quarantine for ten seconds."""
    record = QuarantineRecord(tmp_path, "ocr.rapid", CODE, clock)
    record.write(10.0)
    return record


def test_what_was_written_is_found(tmp_path: Path, record: QuarantineRecord) -> None:
    """By whoever looks at the data directory."""
    (entry,) = quarantines(tmp_path)
    assert (entry.plugin, entry.code_digest, entry.lifted_by) == ("ocr.rapid", CODE, "")
    assert (entry.since_ns, entry.until_ns) == (1000 * 10**9, 1010 * 10**9)
    assert record.lifted() is None


def test_time_goes_by_while_no_kernel_runs(record: QuarantineRecord, clock: FakeClock) -> None:
    """What is left of it counts by the machine's clock."""
    clock.now += 4
    assert record.left() == (6.0,)
    clock.now += 100
    assert record.left() == (0.0,)


def test_a_clock_that_was_set_back_makes_it_no_longer(
    record: QuarantineRecord, clock: FakeClock
) -> None:
    """A year of quarantine helps nobody."""
    clock.now -= 900
    assert record.left() == (10.0,)


def test_it_may_be_for_ever(tmp_path: Path, clock: FakeClock) -> None:
    """Until somebody releases the plugin."""
    record = QuarantineRecord(tmp_path, "p", CODE, clock)
    record.write(None)
    assert record.left() == (None,)
    assert quarantines(tmp_path)[0].until_ns is None


def test_an_operator_lifts_it(tmp_path: Path, record: QuarantineRecord) -> None:
    """The kernel learns who it was; nobody else sees a quarantine any more."""
    assert lift(tmp_path, "ocr.rapid")
    assert record.lifted() == "operator"
    assert quarantines(tmp_path) == []
    assert not lift(tmp_path, "ocr.rapid")


def test_changed_code_is_not_held_back(
    tmp_path: Path, record: QuarantineRecord, clock: FakeClock
) -> None:
    """The sins of the old code are not those of the new one."""
    other = QuarantineRecord(tmp_path, "ocr.rapid", "sha256:bb", clock)
    assert other.lifted() == "changed code"
    assert record.lifted() is None


def test_what_is_removed_is_gone(tmp_path: Path, record: QuarantineRecord) -> None:
    """Twice is as good as once, and nothing else is left behind."""
    record.remove()
    record.remove()
    assert record.left() is None
    assert list((tmp_path / "quarantine").iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"schema_version": 2, "plugin": "ocr.rapid", "code_digest": "", "since_ns": 1,'
        ' "until_ns": 1, "lifted_by": ""}',
        '{"schema_version": 1, "plugin": "other", "code_digest": "", "since_ns": 1,'
        ' "until_ns": 1, "lifted_by": ""}',
        '{"schema_version": 1, "plugin": "ocr.rapid", "code_digest": "", "since_ns": "1",'
        ' "until_ns": 1, "lifted_by": ""}',
    ],
)
def test_a_file_that_is_broken_says_nothing(
    tmp_path: Path, record: QuarantineRecord, text: str
) -> None:
    """It neither stops a boot nor lifts what the kernel remembers by itself."""
    (tmp_path / "quarantine" / "ocr.rapid.json").write_text(text)
    assert record.left() is None
    assert record.lifted() is None
    assert quarantines(tmp_path) == []


def test_nothing_outside_of_the_folder_can_be_named(
    tmp_path: Path, record: QuarantineRecord
) -> None:
    """An id is looked for among those that are there; it is no path."""
    assert not lift(tmp_path, "../quarantine/ocr.rapid")
    assert not lift(tmp_path / "missing", "ocr.rapid")


def test_a_disk_that_refuses_costs_no_call(tmp_path: Path, clock: FakeClock) -> None:
    """The kernel remembers by itself; there is only nothing for the next one."""
    (tmp_path / "quarantine").write_text("a file in the way")
    record = QuarantineRecord(tmp_path, "p", CODE, clock)
    record.write(10.0)
    record.remove()
    assert (record.left(), record.lifted()) == (None, None)


def test_a_lift_that_cannot_be_written_says_so(
    tmp_path: Path, record: QuarantineRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else somebody would believe that the plugin runs again."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(StorageError, match=r"'ocr.rapid' cannot be lifted.*Permission denied"):
        lift(tmp_path, "ocr.rapid")
    assert [entry.plugin for entry in quarantines(tmp_path)] == ["ocr.rapid"]
