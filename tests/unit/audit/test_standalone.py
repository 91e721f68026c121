"""The verifier that is published beside the format, as a stranger would use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nxkernel.audit.checkpoint import Checkpoint
from tests.unit.audit.logs import CONTRACT, STANDALONE, tampering, write_sample

FORMAT = json.loads((CONTRACT / "format.v2.json").read_text(encoding="utf-8"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def checkpoint(path: Path) -> Checkpoint:
    return write_sample(path)


def test_it_needs_nothing_but_the_standard_library(path: Path, checkpoint: Checkpoint) -> None:
    """It runs in an isolated interpreter without site-packages."""
    command = [sys.executable, "-I", "-S", CONTRACT / "verify.py", path, "--json"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    answer = json.loads(shown.stdout)
    assert (answer["ok"], answer["rows"], answer["problems"]) == (True, checkpoint.size, [])
    assert answer["head"] == [checkpoint.origin, checkpoint.size, checkpoint.root]
    assert shown.stderr == ""


def test_it_expects_the_published_schema() -> None:
    """Its own tables, columns and triggers are those of the contract."""
    theirs = [
        (table["name"], sql.split()[2], sql) for table in FORMAT["tables"] for sql in table["sql"]
    ]
    assert list(STANDALONE.expected_schema()) == theirs
    assert FORMAT["database"]["application_id"] == STANDALONE.APPLICATION_ID


EDGES = [sign * 2**bits + off for bits in (5, 7, 8, 15, 16, 31, 32, 63) for sign in (1, -1)
         for off in (-1, 0, 1)]  # fmt: skip
SIZES = (0, 31, 32, 255, 256, 65535, 65536)


@pytest.mark.parametrize(
    "value",
    [
        *(number for number in EDGES if -(2**63) <= number < 2**64),
        *("x" * size for size in SIZES),
        ["x"] * 15,
        ["x"] * 16,
        *(b"x" * size for size in SIZES),
        None,
    ],
    ids=lambda value: (
        str(value) if isinstance(value, int) else f"{str(value)[:5]}{len(str(value))}"
    ),
)
def test_its_encoder_is_canonical(value: Any) -> None:
    """At every change of the length of a header it writes what the kernel writes."""
    assert STANDALONE.pack(value) == msgspec.msgpack.encode(value, order="sorted")


@pytest.mark.parametrize("value", [1.5, {}, 2**64, -(2**63) - 1, "\udcff"], ids=repr)
def test_its_encoder_refuses_what_the_format_lacks(value: Any) -> None:
    """No other value can be part of a digest."""
    with pytest.raises(STANDALONE.Unencodable):
        STANDALONE.pack(value)


def test_a_sound_log_exits_with_0(
    path: Path, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how much was checked, and what a checkpoint would add."""
    kept = tmp_path / "checkpoint.txt"
    kept.write_text(checkpoint.text(), encoding="utf-8")
    assert STANDALONE.main([str(path), "--checkpoint", str(kept)]) == 0
    assert capsys.readouterr().out == f"{checkpoint.size} rows in 2 runs: sound\n"
    assert STANDALONE.main([str(path)]) == 0
    assert "without a checkpoint" in capsys.readouterr().out


def test_a_bad_log_exits_with_4(
    path: Path, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each problem has a line of its own."""
    with tampering(path) as connection:
        (seq,) = connection.execute("SELECT max(seq) FROM events").fetchone()
        connection.execute("UPDATE events SET kind = 1 WHERE seq = ?", (seq,))
    assert STANDALONE.main([str(path)]) == 4
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"edited: row {seq} was edited",
        f"{checkpoint.size} rows in 2 runs: 1 problems",
    ]
    assert STANDALONE.main([str(path), "--json"]) == 4
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["kind"], problem["table"], problem["seq"]) == ("edited", "events", seq)


@pytest.mark.parametrize("content", [None, b"no database\n" * 100, b""], ids=["none", "text", "0"])
def test_other_files_exit_with_2(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no log is told apart from a log that does not verify."""
    path = tmp_path / "other.db"
    if content is not None:
        path.write_bytes(content)
    assert STANDALONE.main([str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("verify.py: other.db ")


def test_a_bad_checkpoint_exits_with_2(
    path: Path, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mixed-up file is not taken for proof of tampering."""
    kept = tmp_path / "checkpoint.txt"
    assert STANDALONE.main([str(path), "--checkpoint", str(kept)]) == 2
    kept.write_text("something else", encoding="utf-8")
    assert STANDALONE.main([str(path), "--checkpoint", str(kept)]) == 2
    assert "this is no checkpoint" in capsys.readouterr().err
