"""``nxkernel doctor``: what holds a plugin on this machine, witnessed by a probe worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from nxkernel_cli.app import load_app
from nxkernel_cli.failures import NO_LEVEL, OK
from nxkernel_cli.output import Styled, emit, json_option, note, pairs, say, table

if TYPE_CHECKING:
    from nxkernel.kernel.probe import Axis, ProbeReport

__all__ = ["doctor"]

LEVELS = ("isolated", "confined", "process")
#: What a kernel demands when its application says nothing.
DEMANDED = "confined"


@click.command(short_help="Witness what holds a plugin on this machine.")
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    help="Witness this level alone; without it, which levels can be had, and `confined` in full.",
)
@click.option(
    "--app",
    metavar="MODULE:FACTORY",
    help="An application: which of its plugins nothing holds, and why.",
)
@json_option
def doctor(level: str | None, app: str | None, as_json: bool) -> int:
    """Start a probe worker, let it try each way out, and print what it met.

    Exits with 5 if the level, or without one `confined`, cannot be had here.
    """
    from nxkernel.kernel.probe import probe

    inside = {} if app is None else _in_process(app)
    wanted = (level,) if level else LEVELS
    reports = {name: probe(name) for name in wanted}  # type: ignore[arg-type]
    report = reports[level or DEMANDED]
    if as_json:
        summary = {} if level else _summary(reports)
        emit({**report.to_json(), **summary, **_extras(report, app, inside)})
    else:
        if not level:
            _print_levels(reports)
        _print(report)
        _print_in_process(app, inside)
    return OK if report.ok else NO_LEVEL


def _in_process(app: str) -> dict[str, str]:
    """Return the in-process allowlist of an application's kernel, which is not booted for this."""
    from nxkernel.kernel import Kernel

    made = load_app(app)
    if isinstance(made, Kernel):
        return dict(made.inproc)
    with made as kernel:
        return dict(kernel.inproc)


def _print_in_process(app: str | None, inside: dict[str, str]) -> None:
    if app is None:
        return
    say()
    if not inside:
        say(f"{app}: no plugin runs in the host's process")
    for plugin, reason in sorted(inside.items()):
        say(f"{app}: NOTHING HOLDS {plugin}, which runs in the host's process: {reason}")


def _extras(report: ProbeReport, app: str | None, inside: dict[str, str]) -> dict[str, object]:
    """What is only there sometimes: the application's allowlist, and the error."""
    extras: dict[str, object] = {} if app is None else {"inproc": inside}
    return extras if report.ok else {**extras, "error": _error(report)}


def _summary(reports: Mapping[str, ProbeReport]) -> dict[str, object]:
    """Which levels this machine can give, strongest first."""
    levels = [
        {
            "level": name,
            "ok": report.ok,
            "guarantee": report.guarantee,
            "errno": report.errno,
            "missing": report.missing,
            "next_step": report.next_step,
        }
        for name, report in reports.items()
    ]
    return {"levels": levels, "best": _best(reports)}


def _best(reports: Mapping[str, ProbeReport]) -> str | None:
    return next((name for name, report in reports.items() if report.ok), None)


def _error(report: ProbeReport) -> dict[str, object]:
    message = report.missing or "an axis that the level promises was not denied"
    return {
        "code": "sandbox.unavailable",
        "message": message,
        "plugin": "",
        "hook": "",
        "details": {"guarantee": report.guarantee, "errno": report.errno},
    }


def _print_levels(reports: Mapping[str, ProbeReport]) -> None:
    table(
        ("level", "", "missing"),
        [(name, _can_be_had(report), report.missing or "") for name, report in reports.items()],
        prose=("missing",),
    )
    say()
    say(f"best level here: {_best(reports) or 'none'}; demanded by default: {DEMANDED}")
    say()


def _can_be_had(report: ProbeReport) -> Styled:
    return Styled("holds", "green") if report.ok else Styled("cannot be had", "bold red")


def _print(report: ProbeReport) -> None:
    say(f"level {report.level}: {'holds' if report.ok else 'CANNOT BE HAD HERE'}")
    if report.axes:
        say()
        table(
            ("axis", "mechanism", "tried", "seen", ""),
            [(a.name, a.mechanism, a.tried, a.seen, _verdict(a)) for a in report.axes],
            prose=("tried",),
        )
    say()
    pairs(sorted(report.machine.items()))
    for warning in report.warnings:
        note(f"warning: {warning}")
    if not report.ok:
        note(f"error [sandbox.unavailable]: {_error(report)['message']}")
    if report.next_step:
        note(f"  next: {report.next_step}")


def _verdict(axis: Axis) -> Styled:
    if axis.denied:
        return Styled("ok" if axis.promised else "ok, not promised", "green")
    return Styled("NOT AS PROMISED", "bold red") if axis.promised else Styled("not promised", "dim")
