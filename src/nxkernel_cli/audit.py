"""``nxkernel audit``: read the record of a data directory, and check that it adds up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.failures import INTEGRITY, OK, describe
from nxkernel_cli.output import emit, json_option, moment, note, pairs, say, table

if TYPE_CHECKING:
    from nxkernel.audit.reader import AuditReader, VerifyReport
    from nxkernel.audit.records import CallRecord

__all__ = ["audit", "log_path"]

#: The value of ``--run`` that means every run; run ids begin with ``r``.
ALL = "all"
_place = click.argument("place", metavar="DATA_DIR", type=click.Path(path_type=Path))
_run = click.option("--run", "run_id", metavar="ID", help="Run to look at [default: the newest].")
_CALL_COLUMNS = ("call", "plugin", "hook", "status", "error", "fault", "ms", "started")


@click.group()
def audit() -> None:
    """Read and verify the record of all calls."""


def log_path(place: Path) -> Path:
    """Return the audit log of the data directory *place*, or *place* itself if it is a file."""
    return place if place.is_file() else place / "audit" / "audit.db"


def _reader(place: Path) -> AuditReader:
    from nxkernel.audit.reader import AuditReader

    return AuditReader(log_path(place))


@audit.command(short_help="List the runs.")
@_place
@json_option
def runs(place: Path, as_json: bool) -> None:
    """List the runs, oldest first."""
    with _reader(place) as reader:
        found = reader.runs()
    if as_json:
        emit({"ok": True, "runs": found})
        return
    table(
        ("run", "started", "status", "level", "seed", "calls", "errors"),
        [
            (r.run_id, moment(r.started_ns), r.status, r.level, r.seed, r.calls, r.errors)
            for r in found
        ],
        right=("calls", "errors"),
    )


@audit.command(short_help="List the calls of a run.")
@_place
@_run
@click.option("--plugin", metavar="ID", help="Only calls of this plugin.")
@click.option("--hook", metavar="NAME", help="Only calls of this hook.")
@click.option("--errors", is_flag=True, help="Only calls that failed or were interrupted.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N.")
@json_option
def calls(
    place: Path,
    run_id: str | None,
    plugin: str | None,
    hook: str | None,
    errors: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the calls of a run in the order in which they began; `--run all` takes every run."""
    with _reader(place) as reader:
        chosen = None if run_id == ALL else _known_run(reader, run_id)
        found = reader.calls(chosen, plugin, hook, errors, limit)
    if as_json:
        emit({"ok": True, "run": chosen, "calls": found})
        return
    prefix = ("run",) if chosen is None else ()
    table(
        (*prefix, *_CALL_COLUMNS),
        [((r.run_id,) if prefix else ()) + _call_row(r) for r in found],
        right=("ms",),
    )


def _known_run(reader: AuditReader, run_id: str | None) -> str:
    """Return *run_id*, or the newest run's id without one.

    Raises:
        AuditError: for a run that is not in the log.
    """
    from nxkernel.errors import AuditError

    found = reader.runs(run_id)
    if not found:
        what = "no run yet" if run_id is None else f"no run {run_id!r}"
        raise AuditError(f"the audit log has {what}; `nxkernel audit runs DATA_DIR` lists them")
    return found[-1].run_id


def _call_row(row: CallRecord) -> tuple[object, ...]:
    impl = "" if row.impl == row.hook else f" ({row.impl})"
    phase = "" if row.phase == "call" else f" {row.phase}"
    hook = row.hook + impl + phase
    ms = None if row.duration_us is None else f"{row.duration_us / 1000:.1f}"
    attempt = f" #{row.attempt}" if row.attempt > 1 else ""
    started = moment(row.started_ns)
    status = row.status + attempt
    return (
        row.call_id, row.plugin, hook, status, row.error_code, row.fault, ms, started,
    )  # fmt: skip


@audit.command(short_help="Show everything about one call.")
@_place
@click.argument("call_id", metavar="CALL")
@_run
@json_option
def show(place: Path, call_id: str, run_id: str | None, as_json: bool) -> None:
    """Show all that is on record about one call, and the calls that it asked for."""
    with _reader(place) as reader:
        chosen = _known_run(reader, run_id)
        tree = reader.show(chosen, call_id)
    if as_json:
        emit({"ok": True, "run": chosen, "call": tree})
        return
    for level, row in tree.walk():
        say("  " * level + _summary(row))
    for row in tree.rows:
        say()
        pairs(_fields(row))


def _summary(row: CallRecord) -> str:
    asked = f" asked by {row.caller}" if row.caller else ""
    error = f" [{row.error_code}] fault: {row.fault}" if row.error_code else ""
    phase = "" if row.phase == "call" else f" {row.phase}"
    time = "" if row.duration_us is None else f" {row.duration_us / 1000:.1f} ms"
    return f"{row.call_id} {row.plugin}.{row.hook}{phase}{asked}: {row.status}{error}{time}"


def _fields(row: CallRecord) -> Iterable[tuple[str, str]]:
    import json

    import attrs

    for name, value in attrs.asdict(row, recurse=False).items():
        if value is None:
            continue
        if name == "started_ns":
            yield "started", moment(value)
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)


@audit.command(short_help="Recompute the hash chain.")
@_place
@click.option(
    "--checkpoint",
    "checkpoint_file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A checkpoint that was kept elsewhere; the log must continue it.",
)
@json_option
def verify(place: Path, checkpoint_file: Path | None, as_json: bool) -> int:
    """Recompute the hash chain; exit with 4 if it does not add up."""
    from nxkernel.audit import reader
    from nxkernel.audit.chain import Checkpoint

    checkpoint = None
    if checkpoint_file is not None:
        checkpoint = Checkpoint.parse(checkpoint_file.read_text(encoding="utf-8", errors="replace"))
    found = reader.verify(log_path(place), checkpoint)
    if as_json:
        emit(verification(found))
    else:
        _print_verification(found)
    return OK if found.ok else INTEGRITY


def verification(found: VerifyReport) -> dict[str, Any]:
    """Return the object that ``audit verify --json`` prints."""
    from nxkernel.errors import IntegrityError

    data: dict[str, Any] = {"ok": found.ok, "rows": found.rows, "runs": found.runs}
    data |= {"head": found.head, "problems": found.problems, "cannot_prove": found.limits}
    try:
        found.require()
    except IntegrityError as error:
        data["error"] = {**describe(error), "details": {}}
    return data


def _print_verification(found: VerifyReport) -> None:
    say(f"{'verified' if found.ok else 'DOES NOT VERIFY'}: {found.rows} rows of {found.runs} runs")
    for problem in found.problems:
        say(f"  {problem.kind}: {problem.message}")
    if found.head is not None:
        say(f"head: {found.head.origin} {found.head.size} {found.head.root}")
    for limit in found.limits:
        note(f"this does not show {limit}")
