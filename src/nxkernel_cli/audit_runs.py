"""``nxkernel audit runs|diff``: the runs of a data directory, and two of them beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nxkernel_cli.audit_place import archive_option, place_argument, reader_at
from nxkernel_cli.failures import FAILED, OK
from nxkernel_cli.output import emit, json_option, moment, say, table

if TYPE_CHECKING:
    from nxkernel.audit.comparison import Comparison, Pair
    from nxkernel.audit.records import CallRecord

__all__ = ["diff", "runs"]


@click.command(short_help="List the runs.")
@place_argument
@archive_option
@json_option
def runs(place: Path, archives: tuple[Path, ...], as_json: bool) -> None:
    """List the runs, oldest first."""
    with reader_at(place, archives) as reader:
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


@click.command(short_help="Compare the calls of two runs.")
@place_argument
@click.argument("left", metavar="RUN")
@click.argument("right", metavar="RUN")
@archive_option
@json_option
def diff(place: Path, left: str, right: str, archives: tuple[Path, ...], as_json: bool) -> int:
    """Say which calls of two runs differ by input, output, error, seed, attempts or level.

    Equal work is paired whatever the order in which it was done. Exit with 1 if anything differs.
    """
    with reader_at(place, archives) as reader:
        found = reader.compare(left, right)
    if as_json:
        emit({"ok": found.equal, "left": left, "right": right, "comparison": found})
    else:
        _print(found)
    return OK if found.equal else FAILED


def _print(found: Comparison) -> None:
    say(
        f"{found.same} calls are the same, {len(found.differing)} differ, "
        f"{len(found.only_left)} only left, {len(found.only_right)} only right"
    )
    if found.equal:
        return
    rows = [_differing(pair) for pair in found.differing]
    rows += [_alone(call, "only left") for call in found.only_left]
    rows += [_alone(call, "only right") for call in found.only_right]
    table(("call", "plugin", "hook", "differs", "left", "right"), rows)


def _differing(pair: Pair) -> tuple[str, ...]:
    left, right = pair.left, pair.right
    ids = left.call_id if left.call_id == right.call_id else f"{left.call_id} / {right.call_id}"
    return (
        ids, left.plugin, left.hook, ", ".join(pair.differs), _end(left), _end(right)
    )  # fmt: skip


def _alone(call: CallRecord, where: str) -> tuple[str, ...]:
    ends = (_end(call), "") if where == "only left" else ("", _end(call))
    return (call.call_id, call.plugin, call.hook, where, *ends)


def _end(call: CallRecord) -> str:
    """How it ended: its error code, or else the first digits of its output's digest."""
    if call.error_code is not None:
        return call.error_code
    digest = (call.output_digest or "").rpartition(":")[2]
    return f"{call.status} {digest[:12]}".rstrip()
