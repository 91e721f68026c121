"""Every failure becomes a line that says what happened and what to do, and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from nxkernel_cli.output import emit, note

__all__ = [
    "FAILED",
    "INTEGRITY",
    "INTERRUPTED",
    "NO_LEVEL",
    "OK",
    "USAGE",
    "describe",
    "note_remote",
    "report",
]

OK = 0
FAILED = 1
USAGE = 2
INTEGRITY = 4
NO_LEVEL = 5
INTERRUPTED = 130


def report(error: BaseException, args: Sequence[str]) -> int:
    """Print *error* as the options in *args* want it, and return the exit code."""
    if isinstance(error, click.Abort):
        note("interrupted")
        return INTERRUPTED
    if "--debug" in args or os.environ.get("NXKERNEL_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error, file=sys.stderr)
    facts, advice, code = _facts(error)
    if "--json" in args:
        emit({"ok": False, "error": facts})
    if isinstance(error, click.UsageError):
        error.show()
        return code
    note(_line(facts))
    note_remote(error)
    if advice:
        note(f"  next: {advice}")
    return code


def note_remote(error: BaseException | None, indent: str = "  ") -> None:
    """Print where in a plugin's code *error* began, if a plugin told it."""
    from nxkernel._remote import RemoteTraceback

    while error is not None and not isinstance(error, RemoteTraceback):
        error = error.__cause__
    for line in error.text.splitlines() if error is not None else ():
        note(indent + line)


def describe(error: Any) -> dict[str, Any]:
    """Return the error object of ``--json`` for an ``NxError``."""
    return {
        "code": error.code,
        "message": error.message,
        "plugin": error.plugin,
        "hook": error.hook,
        "details": error.details,
    }


def _facts(error: BaseException) -> tuple[dict[str, Any], str, int]:
    """Return the error object, the next step and the exit code."""
    from nxkernel.errors import ERROR_CODES, NxError

    if isinstance(error, NxError):
        row = ERROR_CODES.get(error.code)
        return describe(error), row.next_step if row else "", error.exit_code
    if isinstance(error, click.ClickException):
        code = "cli.usage" if isinstance(error, click.UsageError) else "cli.failed"
        return _own(code, error.format_message()), "", error.exit_code
    message = f"{type(error).__name__}: {error}".rstrip(": ")
    advice = "`nxkernel --debug ...` or NXKERNEL_DEBUG=1 shows where; please report it"
    return _own("cli.unexpected", message), advice, FAILED


def _own(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "plugin": "", "hook": "", "details": {}}


def _line(facts: dict[str, Any]) -> str:
    message, places = facts["message"], []
    for word in ("plugin", "hook"):
        name = facts[word]
        if name and name not in message:
            places.append(f"{word} {name}")
    place = f" ({', '.join(places)})" if places else ""
    return f"error [{facts['code']}]: {message}{place}"
