"""What a filter takes, in the database and of a record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nxkernel.audit.filters import CallFilter
from nxkernel.audit.reader import AuditReader
from tests.unit.audit.calls import record
from tests.unit.audit.logs import failed, make_call, ok, opened

START = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with calls of every kind: its first run is interrupted, its second has ended."""
    path = tmp_path_factory.mktemp("filters") / "audit.db"
    for run_id in ("run-1", "run-2"):
        with opened(path, run_id) as writer:
            calls = [
                make_call("1"),
                make_call("1.1", parent="1", caller="ocr.rapid", plugin="store", depth=1),
                make_call("2", hook="answer", impl="answer"),
                make_call("3", plugin="store"),
            ]
            intents = [writer.intend(call) for call in calls]
            writer.finish(intents[1], calls[1], failed(calls[1], "plugin.timeout"), 900)
            writer.finish(intents[0], calls[0], ok(calls[0]), 1500)
            writer.finish(intents[2], calls[2], failed(calls[2]), 20)
    return path


FILTERS: list[dict[str, Any]] = [
    {},
    {"run_id": "run-2"},
    {"plugin": "store"},
    {"hook": "answer"},
    {"code": "plugin.timeout"},
    {"fault": "plugin"},
    {"caller": "ocr.rapid"},
    {"top": True},
    {"failures": True},
    {"min_us": 900},
    {"since_ns": START + 5_000_000},
    {"until_ns": START + 5_000_000},
    {"since_ns": START + 2_000_000, "until_ns": START + 9_000_000, "plugin": "store"},
    {"run_id": "run-1", "failures": True, "min_us": 1},
]


@pytest.mark.parametrize("said", FILTERS, ids=lambda said: "-".join(said) or "everything")
def test_the_database_and_the_record_agree(log: Path, said: dict[str, Any]) -> None:
    """A filter takes the same calls whether SQLite or Python asks it; and some, but not all."""
    where = CallFilter(**said)
    with AuditReader(log) as reader:
        everything = reader.select()
        chosen = reader.select(where)
        assert chosen == [call for call in everything if where.takes(call)]
        assert sorted(c.seq for c in reader.stream(where)) == sorted(c.seq for c in chosen)
        assert reader.total(where) == len(chosen)
    assert 0 < len(chosen) <= len(everything) == 8
    assert (len(chosen) == 8) == (not said)


@pytest.mark.parametrize("far", [2**63, 10**30, -(10**30)])
def test_a_number_beyond_64_bits_is_answered(log: Path, far: int) -> None:
    """A time or a duration that no row can have is no error: it takes all calls, or none."""
    with AuditReader(log) as reader:
        for said in ({"since_ns": far}, {"until_ns": far}, {"min_us": far}):
            where = CallFilter(**said)
            expected = [call for call in reader.select() if where.takes(call)]
            if "min_us" in said:  # one without an end took no time at all
                expected = [call for call in expected if call.duration_us is not None]
            assert reader.select(where) == expected


def test_a_call_in_flight_is_no_failure() -> None:
    """Only what ended badly has failed; nobody knows yet of a call that is under way."""
    where = CallFilter(failures=True)
    assert not where.takes(record(status="in_flight", duration_us=None))
    assert where.takes(record(status="interrupted", duration_us=None))


def test_a_filter_says_what_it_was_told() -> None:
    """Fields that say nothing are not part of the question."""
    assert CallFilter(plugin="p", top=True).said() == {"plugin": "p", "top": True}
    assert CallFilter().where() == ("1", {})
