"""``nxkernel plugins lock``: show what a lockfile would record, record it, or hold to it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from nxkernel_cli.failures import FAILED, INTEGRITY, OK, describe
from nxkernel_cli.install import environments_option, store_at
from nxkernel_cli.output import emit, json_option, note, say

if TYPE_CHECKING:
    from nxkernel.errors import LockMismatch
    from nxkernel.plugins.discovery import Candidate
    from nxkernel.plugins.lockdiff import LockDiff
    from nxkernel.plugins.lockfile import Lock, LockEntry
    from nxkernel.plugins.manifest import Manifest
    from nxkernel.settings import Hosting, Sandbox
    from nxkernel.types import Digest

__all__ = ["lock"]


@click.command(short_help="Show, write or check the lockfile.")
@click.argument("places", metavar="[DIR...]", nargs=-1)
@click.option("--installed", is_flag=True, help="The plugins of installed distributions too.")
@click.option("--group", metavar="NAME", help="With --installed: their entry-point group.")
@click.option(
    "--lockfile",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The lockfile [default: nxkernel.lock in the first DIR].",
)
@click.option("--yes", is_flag=True, help="Write it without asking.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 4 if something differs.")
@click.option(
    "--app",
    metavar="MODULE:FACTORY",
    help="Record the sandbox level and hosting options of this application too.",
)
@environments_option
@json_option
def lock(
    places: tuple[str, ...],
    installed: bool,
    group: str | None,
    lockfile: Path | None,
    yes: bool,
    check: bool,
    app: str | None,
    environments: Path | None,
    as_json: bool,
) -> int:
    """Show what the lockfile would record: digests, and permissions as grants; then record it."""
    if yes and check:
        raise click.UsageError("--yes writes and --check does not: give one of them")
    if not places and not installed:
        raise click.UsageError("which plugins? Name their folders, or give --installed")
    target = lockfile or _default(places)
    options = {
        "--group": group,
        "--lockfile": lockfile,
        "--app": app,
        "--environments": environments,
    }
    given = [f"{name} {value}" for name, value in options.items() if value is not None]
    again = " ".join([*places, *(["--installed"] if installed else []), *given])
    found = _sound(places, installed, group)
    old = _old(target, strict=check)
    new = _new(found, old, _Application.of(app, environments))
    changes = _diff(old, new)
    if not as_json:
        _print(new, changes, target)
    if check:
        return _checked(changes, target, again, as_json)
    return _record(new, changes, target, yes=yes, as_json=as_json)


def _default(places: Sequence[str]) -> Path:
    """Beside the plugins: a lockfile inside of a plugin would be one of the files it records."""
    from nxkernel.plugins.lockfile import FILENAME
    from nxkernel.plugins.manifest import FILENAMES

    folder = Path(*places[:1])
    inside = any((folder / name).exists() for name in FILENAMES)
    return (folder.absolute().parent if inside else folder) / FILENAME


def _sound(places: Sequence[str], installed: bool, group: str | None) -> list[Candidate]:
    """Return the plugins found.

    Raises:
        NxError: when one is broken: what cannot be read cannot be reviewed.
    """
    from nxkernel.plugins.discovery import GROUP, discover

    found = discover(*places, group=group or GROUP, entry_points=installed)
    for candidate in found:
        if candidate.error is not None:
            raise candidate.error
    return found


def _old(target: Path, *, strict: bool) -> Lock:
    """Return the lock as it is; unless *strict*, one that cannot be read counts as empty."""
    from nxkernel.errors import LockMismatch
    from nxkernel.plugins.lockfile import Lock, read_lock

    if not strict and not target.exists():
        return Lock()
    try:
        return read_lock(target)
    except LockMismatch as error:
        if strict:
            raise
        note(f"the old lockfile counts for nothing: {error.message}")
        return Lock()


class _Application(NamedTuple):
    """What is known of the application that the lockfile is for."""

    environments: Path | None
    sandbox: Sandbox | None = None
    hosting: Hosting | None = None

    @classmethod
    def of(cls, app: str | None, environments: Path | None) -> _Application:
        """Ask the application that *app* names; the kernel that it makes is not started.

        Raises:
            UsageError: when the factory makes something else than a kernel.
        """
        if app is None:
            return cls(environments=environments)
        from nxkernel.kernel import Kernel
        from nxkernel_cli.app import load_app

        kernel = load_app(app)
        if not isinstance(kernel, Kernel):
            raise click.UsageError(f"{app} made no Kernel: give a factory that returns it unopened")
        root = environments or kernel.hosting.environments
        return cls(environments=root, sandbox=kernel.sandbox, hosting=kernel.hosting)


def _new(found: Sequence[Candidate], old: Lock, app: _Application) -> Lock:
    from nxkernel.plugins.lockfile import Lock

    return Lock(plugins={each.id: _entry(each, old.plugins.get(each.id), app) for each in found})


def _entry(candidate: Candidate, before: LockEntry | None, app: _Application) -> LockEntry:
    """Return what accepts the plugin as it is.

    While its manifest is the same, so is its grant: one that was narrowed by hand stays narrow.
    What only an application can say stays as it was where none is named.
    """
    from nxkernel.plugins.codestore import survey
    from nxkernel.plugins.lockfile import KINDS, lock_entry
    from nxkernel.settings import Grant

    manifest, tree = _manifest(candidate), survey(candidate.code)
    grant = Grant(**{kind: getattr(manifest.permissions, kind) for kind in KINDS})
    if before is not None and before.manifest == manifest.digest:
        grant = before.grant
    same = before is not None and before.tree == tree.tree_digest
    return lock_entry(
        manifest,
        tree,
        grant,
        before.impls if before and same else None,
        _environments(manifest, before, app.environments),
        **_hosting(manifest, before, app),
    )


def _manifest(candidate: Candidate) -> Manifest:
    if candidate.manifest is None:  # None of those that `_sound` returns.
        raise click.ClickException(f"{candidate.id} has no manifest")
    return candidate.manifest


def _hosting(manifest: Manifest, before: LockEntry | None, app: _Application) -> dict[str, Any]:
    from nxkernel.plugins.lockcheck import hosting_values

    if app.hosting is None or app.sandbox is None:
        return {"sandbox": before.sandbox, "hosting": before.hosting} if before else {}
    # Of the in-process allowlist nobody is locked: it is there to debug one, with its reason.
    values = hosting_values(app.hosting, manifest.limits_over(app.hosting.limits))
    return {"sandbox": app.sandbox.level, "hosting": values}


def _environments(
    manifest: Manifest, before: LockEntry | None, root: Path | None
) -> dict[str, Digest]:
    """Return the digests of its own environment; those of other machines are kept.

    Raises:
        EnvironmentUnavailable: when it is not installed: what is not there cannot be recorded.
    """
    if manifest.environment is None:
        return {}
    where = f" --environments {root}" if root else ""
    found = store_at(root).verified(
        manifest.environment,
        who=manifest.id,
        command=f"nxkernel plugins install {manifest.folder.name}{where}",
    )
    kept = before.environments if before and before.manifest == manifest.digest else {}
    return {**kept, found.interpreter.abi: found.digest}


def _diff(old: Lock, new: Lock) -> LockDiff:
    from nxkernel.plugins.lockdiff import diff

    return diff(old, new)


def _print(new: Lock, changes: LockDiff, target: Path) -> None:
    say(f"{target.name}: {len(new.plugins)} plugins, {len(changes.changes)} changes")
    for change in changes.changes:
        say(f"  {change}")
    for plugin, entry in sorted(new.plugins.items()):
        granted = "; ".join(f"{kind} {' '.join(v)}" for kind, v in _grant(entry).items() if v)
        say(f"  = {plugin} {entry.version} may: {granted or 'nothing beyond the default policy'}")
        held = _held(entry)
        say(f"    {plugin} {entry.version} {held}")
        if entry.limits:
            asked = "; ".join(f"{key} {value:g}" for key, value in sorted(entry.limits.items()))
            say(f"    {plugin} {entry.version} asks for limits: {asked}")


def _held(entry: LockEntry) -> str:
    """Say what else is held, and what is not."""
    if entry.environments:
        libraries = "its libraries are held by the digest of its environment"
    else:
        libraries = "its libraries are the application's, and not held"
    if entry.sandbox is None:
        return f"{libraries}; level and hosting options are not held (--app names the application)"
    return f"{libraries}; it runs at level {entry.sandbox} or a stronger one"


def _grant(entry: LockEntry) -> Mapping[str, Sequence[str]]:
    from nxkernel.plugins.lockfile import KINDS

    return {kind: getattr(entry.grant, kind) for kind in KINDS}


def _data(new: Lock, changes: LockDiff, target: Path) -> dict[str, Any]:
    rows = [
        {"id": plugin, "version": entry.version, "tree": entry.tree}
        | {"grant": _grant(entry), "limits": entry.limits}
        | {"dependencies": entry.dependencies, "contracts": entry.contracts}
        | {"sandbox": entry.sandbox, "hosting": entry.hosting}
        for plugin, entry in sorted(new.plugins.items())
    ]
    return {"lockfile": target, "changes": changes.changes, "plugins": rows}


def _checked(changes: LockDiff, target: Path, again: str, as_json: bool) -> int:
    error = _drift(changes, target, again) if changes else None
    if as_json:
        told = {"error": describe(error)} if error else {}
        emit({"ok": error is None, "written": False, "changes": changes.changes, **told})
    elif error:
        note(f"error {error}")
    return INTEGRITY if error else OK


def _drift(changes: LockDiff, target: Path, again: str) -> LockMismatch:
    from nxkernel.errors import LockMismatch

    first = changes.changes[0]
    more = f" (and {len(changes.changes) - 1} more)" if len(changes.changes) > 1 else ""
    return LockMismatch(
        f"{target.name}: {first.plugin}: {first.what} {first.name} {first.action}{more}. Review "
        f"it; `nxkernel plugins lock {again} --yes` accepts it.",
        plugin=first.plugin,
    )


def _record(new: Lock, changes: LockDiff, target: Path, *, yes: bool, as_json: bool) -> int:
    from nxkernel.plugins.lockfile import write_lock

    needed = bool(changes) or not target.exists()
    agreed = needed and (yes or (not as_json and _ask(target)))
    if agreed:
        write_lock(target, new)
    ok = agreed or not needed
    if as_json:
        emit({"ok": ok, "written": agreed, **_data(new, changes, target)})
    if not ok:
        note(f"{target.name} was not written; --yes accepts the changes")
    elif not as_json:
        note(f"{target.name} is written" if agreed else "no changes")
    return OK if ok else FAILED


def _ask(target: Path) -> bool:
    """Ask on a terminal; where there is none, nobody agrees."""
    return sys.stdin.isatty() and click.confirm(f"write {target.name}?", err=True)
