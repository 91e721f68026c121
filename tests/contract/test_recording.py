"""The published format of recordings is what the code writes and reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel.recording import records
from nxkernel.recording.frames import HEAD, KINDS, MAGIC
from nxkernel.recording.pack import NAME
from nxkernel.replay.session import Session

FOLDER = Path(__file__).resolve().parents[2] / "contracts" / "recording"
FORMAT = json.loads((FOLDER / "recording.v1.json").read_text(encoding="utf-8"))
VECTORS = json.loads((FOLDER / "recording-vectors.v1.json").read_text(encoding="utf-8"))["vectors"]
PAGE = (FOLDER.parents[1] / "docs" / "reference" / "recording-format.md").read_text("utf-8")


def test_frames_are_as_published() -> None:
    """Magic, length of a head, and the closed set of kinds."""
    assert bytes.fromhex(FORMAT["magic"]) == MAGIC
    assert sum(field["bytes"] for field in FORMAT["frame"] if field["bytes"]) == HEAD
    assert {ord(kind["kind"]) for kind in FORMAT["kinds"]} == KINDS


@pytest.mark.parametrize("name", sorted(FORMAT["records"]))
def test_records_are_as_published(name: str) -> None:
    """Each record has exactly these keys, and the page says what each is."""
    keys = [field.name for field in attrs.fields(getattr(records, name))]
    assert FORMAT["records"][name] == keys
    assert [key for key in keys if f"`{key}`" not in PAGE] == []


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_published_file_is_read_as_published(vector: dict[str, Any], tmp_path: Path) -> None:
    """Whole, torn, or damaged; with these calls and values."""
    (tmp_path / NAME).write_bytes(bytes.fromhex(vector["file"]))
    expected = vector["read"]
    if "error" in expected:
        with pytest.raises(nx.IntegrityError) as caught:
            Session.open(tmp_path)
        assert caught.value.code == expected["error"]
        return
    with Session.open(tmp_path) as session:
        found = {
            "whole": session.whole,
            "torn": session.torn,
            "calls": [
                [c.call_id, c.plugin, session.value(c.begun.input), c.ended is not None]
                for c in session.calls
            ],
        }
    assert found == expected
