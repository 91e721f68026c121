"""Calls as files for other programs: JSON Lines, CSV and Parquet."""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import attrs

from nxkernel.audit.failure import cannot
from nxkernel.audit.records import CallRecord
from nxkernel.errors import AuditError

__all__ = ["COLUMNS", "FORMATS", "FileFormat", "export", "write_csv", "write_jsonl"]

FileFormat = Literal["jsonl", "csv", "parquet"]
FORMATS: Final[tuple[FileFormat, ...]] = ("jsonl", "csv", "parquet")

#: Of every format, in this order.
COLUMNS: Final = tuple(field.name for field in attrs.fields(CallRecord))
#: Calls that become one row group of Parquet.
_GROUP: Final = 20_000


def export(calls: Iterable[CallRecord], path: Path, file_format: FileFormat) -> int:
    """Write *calls* to a new file at *path* and return how many there were.

    The file is there when it is complete, and not before.

    Raises:
        AuditError: when it cannot be written, or there is one already.
    """
    if path.exists():
        raise AuditError(
            f"{path.name} is there already; give another name", details={"path": str(path)}
        )
    with _whole(path) as partial:
        if file_format == "parquet":
            return _write_parquet(calls, partial)
        with partial.open("w", encoding="utf-8", newline="") as file:
            return (write_csv if file_format == "csv" else write_jsonl)(calls, file)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a name to write to, which becomes *path* if all goes well."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.rename(path)
    except OSError as error:
        raise cannot("write", path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink()


def write_jsonl(calls: Iterable[CallRecord], file: TextIO) -> int:
    """Write one JSON object a line, keys in the order of :data:`COLUMNS`; returns how many."""
    return _each(
        calls, lambda call: file.write(json.dumps(_plain(call), ensure_ascii=False) + "\n")
    )


def write_csv(calls: Iterable[CallRecord], file: TextIO) -> int:
    """Write a line of names and one for each call (RFC 4180); returns how many.

    ``details`` is JSON text, what is None an empty field.
    """
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    return _each(calls, lambda call: rows.writerow(_flat(call).values()))


def _write_parquet(calls: Iterable[CallRecord], path: Path) -> int:
    """Write columns of int64, bool and text; ``details`` is JSON text.

    Raises:
        AuditError: without pyarrow.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ImportError:
        raise AuditError(
            'Parquet needs pyarrow; install it with `python -m pip install "nxkernel[parquet]"`'
        ) from None
    schema = pa.schema([(name, _arrow_type(pa, name)) for name in COLUMNS])
    remaining, written = iter(calls), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        while group := [_flat(call) for call in itertools.islice(remaining, _GROUP)]:
            file.write_table(pa.Table.from_pylist(group, schema=schema))
            written += len(group)
    return written


def _arrow_type(pa: Any, name: str) -> Any:
    kind = str(attrs.fields_dict(CallRecord)[name].type).partition(" ")[0]
    return {"int": pa.int64(), "bool": pa.bool_()}.get(kind, pa.string())


def _plain(call: CallRecord) -> dict[str, Any]:
    return {name: getattr(call, name) for name in COLUMNS}


def _flat(call: CallRecord) -> dict[str, Any]:
    row = _plain(call)
    for name, value in row.items():
        if isinstance(value, dict | list):
            row[name] = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return row


def _each(calls: Iterable[CallRecord], write: Callable[[CallRecord], object]) -> int:
    written = 0
    for call in calls:
        write(call)
        written += 1
    return written
