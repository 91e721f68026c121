"""``nxkernel plugins info --settings``: what a plugin's settings are, and who gave each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.app import load_app
from nxkernel_cli.output import emit, pairs, say, table

if TYPE_CHECKING:
    from nxkernel.plugins.discovery import Candidate
    from nxkernel.plugins.manifest import Manifest
    from nxkernel.settings import PluginSettings

__all__ = ["found_in", "pick", "refuse_without_settings", "settings_options", "show_settings"]

_OPTIONS = (
    click.option("--app", metavar="MODULE:FACTORY", help="Show what this application gives it."),
    click.option("--settings-file", metavar="FILE", help="With --settings: the settings file."),
    click.option("--settings-table", metavar="TABLE", help="Where in it the plugins' tables are."),
    click.option("--env-prefix", metavar="PREFIX", help="How the names of variables begin."),
)


def settings_options(command: Any) -> Any:
    """Add the options that say where the application's settings are."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_without_settings(sources: Mapping[str, Any]) -> None:
    """Refuse what only ``--settings`` has a use for.

    Raises:
        UsageError: when one of *sources* is given.
    """
    for name, value in sorted(sources.items()):
        if value is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --settings")


def found_in(places: Sequence[str]) -> list[Candidate]:
    """Return the plugins in *places*, by id.

    Raises:
        UsageError: without a place.
    """
    from nxkernel.plugins.discovery import discover

    if not places:
        raise click.UsageError("Missing argument 'DIR...'.")
    return sorted(discover(*places), key=lambda candidate: candidate.id)


def pick(plugin: str, found: Sequence[Candidate]) -> Manifest:
    """Return the manifest of *plugin*.

    Raises:
        NxError: when its manifest is broken.
        UsageError: when there is no such plugin.
    """
    for candidate in found:
        if candidate.id == plugin:
            if candidate.manifest is None:
                raise candidate.error or click.UsageError(f"{plugin} has no manifest")
            return candidate.manifest
    known = ", ".join(candidate.id for candidate in found) or "none"
    raise click.UsageError(f"no plugin {plugin!r} there; found: {known}")


def show_settings(
    plugin: str, places: Sequence[str], as_json: bool, *, app: str | None, **sources: str | None
) -> None:
    """Print the effective settings of *plugin*: from its files and *sources*, or from *app*."""
    if app is None:
        shown, schema = _of_files(pick(plugin, found_in(places)), **sources)
    elif places or any(sources.values()):
        raise click.UsageError("--app has folders and settings of its own; give one or the other")
    else:
        shown, schema = _of_app(plugin, app), None
    if as_json:
        emit({"ok": True, "plugin": _facts(plugin, shown, schema)})
        return
    pairs([("id", plugin), ("digest", shown.digest)])
    say()
    table(
        ("setting", "value", "source", "from"),
        [(e.path, _text(e.value), e.source, e.origin) for e in shown.entries],
        prose=("value",),
    )


def _of_files(
    manifest: Manifest,
    *,
    settings_file: str | None,
    settings_table: str | None,
    env_prefix: str | None,
) -> tuple[PluginSettings, Any]:
    from nxkernel.plugins.layers import Settings
    from nxkernel.plugins.settings import effective_settings
    from nxkernel.schemas import SchemaRegistry

    given = Settings(
        file=settings_file,
        table=settings_table or "",
        environment=os.environ if env_prefix else None,
        prefix=env_prefix or "",
    )
    settled = effective_settings(manifest, given, SchemaRegistry())
    return settled.shown, settled.schema


def _of_app(plugin: str, app: str) -> PluginSettings:
    from nxkernel.kernel import Kernel

    made = load_app(app)
    if isinstance(made, Kernel):
        return made.settings(plugin)
    with made as kernel:
        return kernel.settings(plugin)


def _facts(plugin: str, shown: PluginSettings, schema: Any) -> dict[str, Any]:
    return {
        "id": plugin,
        "settings": shown.values,
        "entries": shown.entries,
        "digest": shown.digest,
        "schema": schema,
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
