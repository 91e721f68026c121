"""``nxkernel audit rotate`` and ``archive``: large logs, in files that are sealed and moved."""

from __future__ import annotations

from pathlib import Path

import click

from nxkernel_cli.audit_place import log_path, place_argument
from nxkernel_cli.failures import OK
from nxkernel_cli.output import emit, json_option, say

__all__ = ["archive", "rotate"]

_folder = click.Path(path_type=Path, file_okay=False)


@click.command(short_help="Seal the log's file and go on in a new one.")
@place_argument
@click.option("--if-due", is_flag=True, help="Only if it has 1,000,000 rows or 256 MiB.")
@json_option
def rotate(place: Path, if_due: bool, as_json: bool) -> int:
    """Seal the file of a log, also while kernels write to it, and start the next from its head."""
    from nxkernel._clock import SystemClock
    from nxkernel.audit import rotation
    from nxkernel.audit.draining import drain
    from nxkernel.audit.reader import AuditReader

    log, sealed = log_path(place), None
    # Left by a rotation that was killed, only who may write can open it, or make it again.
    is_broken_off = Path(f"{log}-journal").exists() or not log.is_file()
    if not (is_broken_off and rotation.is_there(log)):
        with AuditReader(log):
            pass  # What is no log is refused before anything is written to it.
    drain(log, SystemClock(), lambda: True)  # what a killed kernel left belongs to this file
    if not if_due or rotation.is_due(log):
        sealed = rotation.rotate(log, SystemClock()).path
    if as_json:
        emit({"ok": True, "sealed": sealed})
    else:
        say(f"sealed: {sealed}" if sealed else "not due yet")
    return OK


@click.command(short_help="Compress sealed files and move them to a folder.")
@place_argument
@click.argument("folder", metavar="FOLDER", type=_folder)
@json_option
def archive(place: Path, folder: Path, as_json: bool) -> int:
    """Compress the sealed files of a log and move them to FOLDER; none is deleted."""
    from nxkernel._clock import SystemClock
    from nxkernel.audit import rotation

    moved = rotation.archive(log_path(place), folder, SystemClock())
    if as_json:
        emit({"ok": True, "moved": moved})
    else:
        for path in moved:
            say(f"moved: {path}")
    return OK
