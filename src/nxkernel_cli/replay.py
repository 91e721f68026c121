"""``nxkernel replay``: recorded calls made again, and what is not as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nxkernel_cli.app import app_option, composed
from nxkernel_cli.determinism import print_report, report_facts
from nxkernel_cli.failures import FAILED, OK
from nxkernel_cli.output import emit, json_option, note, say, stderr_console

if TYPE_CHECKING:
    from nxkernel.kernel import Kernel
    from nxkernel.replay import Report
    from nxkernel.replay.reports import Progress

__all__ = ["replay"]


@click.command(short_help="Make recorded calls again, and compare.")
@click.argument("run")
@click.argument("call", required=False)
@app_option
@click.option("--only", metavar="ID", multiple=True, help="Calls of this plugin only; repeatable.")
@click.option(
    "--vary", is_flag=True, help="Vary the surroundings, and find what results depend on."
)
@json_option
def replay(
    run: str, call: str | None, app: str | None, only: tuple[str, ...], vary: bool, as_json: bool
) -> int:
    """Make the calls of RUN again in fresh workers, or CALL alone, and compare their bytes.

    RUN is the id of a run in the application's data directory, or the path of a run directory or of
    a recording. What plugins ask is answered from the record. Exits with 1 if a call is not what it
    was, with 4 if the recording is damaged.

    With --vary calls are compared with themselves instead: as usual, and with hash seed, time zone,
    file order, clock, order of calls and all else varied that can be.
    """
    if vary:
        return _vary(run, call, app, only, as_json)
    from nxkernel.replay import replay as made_again

    with composed(app) as kernel, _progress(quiet=as_json) as progress:
        report = made_again(
            _folder(run, kernel),
            lambda: kernel,
            None if call is None else [call],
            only=only or None,
            progress=progress,
        )
    if as_json:
        emit({"ok": report.ok, **report.to_json()})
    else:
        _print(report)
    return OK if report.ok else FAILED


def _vary(run: str, call: str | None, app: str | None, only: tuple[str, ...], as_json: bool) -> int:
    """Find what recorded calls depend on."""
    from nxkernel.replay import Session
    from nxkernel.variation.sessions import vary

    with composed(app) as kernel, Session.open(_folder(run, kernel)) as session:
        calls = session.calls if call is None else (session.call(call),)
        chosen = [each for each in calls if not only or each.plugin in only]
        report = vary(session, lambda: kernel, chosen, progress=None if as_json else note)
    if as_json:
        emit({"ok": report.ok, "run": session.head.run_id, **report_facts(report)})
    else:
        print_report(report)
    return OK if report.ok else FAILED


def _folder(run: str, kernel: Kernel) -> Path:
    """Return what *run* names: a path that is there, or else a run of the application."""
    path = Path(run)
    return path if path.exists() else kernel.run.data_dir / "runs" / run


def _print(report: Report) -> None:
    for verdict in report.differences:
        call = verdict.call
        who = call.plugin if call.begun.impl == call.hook else f"{call.plugin} ({call.begun.impl})"
        say(f"call {call.call_id}, {who}, {call.hook}: {verdict.difference}")
    for change in report.circumstances:
        note(f"changed since then: {change}")
    for why, count in _reasons(report).items():
        note(f"left out: {count}, {why}")
    if not report.whole:
        note(_broken_off(report))
    note(
        f"run {report.run_id}: {report.same} of {len(report.verdicts)} calls as they were, "
        f"{len(report.differences)} not, {len(report.left_out)} left out"
    )


def _reasons(report: Report) -> dict[str, int]:
    found: dict[str, int] = {}
    for verdict in report.left_out:
        found[verdict.why] = found.get(verdict.why, 0) + 1
    return found


def _broken_off(report: Report) -> str:
    torn = f"; its last {report.torn} bytes are half a write" if report.torn else ""
    return f"the recording was not closed: the run goes on, or its host was ended{torn}"


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress | None]:
    """Show a bar on a terminal; nothing where nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=stderr_console(), transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
