"""What goes to standard output, and in what form."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from nxkernel.errors import LockMismatch
from nxkernel.types import Citation, Digest
from nxkernel_cli import output


def test_emit_prints_one_object_with_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version of the format comes first, whatever else is printed."""
    output.emit({"ok": True})
    assert list(json.loads(capsys.readouterr().out).items()) == [
        ("schema_version", 1),
        ("ok", True),
    ]


CITATION = Citation(frame=Digest("sha256:ab"), start=1, end=2, bbox=(0, 1, 2, 3), quote="q")


@pytest.mark.parametrize(
    ("value", "lowered"),
    [
        (None, None),
        ("text", "text"),
        ((1, 2.5, True), [1, 2.5, True]),
        ({"b", "a"}, ["a", "b"]),
        ({1: b"\x00\xff"}, {"1": "00ff"}),
        (dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "2026-03-01T00:00:00+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("/a/b"), "/a/b"),
        (
            CITATION,
            {"frame": "sha256:ab", "start": 1, "end": 2, "bbox": [0, 1, 2, 3], "quote": "q"},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_lower_has_a_json_form_for_every_value(value: Any, lowered: Any) -> None:
    """What a hook may return can be printed."""
    assert output.lower(value) == lowered


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A plugin cannot move the cursor or hide a line through a name or a message."""
    output.say("a\x1b[2Jb\rc\u009bd\ne")
    output.note("\u202ehidden")
    shown = capsys.readouterr()
    assert shown.out == "a\\x1b[2Jb\\rc\\x9bd\\ne\n"
    assert shown.err == "\\u202ehidden\n"


def test_table_keeps_every_column_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows in a pipe are neither folded nor cut, nor padded at their end."""
    output.table(("name", "n"), [("x" * 300, 5), ("[bold]y[/]\x1b[0m", None)], right=("n",))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["name", "n"],
        ["x" * 300, "5"],
        ["[bold]y[/]\\x1b[0m"],
    ]
    assert all(line == line.rstrip() for line in lines)


def test_only_prose_is_folded_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a narrow terminal sentences take more lines; an id stays in one piece."""
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "40"}.items():
        monkeypatch.setenv(name, value)
    row = ("privilege.capabilities", "hold any capability at all")
    output.table(("id", "tried"), [row], prose=("tried",))
    folded = capsys.readouterr().out
    assert row[0] in folded
    assert row[1] not in folded
    assert set(row[1].split()) <= set(folded.split())
    output.table(("id", "tried"), [row])
    assert f"{row[0]}\n    {row[1]}" in capsys.readouterr().out


def test_columns_that_do_not_fit_a_terminal_stand_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row takes as many lines as it must, aligned with the names; without a terminal, one."""
    columns = ("call", "plugin", "ms", "error")
    rows = [("1", "ocr.rapid", "12.5", None), ("2.1", "store", "3.0", "plugin.timeout")]
    output.table(columns, rows, right=("ms",))
    assert len(capsys.readouterr().out.splitlines()) == 3
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "24"}.items():
        monkeypatch.setenv(name, value)
    output.table(columns, rows, right=("ms",))
    shown = re.sub(r"\x1b\[[0-9]*m", "", capsys.readouterr().out)
    assert [line.rstrip() for line in shown.splitlines()] == [
        "call  plugin       ms",
        "    error",
        "1     ocr.rapid  12.5",
        "2.1   store       3.0",
        "    plugin.timeout",
    ]


def test_colour_only_on_demand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR takes the colours away, also on what pretends to be a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    cell = output.Styled("x", "green")
    output.table(("name",), [(cell,)])
    assert "\x1b[32mx" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    output.table(("name",), [(cell,)])
    assert "\x1b[32m" not in capsys.readouterr().out
    monkeypatch.delenv("FORCE_COLOR")
    output.table(("name",), [(cell,)])
    assert capsys.readouterr().out == "name\nx\n"


def test_pairs_align_and_leave_out_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    """Facts about one thing stand one below the other."""
    output.pairs([("id", "x"), ("nothing", None), ("empty", ""), ("version", 3)])
    assert capsys.readouterr().out == "id       x\nversion  3\n"


def test_moment_is_utc_and_to_the_second() -> None:
    """Times look the same on every machine."""
    assert output.moment(1_700_000_000_999_999_999) == "2023-11-14 22:13:20Z"
    assert output.moment(None) == ""


def test_error_details_are_lowered(capsys: pytest.CaptureFixture[str]) -> None:
    """Details of an error may hold any value."""
    error = LockMismatch("m", details={"path": Path("/x"), "n": (1,)})
    output.emit({"details": error.details})
    assert json.loads(capsys.readouterr().out)["details"] == {"path": "/x", "n": [1]}
