"""``nxkernel audit export``: calls as a file for other programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.audit_place import chosen, filter_options, place_argument, reader_at
from nxkernel_cli.output import emit, json_option, note, stderr_console

if TYPE_CHECKING:
    from nxkernel.audit.records import CallRecord

__all__ = ["counted", "export", "watched"]

_STDOUT = "-"
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
#: Calls between two looks of somebody who waits.
_STEP = 500


@click.command(short_help="Write calls as JSON Lines, CSV or Parquet.")
@place_argument
@click.argument("target", metavar="FILE")
@filter_options
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    help="What to write [default: by FILE's name].",
)
@json_option
def export(
    place: Path,
    target: str,
    run_id: str | None,
    file_format: Any,
    archives: tuple[Path, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Write calls to FILE in the order in which they ended; `-` is standard output.

    A file that is there already is left alone. `--run all` takes every run.
    """
    from nxkernel.audit import exports

    file_format = file_format or _by_name(target)
    if target == _STDOUT and (as_json or file_format == "parquet"):
        raise click.UsageError("standard output takes jsonl and csv, and not beside --json")
    with reader_at(place, archives) as reader:
        where = chosen(reader, run_id, options)
        total = reader.total(where)
        with counted(total, quiet=as_json or target == _STDOUT) as count:
            calls = count(reader.stream(where))
            if target == _STDOUT:
                write = exports.write_csv if file_format == "csv" else exports.write_jsonl
                written = write(calls, sys.stdout)
            else:
                written = exports.export(calls, Path(target), file_format)
    if as_json:
        emit({"ok": True, "file": target, "format": file_format, "calls": written})
    else:
        note(f"{written} calls")


def _by_name(target: str) -> str:
    if target == _STDOUT:
        return "jsonl"
    suffix = Path(target).suffix
    if suffix not in _SUFFIXES:
        raise click.UsageError(
            f"{target} ends in none of {', '.join(_SUFFIXES)}; say what to write with --format"
        )
    return _SUFFIXES[suffix]


@contextmanager
def counted(
    total: int, *, quiet: bool
) -> Iterator[Callable[[Iterable[CallRecord]], Iterator[CallRecord]]]:
    """Give what passes calls on and shows on a terminal how many of *total* have passed."""
    if quiet or not watched():
        yield iter
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr_console()) as progress:
        task = progress.add_task("", total=total)

        def passed(calls: Iterable[CallRecord]) -> Iterator[CallRecord]:
            for number, call in enumerate(calls, 1):
                if number % _STEP == 0 or number == total:
                    progress.update(task, completed=number)
                yield call

        yield passed


def watched() -> bool:
    """Whether somebody looks on."""
    return sys.stderr.isatty()
