"""Where an audit log is, and which of its calls a command is about."""

from __future__ import annotations

import datetime as dt
import math
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nxkernel.audit.filters import CallFilter
    from nxkernel.audit.whole import AuditReader

__all__ = [
    "ALL",
    "archive_option",
    "chosen",
    "filter_options",
    "known_run",
    "log_path",
    "place_argument",
    "reader_at",
    "run_option",
]

#: The value of ``--run`` that means every run; run ids begin with ``r``.
ALL = "all"
#: ``DATA_DIR``, the same for every command.
place_argument: Callable[[Any], Any] = click.argument(
    "place", metavar="DATA_DIR", type=click.Path(path_type=Path)
)
#: ``--run``, the same for every command.
run_option: Callable[[Any], Any] = click.option(
    "--run", "run_id", metavar="ID", help="Run to look at [default: the newest]."
)
#: ``--archive``, the same for every command.
archive_option: Callable[[Any], Any] = click.option(
    "--archive",
    "archives",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where older files of the log were moved to; may be given several times.",
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _moment(_: click.Context, option: click.Parameter, value: str | None) -> int | None:
    """Return nanoseconds since the Unix epoch of a time in ISO 8601, or of an age."""
    if value is None:
        return None
    if age := re.fullmatch(r"(\d+)([smhd])", value):
        return time.time_ns() - int(age[1]) * _SECONDS[age[2]] * 10**9
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        text = f"{value!r} is no time: give 2026-01-31T12:00 (UTC) or an age, 15m, 2h"
        raise click.BadParameter(text, param=option) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return int(moment.replace(microsecond=0).timestamp()) * 10**9 + moment.microsecond * 1000


def _finite(_: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no number of milliseconds, though it is a float."""
    if value is not None and not math.isfinite(value * 1000):
        raise click.BadParameter(f"{value} is no number of milliseconds", param=option)
    return value


def _time(name: str, field: str, meaning: str) -> Any:
    return click.option(name, field, metavar="TIME", callback=_moment, help=meaning)


_FILTERS = (
    click.option("--plugin", metavar="ID", help="Only calls of this plugin."),
    click.option("--hook", metavar="NAME", help="Only calls of this hook."),
    click.option("--code", metavar="CODE", help="Only calls with this error code."),
    click.option(
        "--fault",
        type=click.Choice(["caller", "plugin", "host"]),
        help="Only failures with this fault.",
    ),
    click.option("--caller", metavar="ID", help="Only calls that this plugin asked for."),
    click.option("--top", is_flag=True, help="Only calls of the application."),
    _time("--since", "since_ns", "Only calls that began then or later; UTC, or an age: 15m, 2h."),
    _time("--until", "until_ns", "Only calls that began before."),
    click.option("--errors", is_flag=True, help="Only calls that failed or were interrupted."),
    click.option(
        "--slower",
        type=click.FloatRange(min=0),
        metavar="MS",
        callback=_finite,
        help="Only calls that took as many milliseconds, or more.",
    ),
)


def filter_options(command: Any) -> Any:
    """Give *command* ``--run``, ``--archive`` and the filters, which :func:`chosen` takes."""
    for option in reversed((run_option, *_FILTERS, archive_option)):
        command = option(command)
    return command


def chosen(reader: AuditReader, run_id: str | None, options: dict[str, Any]) -> CallFilter:
    """Return the filter that the options of :func:`filter_options` mean.

    Raises:
        AuditError: for a run that is not in the log.
    """
    from nxkernel.audit.filters import CallFilter

    slower = options.pop("slower")
    return CallFilter(
        run_id=None if run_id == ALL else known_run(reader, run_id),
        failures=options.pop("errors"),
        min_us=None if slower is None else round(slower * 1000),
        **options,
    )


def log_path(place: Path) -> Path:
    """Return the audit log of the data directory *place*, or *place* itself if it is a file."""
    return place if place.is_file() else place / "audit" / "audit.db"


def reader_at(place: Path, archives: Sequence[Path] = ()) -> AuditReader:
    """Open the audit log of *place*, with its older files in the folders *archives*."""
    from nxkernel.audit.whole import AuditReader

    return AuditReader(log_path(place), archives=archives)


def known_run(reader: AuditReader, run_id: str | None) -> str:
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
