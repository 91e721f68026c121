"""The contest of the benchmark: real contenders do real work, and say what they cannot do."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.contest.contenders import json_lines
from benchmarks.contest.referee import contest
from benchmarks.contest.work import TASKS

TASKS_HERE = ("small", "8 MiB", "nested", "restart")
CONTENDERS = ("nxkernel_itself", "in_process", "pipes", "json_lines")


def test_contenders_do_the_same_work() -> None:
    """Each answers what the others answer, or says why it cannot; every answer is looked at."""
    found = contest(1, contenders=CONTENDERS, tasks=TASKS_HERE, crew=2)
    ours, pluggy, pipe, first = found["notes"]
    assert found["ours"] == ours
    for task, bouts in found["tasks"].items():
        assert bouts[ours]["rounds"][0] > 0, task
        assert bouts[pipe]["rounds"][0] > 0, task
    assert found["tasks"]["restart"][pluggy] == {"cannot": "dies with its plugin"}
    assert "deadlocks" in found["tasks"]["nested"][first]["cannot"]


def test_a_contender_that_is_not_there_has_its_reason_in_the_table() -> None:
    """What a peer needs may be missing: the others are measured all the same."""
    found = contest(1, contenders=("in_process", "no_such_module"), tasks=("small",), crew=2)
    assert "not run" in found["tasks"]["small"]["no_such_module"]["cannot"]
    assert found["tasks"]["small"]["pluggy, in process"]["rounds"]


def test_the_first_system_deadlocks_as_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the table says of its nested calls is so: the time runs out, however long it is."""
    with json_lines.fleet(2) as fleet:
        assert fleet.echo({"a": b"b"}) == {"a": b"b"}
        monkeypatch.setattr(json_lines, "TIMEOUT_S", 0.5)
        with pytest.raises(queue.Empty):
            fleet.nest({})


def test_page(tmp_path: Path) -> None:
    """The page has a cell for each contender and task, also where there is only a reason."""
    begin, end = page.MARKS["contest"]
    (tmp_path / "cost.md").write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    bouts = {"nxkernel": {"rounds": [10.0, 20.0]}, "a peer": {"rounds": [30.0, 40.0]}}
    lame = {"nxkernel": {"rounds": [10.0, 20.0]}, "a peer": {"cannot": "it has no way back"}}
    notes = dict.fromkeys(bouts, "a note")
    contest = {"tasks": {"small": bouts, "nested": lame}, "notes": notes, "ours": "nxkernel"}
    page.write({"contest": contest, "rounds": 2, "machine": "m", "when": "d"}, tmp_path)
    text = (tmp_path / "cost.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| small | 15 µs (10 µs to 20 µs) | 35 µs (30 µs to 40 µs), **2.5 ×** |" in text
    assert "it has no way back" in (tmp_path / "cost-nested.svg").read_text()
    assert TASKS["nested"] in text


def test_curves_on_the_page(tmp_path: Path) -> None:
    """A curve is told as what its end is of its beginning, beside the pipe of the same moment."""
    begin, end = page.MARKS["curves"]
    (tmp_path / "cost.md").write_text(f"before\n{begin}\n{end}\nafter\n")
    points = [
        {"us": 100.0, "pipe_us": 10.0, "ratio": 10.0, "pace": 10.0, "mib": 20.0},
        {"us": 220.0, "pipe_us": 20.0, "ratio": 11.0, "pace": 11.0, "mib": 20.0},
    ]
    curves = {
        name: [{name: at, **each} for at, each in zip((1.0, 1000.0), points, strict=True)]
        for name in ("rows", "plugins", "threads")
    }
    page.write({"curves": curves, "rounds": 2, "machine": "m", "when": "d"}, tmp_path)
    text = (tmp_path / "cost.md").read_text()
    assert "By rows, from 1 to 1,000: 1.10 times as much at the end (bar 1.2)" in text
    assert "20.0 MiB after 1,000" in text
    assert ">1.10</text>" in (tmp_path / "cost-by-threads.svg").read_text()
