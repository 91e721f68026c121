"""``nxkernel plugins environments``: what is installed for plugins, for whom, and what may go."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nxkernel_cli.failures import FAILED, OK
from nxkernel_cli.install import environments_option, store_at
from nxkernel_cli.output import emit, json_option, note, say, table

if TYPE_CHECKING:
    from nxkernel.plugins.environments.prune import Kept, Users
    from nxkernel.plugins.manifest import Manifest

__all__ = ["environments"]


@click.command(short_help="List installed environments; remove those that nobody uses.")
@click.argument("places", metavar="[DIR...]", nargs=-1)
@click.option(
    "--lockfile",
    "lockfiles",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="What this lockfile records is used too; repeatable.",
)
@click.option("--prune", is_flag=True, help="Remove what no plugin and no lockfile asks for.")
@click.option("--yes", is_flag=True, help="With --prune: remove it without asking.")
@environments_option
@json_option
def environments(
    places: tuple[str, ...],
    lockfiles: tuple[Path, ...],
    prune: bool,
    yes: bool,
    environments: Path | None,
    as_json: bool,
) -> int:
    """List the environments that are installed, and which plugins in DIR ask for them.

    One that a running kernel uses is never removed.
    """
    if prune and not places and not lockfiles:
        raise click.UsageError("--prune: name every folder of plugins whose environments stay")
    from nxkernel.plugins.environments import prune as pruning
    from nxkernel.plugins.environments.interpreters import here

    store = store_at(environments)
    found = pruning.kept(store, _users(places, lockfiles), here())
    unused = [each for each in found if not each.users]
    if not as_json:
        _print(found)
    agreed = prune and bool(unused) and (yes or (not as_json and _ask(len(unused))))
    used = pruning.prune(store, unused) if agreed else []
    ok = not prune or not unused or agreed
    gone = [each for each in unused if each not in used] if agreed else []
    if as_json:
        rows = [_row(each) | {"removed": each in gone} for each in found]
        emit({"ok": ok, "environments": rows, "root": store.root})
    else:
        _tell(gone, used, ok)
    return OK if ok else FAILED


def _users(places: Sequence[str], lockfiles: Sequence[Path]) -> Users:
    """Return who asks for environments in *places*, and whom *lockfiles* record."""
    from nxkernel.plugins.environments.prune import Users
    from nxkernel.plugins.lockfile import FILENAME, read_lock

    requests: dict[Any, list[str]] = {}
    for manifest in _manifests(places):
        if manifest.environment is not None:
            requests.setdefault(manifest.environment, []).append(manifest.id)
    beside = [path for place in places if (path := Path(place) / FILENAME).exists()]
    digests: dict[Any, list[str]] = {}
    for path in [*lockfiles, *beside]:
        for plugin, entry in read_lock(path).plugins.items():
            for digest in entry.environments.values():
                digests.setdefault(digest, []).append(plugin)
    return Users(requests=requests, digests=digests)


def _manifests(places: Sequence[str]) -> Iterable[Manifest]:
    """Yield the manifests in *places*.

    Raises:
        NxError: for a broken one: what it asks for is not known, and must not be removed.
    """
    from nxkernel.plugins.discovery import discover

    for candidate in discover(*places, entry_points=False):
        if candidate.error is not None:
            raise candidate.error
        if candidate.manifest is not None:
            yield candidate.manifest


def _print(found: Sequence[Kept]) -> None:
    table(
        ("folder", "python", "holds", "MiB", "for"),
        [
            (
                each.environment.prefix.name[:12],
                each.environment.interpreter.version,
                ", ".join(f"{d.name} {d.version}" for d in each.environment.distributions),
                f"{each.size / 2**20:.1f}",
                " ".join(each.users) or "nobody here",
            )
            for each in found
        ],
        prose=("holds", "for"),
    )
    if not found:
        note("no environment is installed")


def _row(each: Kept) -> dict[str, Any]:
    environment = each.environment
    return {
        "folder": environment.prefix,
        "digest": environment.digest,
        "python": environment.interpreter.version,
        "requirements": list(environment.request.requirements),
        "size": each.size,
        "runtime": each.runtime,
        "plugins": list(each.users),
    }


def _tell(gone: Sequence[Kept], used: Sequence[Kept], ok: bool) -> None:
    for each in gone:
        say(f"removed {each.environment.prefix.name[:12]}")
    for each in used:
        note(f"{each.environment.prefix.name[:12]} stays: a running kernel uses it")
    if not ok:
        note("nothing was removed; --yes removes what is for nobody here")


def _ask(count: int) -> bool:
    """Ask on a terminal; where there is none, nobody agrees."""
    return sys.stdin.isatty() and click.confirm(f"remove {count} environments?", err=True)
