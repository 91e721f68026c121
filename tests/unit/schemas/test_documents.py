"""Files with schemas, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas.documents import read_schema


def test_a_schema_is_read(tmp_path: Path) -> None:
    """As the JSON that it is."""
    (tmp_path / "s.json").write_text('{"type": "string"}')
    assert read_schema(tmp_path / "s.json") == {"type": "string"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
        (b'"\xff"', "not JSON: not UTF-8 at byte 1"),
        (b'{"not":' * 100_000, "is nested too deeply"),
        (b'{"a": 1, "a": 1}', "has a key twice in one object"),
        (b'{"maximum": 1' + b"0" * 5000 + b"}", "holds a number that is too long"),
        (b'"' + b"x" * 3_000_000 + b'"', "is larger than 2 MiB"),
    ],
    ids=["half", "no UTF-8", "deep", "twice", "long number", "large"],
)
def test_what_is_none_is_told_by_its_name(tmp_path: Path, data: bytes, said: str) -> None:
    """With the reason, and without the folder that it lies in."""
    (tmp_path / "s.json").write_bytes(data)
    with pytest.raises(SchemaInvalid) as caught:
        read_schema(tmp_path / "s.json")
    assert caught.value.message == f"s.json: {said}"


def test_a_file_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    """In the words of the system."""
    with pytest.raises(SchemaInvalid, match=r"s\.json: No such file or directory"):
        read_schema(tmp_path / "s.json")
