"""``nxkernel audit calls|show|tail``: calls as rows, one as a tree, new ones as they come."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.audit_place import (
    ALL,
    archive_option,
    chosen,
    filter_options,
    known_run,
    place_argument,
    reader_at,
    run_option,
)
from nxkernel_cli.output import SCHEMA_VERSION, emit, json_option, lower, moment, pairs, say, table

if TYPE_CHECKING:
    from nxkernel.audit.records import CallRecord, CallTree

__all__ = ["calls", "show", "tail"]

_COLUMNS = ("call", "plugin", "hook", "status", "error", "fault", "ms", "started")
#: Seconds between two looks at a log.
_INTERVAL_S = 0.25


@click.command(short_help="List the calls of a run.")
@place_argument
@filter_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N.")
@json_option
def calls(
    place: Path,
    run_id: str | None,
    limit: int | None,
    archives: tuple[Path, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """List the calls of a run in the order in which they began; `--run all` takes every run."""
    with reader_at(place, archives) as reader:
        where = chosen(reader, run_id, options)
        found = reader.select(where, limit=limit)
    if as_json:
        emit({"ok": True, "run": where.run_id, "calls": found})
        return
    prefix = ("run",) if where.run_id is None else ()
    table(
        (*prefix, *_COLUMNS),
        [((r.run_id,) if prefix else ()) + _row(r) for r in found],
        right=("ms",),
    )


def _row(row: CallRecord) -> tuple[object, ...]:
    impl = "" if row.impl == row.hook else f" ({row.impl})"
    phase = "" if row.phase == "call" else f" {row.phase}"
    attempt = f" #{row.attempt}" if row.attempt > 1 else ""
    ms = None if row.duration_us is None else f"{row.duration_us / 1000:.1f}"
    hook, status, started = row.hook + impl + phase, row.status + attempt, moment(row.started_ns)
    return (
        row.call_id, row.plugin, hook, status, row.error_code, row.fault, ms, started,
    )  # fmt: skip


@click.command(short_help="Show everything about one call.")
@place_argument
@click.argument("call_id", metavar="CALL")
@run_option
@archive_option
@json_option
def show(
    place: Path, call_id: str, run_id: str | None, archives: tuple[Path, ...], as_json: bool
) -> None:
    """Show all that is on record about one call, and the calls that it asked for as a tree."""
    with reader_at(place, archives) as reader:
        run = known_run(reader, run_id)
        tree = reader.show(run, call_id)
    if as_json:
        emit({"ok": True, "run": run, "call": tree})
        return
    for line in drawn(tree):
        say(line)
    for row in tree.rows:
        say()
        pairs(_fields(row))


def drawn(tree: CallTree) -> Iterator[str]:
    """Yield a line for every row; what a row asked for hangs below it."""
    for row, below in _hung(tree):
        yield _summary(row)
        yield from _branches(below)


def _branches(trees: list[CallTree]) -> Iterator[str]:
    rows = [each for tree in trees for each in _hung(tree)]
    for number, (row, below) in enumerate(rows, 1):
        last = number == len(rows)
        yield ("└─ " if last else "├─ ") + _summary(row)
        for line in _branches(below):
            yield ("   " if last else "│  ") + line


def _hung(tree: CallTree) -> list[tuple[CallRecord, list[CallTree]]]:
    """Return each row of *tree* with the calls that it asked for.

    A child names call and plugin that asked. Where that plugin has several rows, phases or
    attempts, it was the last of them that had begun.
    """
    hung: list[tuple[CallRecord, list[CallTree]]] = [(row, []) for row in tree.rows]
    for child in tree.children:
        first = child.rows[0]
        askers = [pair for pair in hung if pair[0].plugin == first.caller] or hung
        begun = [pair for pair in askers if pair[0].started_ns <= first.started_ns] or askers
        begun[-1][1].append(child)
    return hung


def _summary(row: CallRecord) -> str:
    asked = f" asked by {row.caller}" if row.caller else ""
    error = f" [{row.error_code}] fault: {row.fault}" if row.error_code else ""
    phase = "" if row.phase == "call" else f" {row.phase}"
    attempt = f" #{row.attempt}" if row.attempt > 1 else ""
    took = "" if row.duration_us is None else f" {row.duration_us / 1000:.1f} ms"
    return (
        f"{row.call_id} {row.plugin}.{row.hook}{phase}{attempt}{asked}: {row.status}{error}{took}"
    )


def _fields(row: CallRecord) -> Iterable[tuple[str, str]]:
    import attrs

    for name, value in attrs.asdict(row, recurse=False).items():
        if value is None:
            continue
        if name == "started_ns":
            yield "started", moment(value)
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)


@click.command(short_help="Show the newest calls, and new ones as they end.")
@place_argument
@filter_options
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=10,
    metavar="N",
    help="The last N, 10 if unsaid.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new calls until Ctrl-C.")
@json_option
def tail(
    place: Path,
    run_id: str | None,
    lines: int,
    follow: bool,
    archives: tuple[Path, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Show the newest calls; with -f also new ones as they end, of every run unless --run says."""
    from nxkernel.audit import following, starting

    with reader_at(place, archives) as reader:
        where = chosen(reader, run_id or (ALL if follow else None), options)
        settling = starting.Following(reader.path)
        settling.settle()
        newest = reader.newest()
        found = [call for call in reader.latest(where, limit=lines) if call.seq <= newest]
        if as_json and not follow:
            emit({"ok": True, "run": where.run_id, "calls": found})
            return

        def pause() -> None:
            time.sleep(_INTERVAL_S)
            reader.make_way()
            settling.settle()

        newer = following.follow(reader, pause, where, newest)
        for call in itertools.chain(found, newer if follow else ()):
            _tell(call, as_json)


def _tell(call: CallRecord, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"schema_version": SCHEMA_VERSION, "call": lower(call)}))
    else:
        say(f"{moment(call.started_ns)} {_summary(call)}")
