"""``nxkernel audit plugins``: how plugins took part in a run, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.audit_place import (
    ALL,
    archive_option,
    known_run,
    place_argument,
    reader_at,
    run_option,
)
from nxkernel_cli.output import emit, json_option, table

if TYPE_CHECKING:
    from nxkernel.audit.records import PluginRecord

__all__ = ["plugins"]


@click.command(short_help="List the plugins of a run.")
@place_argument
@run_option
@archive_option
@json_option
def plugins(place: Path, run_id: str | None, archives: tuple[Path, ...], as_json: bool) -> None:
    """List how plugins took part in a run: what each asked for, what it was granted.

    A plugin has a row for each of its editions, and for its end; `--run all` takes every run.
    """
    with reader_at(place, archives) as reader:
        run = None if run_id == ALL else known_run(reader, run_id)
        found = reader.plugins(run)
    if as_json:
        emit({"ok": True, "run": run, "plugins": found})
        return
    table(
        ("run", "plugin", "edition", "version", "level", "asks", "granted", "does not run"),
        [_row(record) for record in found],
        right=("edition",),
    )


def _row(record: PluginRecord) -> tuple[object, ...]:
    asks = "unknown" if record.permissions is None else _kinds(record.permissions)
    return (
        record.run_id, record.plugin, record.edition, record.version, record.level, asks,
        _kinds(record.grants), record.disabled,
    )  # fmt: skip


def _kinds(permissions: Mapping[str, Any]) -> str:
    """Return what is asked for or granted, without the kinds of which nothing is."""
    return "; ".join(
        f"{kind} {' '.join(map(str, names))}" for kind, names in permissions.items() if names
    )
