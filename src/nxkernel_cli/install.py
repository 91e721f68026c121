"""``nxkernel plugins install``: build the environments that plugins ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.failures import FAILED, OK, describe
from nxkernel_cli.output import emit, json_option, note, say

if TYPE_CHECKING:
    from nxkernel.errors import NxError
    from nxkernel.plugins.discovery import Candidate
    from nxkernel.plugins.environments.build import Builder
    from nxkernel.plugins.environments.install import Installed
    from nxkernel.plugins.environments.store import Environment, EnvironmentStore
    from nxkernel.plugins.environments.tools import ToolName
    from nxkernel.plugins.manifest import Manifest

__all__ = [
    "environment_facts",
    "environments_option",
    "install",
    "installed",
    "request_facts",
    "store_at",
]


#: ``--environments``, the same for every command that looks at them.
environments_option: Callable[[Any], Any] = click.option(
    "--environments",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where environments are kept [default: below the user's cache folder].",
)


@click.command(short_help="Build the environments that plugins ask for.")
@click.argument("places", metavar="DIR...", nargs=-1, required=True)
@click.option("--python", metavar="PATH", default="", help="Use this interpreter, by path or name.")
@click.option("--tool", type=click.Choice(["uv", "pip"]), help="[default: uv where present]")
@click.option(
    "--allow-build",
    is_flag=True,
    help="Take source distributions too: their code runs now, unconfined, as you.",
)
@environments_option
@json_option
def install(
    places: tuple[str, ...],
    python: str,
    tool: ToolName | None,
    allow_build: bool,
    environments: Path | None,
    as_json: bool,
) -> int:
    """Build the environments that plugins ask for; what is there and unchanged is kept.

    Plugins without an [environment] in their manifest need nothing. A kernel builds and downloads
    nothing: this command does.
    """
    found = _asking(places)
    builder = _builder(environments, tool, allow_build, _teller(as_json))
    rows = [_row(candidate, builder, python) for candidate in found]
    ok = not any(row["error"] for row in rows)
    if as_json:
        emit({"ok": ok, "environments": builder.store.root, "plugins": rows})
    else:
        _print(rows)
    return OK if ok else FAILED


def request_facts(manifest: Manifest | None) -> dict[str, Any] | None:
    """Return what the plugin asks for, or None: for `list` and `info`."""
    request = manifest.environment if manifest else None
    if request is None:
        return None
    return {"python": request.python, "requirements": list(request.requirements)}


def store_at(root: Path | None) -> EnvironmentStore:
    """Return the environments below *root*, or in the user's own folder."""
    from nxkernel.plugins.environments.interpreters import here
    from nxkernel.plugins.environments.store import EnvironmentStore, default_root

    return EnvironmentStore(root or default_root(os.environ), here().abi)


def installed(manifest: Manifest | None, root: Path | None = None) -> Environment | None:
    """Return what is installed for *manifest* below *root*, or in the user's own folder."""
    if manifest is None or manifest.environment is None:
        return None
    return store_at(root).find(manifest.environment)


def environment_facts(manifest: Manifest, root: Path | None = None) -> dict[str, Any]:
    """Return what it asks for, and what is installed for it; see `installed`."""
    asked = request_facts(manifest)
    if asked is None:
        return {}
    found = installed(manifest, root)
    if found is None:
        return {**asked, "installed": None}
    holds = {each.name: each.version for each in found.distributions}
    facts = {"digest": found.digest, "python": found.interpreter.version, "holds": holds}
    return {**asked, "installed": facts}


def _asking(places: tuple[str, ...]) -> list[Candidate]:
    """Return the plugins that ask for an environment, and those that are broken."""
    from nxkernel.plugins.discovery import discover

    found = sorted(discover(*places), key=lambda candidate: candidate.id)
    return [each for each in found if each.error or (each.manifest and each.manifest.environment)]


def _teller(as_json: bool) -> Callable[[str], None]:
    """Progress is for somebody who looks on."""
    return note if sys.stderr.isatty() and not as_json else lambda _: None


def _builder(
    root: Path | None, tool: ToolName | None, allow_build: bool, tell: Callable[[str], None]
) -> Builder:
    from nxkernel.plugins.environments.build import Builder
    from nxkernel.plugins.environments.tools import find_tool

    return Builder(
        store=store_at(root),
        tool=lambda: find_tool(os.environ, tool),
        allow_build=allow_build,
        tell=lambda what: tell(f"  {what}"),
    )


def _row(candidate: Candidate, builder: Builder, python: str) -> dict[str, Any]:
    """Install for one plugin; one that fails keeps no other from being installed."""
    from nxkernel.errors import NxError
    from nxkernel.plugins.environments.install import install as build

    request = candidate.manifest.environment if candidate.manifest else None
    try:
        if request is None:
            raise candidate.error or click.UsageError(f"{candidate.id} asks for nothing")
        builder.tell(f"{candidate.id}:")
        return _facts(candidate, build(request, builder, os.environ, python=python))
    except NxError as error:
        return _failed(candidate, error)


def _facts(candidate: Candidate, installed: Installed) -> dict[str, Any]:
    environment = installed.environment
    return {
        "id": candidate.id,
        "built": installed.built,
        "digest": environment.digest,
        "folder": environment.prefix,
        "python": environment.interpreter.executable,
        "python_version": environment.interpreter.version,
        "distributions": [
            {"name": each.name, "version": each.version, "digest": each.digest}
            for each in environment.distributions
        ],
        "error": None,
    }


def _failed(candidate: Candidate, error: NxError) -> dict[str, Any]:
    return {"id": candidate.id, "built": False, "error": describe(error)}


def _print(rows: list[dict[str, Any]]) -> None:
    if not rows:
        note("no plugin there asks for an environment; nothing to do")
    for row in rows:
        if row["error"]:
            say(f"failed {row['id']}: [{row['error']['code']}] {row['error']['message']}")
            for line in row["error"]["details"].get("output", ())[-3:]:
                note(f"       {line}")
            continue
        held = ", ".join(f"{d['name']} {d['version']}" for d in row["distributions"]) or "nothing"
        verb = "built" if row["built"] else "kept "
        say(f"{verb}  {row['id']}: CPython {row['python_version']} with {held}")
