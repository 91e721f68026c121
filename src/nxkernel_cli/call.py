"""``nxkernel call``: one call of one hook of an application."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.app import app_option, load_app
from nxkernel_cli.failures import FAILED, OK, note_remote
from nxkernel_cli.output import emit, json_option, lower, note, printable, say

if TYPE_CHECKING:
    from nxkernel.kernel.streams import Stream
    from nxkernel.types import HookResult, Outcome

__all__ = ["call"]


def _named(
    _context: click.Context, _parameter: click.Parameter, texts: Sequence[str]
) -> dict[str, Any]:
    """Read ``name=JSON`` texts.

    Raises:
        BadParameter: for another form, and for a name that is given twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{text!r} is not NAME=JSON")
        if name in found:
            raise click.BadParameter(f"{name} is given twice")
        try:
            found[name] = json.loads(value)
        except ValueError:
            hint = f"{name}={json.dumps(value)}"
            raise click.BadParameter(
                f"{value!r} is not JSON; a text needs quotes: --arg '{hint}'"
            ) from None
    return found


@click.command(short_help="Call one hook of an application.")
@click.argument("hook")
@app_option
@click.option(
    "--arg",
    "arguments",
    metavar="NAME=JSON",
    callback=_named,
    multiple=True,
    help="An argument of the hook; once for each.",
)
@click.option("--key", metavar="KEY", help="The logical call id, from which its seed derives.")
@click.option("--timeout", metavar="S", type=float, help="Seconds for each provider.")
@click.option("--only", metavar="ID", multiple=True, help="Ask this plugin only; repeatable.")
@json_option
def call(
    hook: str,
    app: str | None,
    arguments: dict[str, Any],
    key: str | None,
    timeout: float | None,
    only: tuple[str, ...],
    as_json: bool,
) -> int:
    """Call HOOK of an application; print its value, and an outcome for each plugin asked.

    Exits with 1 if the hook has no value or a plugin failed, with 3 if all of them were denied.
    """
    with load_app(app) as kernel:
        caller = kernel.options(timeout=timeout, key=key, only=only or None)
        result = caller.call(hook, **arguments)
        from nxkernel import Stream

        if isinstance(result.value, Stream):
            result = _read(result.value, show=not as_json)
        level = kernel.explain(hook).level
    ok = result.error is None and not result.degraded
    if as_json:
        emit({"ok": ok, **_data(result), "level": level})
    else:
        _print(result)
    return _exit_code(result)


def _read(stream: Stream, *, show: bool) -> HookResult:
    """Read *stream* to its end, and return its result with the items as its value.

    *show*: print each as it comes, a line each, and keep none.
    """
    import attrs

    from nxkernel import HookFailed

    items: list[Any] = []
    with suppress(HookFailed):  # The result tells of it.
        for item in stream:
            if show:
                say(json.dumps(lower(item), indent=None, ensure_ascii=False))
            else:
                items.append(item)
    result = stream.result
    assert result is not None, "it was read to its end"
    return attrs.evolve(result, value=None if show else items)


def _exit_code(result: HookResult) -> int:
    """Return the code that all failures have in common, or 1."""
    from nxkernel.errors import error_for

    codes = {error_for(e.error.code, "").exit_code for e in result if e.error is not None}
    if result.error is None and not result.degraded:
        return OK
    return codes.pop() if len(codes) == 1 else FAILED


def _data(result: HookResult) -> dict[str, Any]:
    return {
        "hook": result.hook,
        "value": result.value,
        "degraded": result.degraded,
        **({"error": _error(result.error)} if result.error else {}),
        "outcomes": [
            {**lower(each), "error": _error(each.error) if each.error else None} for each in result
        ],
    }


def _error(error: Any) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "details": error.details}


def _print(result: HookResult) -> None:
    if not any(each.items is not None for each in result):
        say(json.dumps(lower(result.value), indent=None, ensure_ascii=False))
    for each in result:
        note(_line(each))
        note_remote(each.exception(), "    ")
        for found in each.diagnostics:
            note(
                printable(f"    dropped: {found.kind} {found.path}: {found.message} [{found.code}]")
            )
    if result.error is not None:
        note(f"error [{result.error.code}]: {result.error.message}")
    elif result.degraded:
        note("degraded: the value lacks what failed or was dropped")


def _line(each: Outcome) -> str:
    name = each.plugin if each.impl == each.hook else f"{each.plugin} ({each.impl})"
    time = f"{each.timing.plugin_us / 1000:.1f} ms"
    if each.error is None:
        return printable(f"  {name}: ok, {time}, call {each.call_id}")
    origin = f" in {each.origin}" if each.origin and each.origin != each.plugin else ""
    return f"  {name}: [{each.error.code}] {each.error.message} (fault: {each.fault}{origin})"
