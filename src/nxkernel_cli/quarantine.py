"""``nxkernel plugins quarantined`` and ``release``: plugins whose workers died too often."""

from __future__ import annotations

from pathlib import Path

import click

from nxkernel_cli.failures import FAILED, OK
from nxkernel_cli.output import emit, json_option, moment, note, say, table

__all__ = ["quarantined", "release"]

_place = click.argument(
    "place", metavar="[DATA_DIR]", type=click.Path(path_type=Path), default=Path()
)


@click.command(short_help="List the plugins that died too often.")
@_place
@json_option
def quarantined(place: Path, as_json: bool) -> int:
    """List the plugins of DATA_DIR, or the current folder, that are in quarantine."""
    from nxkernel.kernel.quarantine import quarantines

    found = quarantines(place)
    if as_json:
        emit({"ok": True, "plugins": found})
        return OK
    table(
        ("id", "since", "until"),
        [(q.plugin, moment(q.since_ns), _until(q.until_ns)) for q in found],
    )
    return OK


def _until(until_ns: int | None) -> str:
    return "released" if until_ns is None else moment(until_ns)


@click.command(short_help="Let a quarantined plugin run again.")
@click.argument("plugin", metavar="ID")
@_place
@json_option
def release(plugin: str, place: Path, as_json: bool) -> int:
    """Lift the quarantine of plugin ID in DATA_DIR, or the current folder.

    A kernel that runs there starts the plugin's worker again at its next call, and puts on record
    that it was released. Exit code 1 when the plugin is not in quarantine.
    """
    from nxkernel.kernel.quarantine import lift

    released = lift(place, plugin)
    if as_json:
        emit({"ok": released, "plugin": plugin, "released": released})
    elif released:
        say(f"{plugin} is released: its next call starts a worker")
    else:
        note(f"{plugin} is not in quarantine in {place}")
    return OK if released else FAILED
