"""Calls as files for other programs."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nxkernel.audit import exports
from nxkernel.errors import AuditError
from tests.unit.audit.calls import failure, record

CALLS = [
    record("1", seed="ab"),
    failure("2", details={"exception": "KeyError", "ö": [1]}),
    record("3", status="in_flight", duration_us=None, output_digest=None),
]


def test_json_lines_hold_every_fact(tmp_path: Path) -> None:
    """One object a line, with the fields of a record in their order."""
    assert exports.export(CALLS, tmp_path / "calls.jsonl", "jsonl") == 3
    lines = (tmp_path / "calls.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [tuple(row) for row in rows] == [exports.COLUMNS] * 3
    assert rows[1]["details"] == {"exception": "KeyError", "ö": [1]}
    assert rows[2]["duration_us"] is None


def test_csv_holds_every_fact() -> None:
    """A line of names, then one for each call; what is not there is an empty field."""
    file = io.StringIO(newline="")
    assert exports.write_csv(CALLS, file) == 3
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert tuple(rows[0]) == exports.COLUMNS
    assert json.loads(rows[1]["details"]) == {"exception": "KeyError", "ö": [1]}
    assert (rows[0]["duration_us"], rows[2]["duration_us"]) == ("10000", "")


def test_parquet_has_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are numbers and lacking ones are null, in every row group."""
    monkeypatch.setattr(exports, "_GROUP", 2)
    assert exports.export(iter(CALLS), tmp_path / "calls.parquet", "parquet") == 3
    table = pq.read_table(tmp_path / "calls.parquet")
    assert tuple(table.column_names) == exports.COLUMNS
    assert str(table.schema.field("duration_us").type) == "int64"
    assert str(table.schema.field("historic").type) == "bool"
    assert table.column("duration_us").to_pylist() == [10_000, 10_000, None]
    assert table.column("seed").to_pylist() == ["ab", None, None]
    assert pq.ParquetFile(tmp_path / "calls.parquet").num_row_groups == 2


def test_parquet_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named, and nothing is left behind."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(AuditError, match=r"nxkernel\[parquet\]"):
        exports.export(CALLS, tmp_path / "calls.parquet", "parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_format", exports.FORMATS)
def test_a_file_is_whole_or_not_there(tmp_path: Path, file_format: exports.FileFormat) -> None:
    """When reading breaks off in the middle, nobody finds half a file."""

    def broken() -> object:
        yield CALLS[0]
        raise AuditError("the disk is gone")

    with pytest.raises(AuditError, match="the disk is gone"):
        exports.export(broken(), tmp_path / "calls", file_format)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """An export never takes the place of something else."""
    (tmp_path / "calls.csv").write_text("mine")
    with pytest.raises(AuditError, match=r"calls\.csv is there already"):
        exports.export(CALLS, tmp_path / "calls.csv", "csv")
    assert (tmp_path / "calls.csv").read_text() == "mine"


def test_a_folder_that_is_not_there_is_an_error_with_advice(tmp_path: Path) -> None:
    """A wrong path ends in words, not in a traceback."""
    with pytest.raises(AuditError, match=r"cannot write no/calls\.csv"):
        exports.export(CALLS, tmp_path / "no" / "calls.csv", "csv")
