"""``nxkernel plugins logs``: what a plugin wrote to its output, now or as it comes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.failures import OK
from nxkernel_cli.output import SCHEMA_VERSION, emit, json_option, note, say

if TYPE_CHECKING:
    from nxkernel.kernel.logs import LogLine, LogReader, PluginLog

__all__ = ["logs"]

#: Seconds between two looks at a log that is followed.
_EVERY_S = 0.1


@click.command(short_help="Print what a plugin wrote to its output.")
@click.argument("plugin", metavar="ID")
@click.argument("place", metavar="[DATA_DIR]", type=click.Path(path_type=Path), default=Path())
@click.option("--run", "run_id", metavar="ID", help="Run to look at [default: the newest].")
@click.option(
    "--lines",
    metavar="N",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many of the last lines.",
)
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@json_option
def logs(
    plugin: str, place: Path, run_id: str | None, lines: int, follow: bool, as_json: bool
) -> int:
    """Print the last lines that plugin ID wrote; each begins with the number of its worker.

    Reads DATA_DIR, or the current folder, also while the application runs. With --follow and --json
    each line is an object of its own.
    """
    from nxkernel.kernel.logs import plugin_log

    log = plugin_log(place, plugin, run_id)
    if follow:
        _follow(log, lines, _print_json if as_json else _print)
    elif as_json:
        found = [_data(line) for line in log.tail(lines)]
        emit({"ok": True, "plugin": plugin, "run": log.run, "lines": found})
    else:
        for line in log.tail(lines):
            _print(line)
    return OK


def _follow(log: PluginLog, lines: int, show: Callable[[LogLine], None]) -> None:
    """Print until Ctrl-C, which is how this is meant to end."""
    note(f"following {log.plugin} in run {log.run}; Ctrl-C ends")
    try:
        with log.reader() as reader:
            for line in _from_here(reader, lines):
                show(line)
    except KeyboardInterrupt:
        return


def _from_here(reader: LogReader, lines: int) -> Iterator[LogLine]:
    seen = list(reader.lines())
    yield from seen[max(0, len(seen) - lines) :]
    while True:
        yield from reader.lines()
        time.sleep(_EVERY_S)


def _data(line: LogLine) -> dict[str, Any]:
    kinds = {" ": "line", "+": "continued", "!": "host"}
    return {"worker": line.worker, "kind": kinds[line.mark], "text": line.text}


def _print(line: LogLine) -> None:
    say(f"{line.worker}{line.mark} {line.text}")


def _print_json(line: LogLine) -> None:
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **_data(line)}))
