"""``nxkernel plugins lock``: show what a lockfile would record, record it, or hold to it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.failures import FAILED, INTEGRITY, OK, describe
from nxkernel_cli.output import emit, json_option, note, say

if TYPE_CHECKING:
    from nxkernel.errors import LockMismatch
    from nxkernel.plugins.codestore import Admitted
    from nxkernel.plugins.discovery import Candidate
    from nxkernel.plugins.lockdiff import LockDiff
    from nxkernel.plugins.lockfile import Lock, LockEntry
    from nxkernel.plugins.manifest import Manifest

__all__ = ["admitted", "lock"]


def admitted(folder: Path) -> Admitted:
    """Return what a verified copy of *folder* would be; the copy itself is dropped.

    Raises:
        PluginDisabled: for files that no plugin may have.
    """
    from nxkernel.plugins.codestore import CodeStore

    with tempfile.TemporaryDirectory(prefix="nxkernel-") as store:
        return CodeStore(store).admit(folder)


@click.command(short_help="Show, write or check the lockfile.")
@click.argument("places", metavar="DIR...", nargs=-1, required=True)
@click.option(
    "--lockfile",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The lockfile [default: nxkernel.lock in the first DIR].",
)
@click.option("--yes", is_flag=True, help="Write it without asking.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 4 if something differs.")
@json_option
def lock(
    places: tuple[str, ...], lockfile: Path | None, yes: bool, check: bool, as_json: bool
) -> int:
    """Show what the lockfile would record: digests, and permissions as grants; then record it."""
    if yes and check:
        raise click.UsageError("--yes writes and --check does not: give one of them")
    target = lockfile or _default(places[0])
    again = " ".join([*places, *(["--lockfile", str(lockfile)] if lockfile else [])])
    found = _sound(places)
    old = _old(target, strict=check)
    new = _new(found, old)
    changes = _diff(old, new)
    if not as_json:
        _print(new, changes, target)
    if check:
        return _checked(changes, target, again, as_json)
    return _record(new, changes, target, yes=yes, as_json=as_json)


def _default(place: str) -> Path:
    """Beside the plugins: a lockfile inside of a plugin would be one of the files it records."""
    from nxkernel.plugins.lockfile import FILENAME
    from nxkernel.plugins.manifest import FILENAMES

    folder = Path(place)
    inside = any((folder / name).exists() for name in FILENAMES)
    return (folder.absolute().parent if inside else folder) / FILENAME


def _sound(places: Sequence[str]) -> list[Manifest]:
    """Return the manifests found.

    Raises:
        NxError: when one is broken: what cannot be read cannot be reviewed.
    """
    from nxkernel.plugins.discovery import discover

    found: list[Candidate] = discover(*places)
    for candidate in found:
        if candidate.error is not None:
            raise candidate.error
    return [candidate.manifest for candidate in found if candidate.manifest]


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


def _new(found: Sequence[Manifest], old: Lock) -> Lock:
    from nxkernel.plugins.lockfile import Lock

    return Lock(plugins={each.id: _entry(each, old.plugins.get(each.id)) for each in found})


def _entry(manifest: Manifest, before: LockEntry | None) -> LockEntry:
    """Return what accepts the plugin as it is.

    While its manifest is the same, so is its grant: one that was narrowed by hand stays narrow.
    """
    from nxkernel.plugins.lockfile import lock_entry
    from nxkernel.settings import Grant

    copy = admitted(manifest.folder)
    asked = manifest.permissions
    grant = Grant(read=asked.read, write=asked.write, network=asked.network, calls=asked.calls)
    if before is not None and before.manifest == manifest.digest:
        grant = before.grant
    same = before is not None and before.tree == copy.tree_digest
    return lock_entry(manifest, copy, grant, before.impls if before and same else None)


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


def _grant(entry: LockEntry) -> Mapping[str, Sequence[str]]:
    return {kind: getattr(entry.grant, kind) for kind in ("read", "write", "network", "calls")}


def _data(new: Lock, changes: LockDiff, target: Path) -> dict[str, Any]:
    rows = [
        {"id": plugin, "version": entry.version, "tree": entry.tree, "grant": _grant(entry)}
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
