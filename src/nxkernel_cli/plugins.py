"""``nxkernel plugins``: look at folders of plugins, check them, and record what may run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.debug import debug
from nxkernel_cli.determinism import check_facts, checks, print_check, project_of
from nxkernel_cli.environments import environments
from nxkernel_cli.explain import explain
from nxkernel_cli.failures import FAILED, OK, describe, note_remote
from nxkernel_cli.install import (
    environment_facts,
    environments_option,
    install,
    installed,
    request_facts,
)
from nxkernel_cli.lock import lock
from nxkernel_cli.logs import logs
from nxkernel_cli.output import emit, json_option, lower, note, pairs, say, table
from nxkernel_cli.quarantine import quarantined, release
from nxkernel_cli.settings import (
    found_in,
    pick,
    refuse_without_settings,
    settings_options,
    show_settings,
)

if TYPE_CHECKING:
    from nxkernel.errors import NxError
    from nxkernel.kernel.inspection import Inspection
    from nxkernel.plugins.discovery import Candidate
    from nxkernel.plugins.manifest import Manifest
    from nxkernel.variation.kit import Check

__all__ = ["plugins"]

_places = click.argument("places", metavar="DIR...", nargs=-1, required=True)


@click.group()
def plugins() -> None:
    """Look at folders of plugins, check them, record what may run."""


plugins.add_command(install)
plugins.add_command(environments)
plugins.add_command(lock)
plugins.add_command(logs)
plugins.add_command(debug)
plugins.add_command(explain)
plugins.add_command(quarantined)
plugins.add_command(release)


# -- list --------------------------------------------------------------------------------------


@plugins.command("list", short_help="List plugins from their manifests.")
@_places
@json_option
def list_(places: tuple[str, ...], as_json: bool) -> None:
    """List the plugins in folders, from their manifests; no code of theirs runs."""
    found = found_in(places)
    if as_json:
        emit({"ok": True, "plugins": [_row(candidate) for candidate in found]})
        return
    table(
        ("id", "version", "hooks", "asks for", "environment", "state"),
        [
            (r["id"], r["version"], " ".join(r["hooks"]), _asks(c), _wants(c), _state(c))
            for c, r in ((candidate, _row(candidate)) for candidate in found)
        ],
        prose=("hooks", "asks for", "environment"),
    )
    for candidate in found:
        if candidate.error is not None:
            note(f"{candidate.id}: {candidate.error}")


def _row(candidate: Candidate) -> dict[str, Any]:
    manifest = candidate.manifest
    return {
        "id": candidate.id,
        "version": manifest.version if manifest else "",
        "hooks": [entry.hook for entry in manifest.hooks] if manifest else [],
        "permissions": _permissions(manifest) if manifest else {},
        "environment": request_facts(manifest),
        "folder": candidate.folder,
        "error": describe(candidate.error) if candidate.error else None,
    }


def _permissions(manifest: Manifest) -> dict[str, Sequence[str]]:
    """Return what is requested, without the kinds of which nothing is."""
    asked = manifest.permissions
    order = ("read", "write", "network", "exec", "devices", "calls")
    kinds = {kind: getattr(asked, kind) for kind in order}
    return {kind: names for kind, names in kinds.items() if names}


def _asks(candidate: Candidate) -> str:
    asked = _permissions(candidate.manifest) if candidate.manifest else {}
    return "; ".join(f"{kind} {' '.join(names)}" for kind, names in asked.items())


def _wants(candidate: Candidate) -> str:
    asked = request_facts(candidate.manifest)
    return " ".join([asked["python"], *asked["requirements"]]).strip() if asked else ""


def _state(candidate: Candidate) -> str:
    return f"[{candidate.error.code}]" if candidate.error else "ok"


# -- check -------------------------------------------------------------------------------------


@plugins.command(short_help="Check manifests, schemas, files, hooks.")
@_places
@click.option("--probe", is_flag=True, help="Start each plugin confined and compare its hooks.")
@click.option(
    "--project",
    metavar="NAME",
    help="With --probe, --determinism: the markers' project [default: what the code names].",
)
@click.option(
    "--determinism", is_flag=True, help="Make each plugin's examples twice and varied, confined."
)
@environments_option
@json_option
def check(
    places: tuple[str, ...],
    probe: bool,
    determinism: bool,
    project: str | None,
    environments: Path | None,
    as_json: bool,
) -> int:
    """Check manifests, schemas and files; exit with 1 if something is wrong.

    With --determinism it is wrong too if an example of a plugin, in the folder examples beside its
    manifest, does not give the same every time, or if there is none.
    """
    found = found_in(places)
    errors = {candidate.folder: _errors(candidate) for candidate in found}
    for plugin, error in _misfits(found, environments).items():
        errors[plugin].append(error)
    probed: dict[Path, Inspection] = {}
    if probe:
        sound = [candidate for candidate in found if not errors[candidate.folder]]
        probed = _inspections(sound, project)
        for folder, inspection in probed.items():
            errors[folder] += [inspection.error] if inspection.error else []
    tried: dict[Path, Check] = {}
    if determinism:
        tried = checks([c for c in found if not errors[c.folder]], project)
    ok = not any(errors.values()) and all(each.ok for each in tried.values())
    if as_json:
        rows = [
            _checked(c, errors[c.folder], probed.get(c.folder)) | check_facts(tried.get(c.folder))
            for c in found
        ]
        emit({"ok": ok, "plugins": rows})
    else:
        for candidate in found:
            check = tried.get(candidate.folder)
            mark = "ok   " if check is None or check.ok else "wrong"
            _print_checked(candidate, errors[candidate.folder], probed.get(candidate.folder), mark)
            print_check(check)
        if not found:
            note("no plugin found: a plugin is a folder with a plugin.toml or plugin.json")
    return OK if ok else FAILED


def _errors(candidate: Candidate) -> list[NxError]:
    """Return what is wrong with one plugin by itself."""
    from nxkernel.errors import NxError
    from nxkernel.plugins.codestore import survey
    from nxkernel.plugins.settings import effective_settings
    from nxkernel.schemas import SchemaRegistry

    if candidate.error is not None or candidate.manifest is None:
        return [candidate.error] if candidate.error else []
    errors: list[NxError] = []
    try:
        survey(candidate.code)
    except NxError as error:
        errors.append(error)
    try:
        effective_settings(candidate.manifest, {}, SchemaRegistry())
    except NxError as error:
        errors.append(error)
    return errors


def _misfits(found: Sequence[Candidate], root: Path | None) -> dict[Path, NxError]:
    """Return which plugins do not fit this kernel or each other, and why."""
    import platform

    import nxkernel
    from nxkernel.plugins.compat import Versions, resolve

    versions = Versions(
        kernel=nxkernel.__version__,
        python=platform.python_version(),
        foreign={c.id: i.interpreter.version for c in found if (i := installed(c.manifest, root))},
    )
    manifests = [candidate.manifest for candidate in found if candidate.manifest]
    disabled = resolve(manifests, versions).disabled
    return {c.folder: disabled[c.id] for c in found if c.manifest and c.id in disabled}


def _inspections(found: Sequence[Candidate], project: str | None) -> dict[Path, Inspection]:
    """Start *found* in sandboxes, those of one project together."""
    from nxkernel.kernel.inspection import inspect

    by_project: dict[str, list[Candidate]] = {}
    for candidate in found:
        by_project.setdefault(project or project_of(candidate), []).append(candidate)
    folders = {candidate.id: candidate.folder for candidate in found}
    return {
        folders[inspection.id]: inspection
        for name, group in sorted(by_project.items())
        for inspection in inspect(group, name)
    }


def _checked(
    candidate: Candidate, errors: Sequence[NxError], inspection: Inspection | None
) -> dict[str, Any]:
    return {
        "id": candidate.id,
        "folder": candidate.folder,
        "ok": not errors,
        "errors": [describe(error) for error in errors],
        "hookimpls": inspection.impls if inspection else None,
        "start_ms": inspection.start_ms if inspection else None,
    }


def _print_checked(
    candidate: Candidate, errors: Sequence[NxError], inspection: Inspection | None, mark: str
) -> None:
    if not errors:
        started = ""
        if inspection is not None:
            impls = ", ".join(f"{i.impl}({', '.join(i.args)})" for i in inspection.impls)
            started = f", started confined in {inspection.start_ms:.0f} ms: {impls}"
        say(f"{mark} {candidate.id}{started}")
    for error in errors:
        say(f"wrong {candidate.id}: {error}")
        note_remote(error, "      ")
    if errors and inspection is not None and inspection.log:
        note(f"      it printed: {inspection.log.strip().splitlines()[-1]}")


# -- info --------------------------------------------------------------------------------------


@plugins.command(short_help="Print what is known about one plugin.")
@click.argument("plugin", metavar="ID")
@click.argument("places", metavar="[DIR...]", nargs=-1)
@click.option("--settings", is_flag=True, help="Show its settings and who gave each.")
@settings_options
@environments_option
@json_option
def info(
    plugin: str,
    places: tuple[str, ...],
    settings: bool,
    environments: Path | None,
    as_json: bool,
    **sources: Any,
) -> None:
    """Print what is known about one plugin, from its files alone.

    With --settings --app it shows what the application gives it, and needs no DIR.
    """
    if settings:
        show_settings(plugin, places, as_json, **sources)
        return
    refuse_without_settings(sources)
    facts = _facts_of(pick(plugin, found_in(places)), environments)
    if as_json:
        emit({"ok": True, "plugin": facts})
        return
    pairs((key, _shown(value)) for key, value in facts.items() if value not in ([], {}))


def _facts_of(manifest: Manifest, environments: Path | None) -> dict[str, Any]:
    from nxkernel.plugins.codestore import survey

    tree = survey(manifest.folder)
    lists = ("provides", "requires", "tags", "depends_on", "conflicts_with", "replaces")
    return {
        "id": manifest.id,
        "version": manifest.version,
        "name": manifest.name,
        "description": manifest.description,
        "folder": manifest.folder,
        "entrypoint": manifest.entrypoint,
        "hooks": [entry.hook for entry in manifest.hooks],
        "priority": manifest.priority,
        "state": manifest.state,
        **{name: list(getattr(manifest, name)) for name in lists},
        "permissions": _permissions(manifest),
        "environment": environment_facts(manifest, environments),
        "limits": dict(manifest.limits),
        "contracts": {hook: sorted(sides) for hook, sides in sorted(manifest.contracts.items())},
        "has_settings": manifest.settings_schema is not None,
        "manifest": manifest.digest,
        "tree": tree.tree_digest,
        "files": {file.path: f"sha256:{file.sha256}" for file in tree.files},
    }


def _shown(value: Any) -> str:
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(lower(value), ensure_ascii=False)
