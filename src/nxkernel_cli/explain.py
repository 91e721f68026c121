"""``nxkernel plugins explain``: who answers a hook of an application, in which order and why."""

from __future__ import annotations

import click

from nxkernel_cli.app import app_option, load_app
from nxkernel_cli.failures import OK
from nxkernel_cli.output import emit, json_option, say

__all__ = ["explain"]


@click.command(short_help="Say who answers a hook, in which order and why.")
@click.argument("hook")
@app_option
@json_option
def explain(hook: str, app: str | None, as_json: bool) -> int:
    """Say who provides HOOK of an application, in which order and why; no call is made.

    The application's kernel is booted for it.
    """
    with load_app(app) as kernel:
        found = kernel.explain(hook)
    if as_json:
        emit({"ok": True, "explanation": found.to_json()})
        return OK
    for line in str(found).splitlines():
        say(line)
    return OK
