"""``nxkernel doctor``: what holds a plugin on this machine, witnessed by a probe worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nxkernel_cli.failures import NO_LEVEL, OK
from nxkernel_cli.output import Styled, emit, json_option, note, pairs, say, table

if TYPE_CHECKING:
    from nxkernel.kernel.probe import Axis, ProbeReport

__all__ = ["doctor"]

LEVELS = ("isolated", "confined", "process")


@click.command(short_help="Witness what holds a plugin on this machine.")
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="confined",
    show_default=True,
    help="The level to witness.",
)
@json_option
def doctor(level: str, as_json: bool) -> int:
    """Start a probe worker, let it try each way out, and print what it met.

    Exits with 5 if the level cannot be had here.
    """
    from nxkernel.kernel.probe import probe

    report = probe(level)  # type: ignore[arg-type]
    if as_json:
        emit(report.to_json() if report.ok else {**report.to_json(), "error": _error(report)})
    else:
        _print(report)
    return OK if report.ok else NO_LEVEL


def _error(report: ProbeReport) -> dict[str, object]:
    message = report.missing or "an axis that the level promises was not denied"
    return {
        "code": "sandbox.unavailable",
        "message": message,
        "plugin": "",
        "hook": "",
        "details": {},
    }


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
    if not report.ok:
        note(f"error [sandbox.unavailable]: {_error(report)['message']}")
    if report.next_step:
        note(f"  next: {report.next_step}")


def _verdict(axis: Axis) -> Styled:
    if axis.denied:
        return Styled("ok" if axis.promised else "ok, not promised", "green")
    return Styled("NOT AS PROMISED", "bold red") if axis.promised else Styled("not promised", "dim")
