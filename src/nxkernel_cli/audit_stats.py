"""``nxkernel audit stats``: how long calls took, how they failed, where their time went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.audit_export import counted
from nxkernel_cli.audit_place import chosen, filter_options, place_argument, reader_at
from nxkernel_cli.output import emit, json_option, lower, note, say, table

if TYPE_CHECKING:
    from nxkernel.audit.filters import CallFilter
    from nxkernel.audit.statistics import HookStats, Statistics

__all__ = ["stats"]

_COLUMNS = (
    "plugin",
    "hook",
    "calls",
    "failed",
    "p50 ms",
    "p95 ms",
    "max ms",
    "inside p50",
    "total s",
)


@click.command(short_help="Sum up calls: durations, failures, where the time went.")
@place_argument
@filter_options
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with charts, in one file that needs nothing else.",
)
@json_option
def stats(
    place: Path,
    run_id: str | None,
    html: Path | None,
    archives: tuple[Path, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Sum up the calls of a run by plugin and hook; `--run all` takes every run."""
    from nxkernel.audit.page import page
    from nxkernel.audit.statistics import summary

    with reader_at(place, archives) as reader:
        where = chosen(reader, run_id, options)
        with counted(reader.total(where), quiet=as_json) as count:
            runs = reader.runs(where.run_id)
            stacks = {run.run_id: run.stack for run in runs}
            found = summary(count(reader.stream(where)), stacks=stacks)
    if html is not None:
        _write(html, page(found, runs, _asked(where)))
    if as_json:
        emit({"ok": True, "run": where.run_id, **_facts(found)})
    else:
        _print(found)


def _asked(where: CallFilter) -> str:
    """Return in words which calls of the run were asked for."""
    said = {name: value for name, value in where.said().items() if name != "run_id"}
    return "Only calls with " + ", ".join(f"{n} {v}" for n, v in said.items()) if said else ""


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.UsageError(f"{path} is there already; give another name") from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
    note(f"wrote {path}")


def _facts(found: Statistics) -> dict[str, Any]:
    hooks = [_hook(each) for each in found.hooks]
    return {
        "calls": found.calls,
        "failures": found.failures,
        "interrupted": found.interrupted,
        "hooks": hooks,
        "errors": _errors(found.errors),
        "where_us": lower(found.where),
        "middlewares_us": lower(found.middlewares),
        "slowest": found.slowest,
    }


def _hook(each: HookStats) -> dict[str, Any]:
    names = (
        *("plugin", "hook", "calls", "failures", "interrupted", "input_bytes", "output_bytes"),
        *("cpu_us", "peak_kb", "rows_read", "rows_written"),
    )
    return {
        **{name: getattr(each, name) for name in names},
        "duration_us": each.duration,
        "inside_us": each.inside,
        "where_us": each.where,
        "errors": _errors(each.errors),
    }


def _errors(errors: Any) -> list[dict[str, Any]]:
    return [{"code": code, "fault": fault, "calls": n} for (code, fault), n in errors.items()]


def _print(found: Statistics) -> None:
    lost = f", {found.interrupted} interrupted" if found.interrupted else ""
    say(f"{found.calls} calls, {found.failures} failed{lost}")
    if not found.hooks:
        return
    say()
    table(_COLUMNS, [_row(each) for each in found.hooks], right=_COLUMNS[2:])
    say()
    whole = found.where.total or 1
    parts = lower(found.where)
    shares = ", ".join(f"{name} {100 * part / whole:.0f} %" for name, part in parts.items())
    say(f"where the time went: {shares}")
    if found.errors:
        say()
        rows = [(code, fault, n) for (code, fault), n in found.errors.items()]
        table(("error", "fault", "calls"), rows, right=("calls",))


def _row(each: HookStats) -> tuple[object, ...]:
    took = each.duration
    times = (took.p50, took.p95, took.most, each.inside.p50)
    shown = (f"{us / 1000:.1f}" for us in times)
    return (
        each.plugin, each.hook, each.calls, each.failures, *shown, f"{took.total / 1e6:.1f}"
    )  # fmt: skip
