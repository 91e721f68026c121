"""``nxkernel audit``: read the record of a data directory, and check that it adds up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.audit_calls import calls, show, tail
from nxkernel_cli.audit_export import export
from nxkernel_cli.audit_place import archive_option, log_path, place_argument
from nxkernel_cli.audit_plugins import plugins
from nxkernel_cli.audit_proof import key, proof
from nxkernel_cli.audit_runs import diff, runs
from nxkernel_cli.audit_segments import archive, rotate
from nxkernel_cli.audit_stats import stats
from nxkernel_cli.failures import INTEGRITY, OK, describe
from nxkernel_cli.output import emit, json_option, note, say

if TYPE_CHECKING:
    from nxkernel.audit.backlog import Backlog
    from nxkernel.audit.checkpoint import Checkpoint
    from nxkernel.audit.reader import VerifyReport

__all__ = ["audit", "log_path", "verification"]


@click.group()
def audit() -> None:
    """Read and verify the record of all calls."""


for command in (runs, plugins, calls, show, stats, diff, tail, export, proof, key, rotate, archive):
    audit.add_command(command)


@audit.command(short_help="Recompute the tree over all rows.")
@place_argument
@click.option(
    "--checkpoint",
    "checkpoint_file",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A checkpoint that was kept elsewhere; the log must continue it.",
)
@click.option("--key", metavar="KEY", help="Verifier key of who must have signed the checkpoint.")
@archive_option
@json_option
def verify(
    place: Path,
    checkpoint_file: Path | None,
    key: str | None,
    archives: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Recompute the tree over all rows; exit with 4 if it does not add up."""
    from nxkernel.audit import reader

    if key is not None and checkpoint_file is None:
        raise click.UsageError("--key is about a checkpoint: give --checkpoint too")
    checkpoint = None if checkpoint_file is None else _checkpoint(checkpoint_file, key)
    found = reader.verify(
        log_path(place), checkpoint, archives=archives, processes=os.cpu_count() or 1
    )
    if as_json:
        emit(verification(found))
    else:
        _print_verification(found)
    return OK if found.ok else INTEGRITY


def _checkpoint(file: Path, key: str | None) -> Checkpoint:
    """Read a checkpoint, whose signature is checked if there is a *key*.

    Raises:
        AuditError: when the file has no checkpoint.
        IntegrityError: when it has no good signature.
    """
    from nxkernel.audit.checkpoint import Checkpoint
    from nxkernel.audit.note import Verifier
    from nxkernel.errors import IntegrityError

    note = file.read_text(encoding="utf-8", errors="replace")
    if key is not None and not (signer := Verifier.parse(key)).check(note):
        raise IntegrityError(
            f"the checkpoint has no good signature of {signer.name}: it is not what the log's "
            "owner signed, or the key is another one"
        )
    return Checkpoint.parse(note)


def verification(found: VerifyReport) -> dict[str, Any]:
    """Return the object that ``audit verify --json`` prints."""
    from nxkernel.errors import IntegrityError

    data: dict[str, Any] = {"ok": found.ok, "rows": found.rows, "runs": found.runs}
    data |= {"head": found.head, "problems": found.problems, "cannot_prove": found.limits}
    data |= {"waiting": found.backlog.rows + found.backlog.in_flight, "backlog": found.backlog}
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
    _print_backlog(found.backlog)
    for limit in found.limits:
        note(f"this does not show {limit}")


def _print_backlog(found: Backlog) -> None:
    for problem in found.problems:
        say(f"  waiting, {problem.kind}: {problem.message}")
    if waiting := found.rows + found.in_flight:
        note(
            f"{waiting} more rows are on record and not yet in the tree: the end of their run "
            "brings them there, or the next run if it was killed; verify again then"
        )
    if found.torn:
        note(
            f"{found.torn} bytes are the beginning of a row and no more: what a kernel leaves that "
            "is killed while it writes; nobody was told of that row"
        )
