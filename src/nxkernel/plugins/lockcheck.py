"""Holding plugins to the lockfile: what is there must be what it records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from nxkernel.errors import LockMismatch
from nxkernel.plugins.intake import Tree
from nxkernel.plugins.lockentry import Lock, LockEntry, Value, contract_digests
from nxkernel.plugins.manifest import Manifest
from nxkernel.settings import Hosting, Limits
from nxkernel.types import Digest, Level, PluginId

__all__ = ["check", "check_environment", "check_hosting", "hosting_values", "mismatch"]

#: From the weakest to the strongest.
LEVELS: tuple[Level, ...] = ("none", "process", "confined", "isolated")

#: Most differences that one message names.
MAX_NAMED = 5


def check(lock: Lock, tree: Tree, manifest: Manifest, *, place: str = "DIR") -> LockEntry:
    """Return the entry of the plugin whose verified copy is *tree*, if it is unchanged.

    *place* is the folder of plugins as it stands in the command that would accept the change.

    Raises:
        LockMismatch: ``lock.mismatch`` when the plugin is not in the lock, a file was changed,
            added or is missing, or the manifest was read before it changed.
    """
    entry = lock.plugins.get(manifest.id)
    reasons = ["is not in the lockfile"] if entry is None else list(_changes(entry, tree))
    reasons = reasons or list(_swapped(manifest, tree))
    found = (manifest.version, manifest.digest, tree.tree_digest)
    if entry is not None and entry.contracts:
        reasons += _of_contracts(entry, manifest)
    if not reasons and entry and (entry.version, entry.manifest, entry.tree) != found:
        reasons = ["its digests in the lockfile contradict each other"]
    if entry is None or reasons:
        raise mismatch(manifest.id, reasons, place)
    return entry


def check_environment(
    entry: LockEntry, plugin: PluginId, abi: str, digest: Digest, *, place: str = "DIR"
) -> None:
    """Hold the environment that *plugin* would run in to its *entry*.

    Raises:
        LockMismatch: ``lock.mismatch`` when it holds other libraries, or none were recorded for
            interpreters of this *abi*.
    """
    recorded = entry.environments.get(abi)
    if recorded is None:
        raise mismatch(plugin, [f"its environment for {abi} is not in the lockfile"], place)
    if recorded != digest:
        raise mismatch(plugin, [f"its environment for {abi} holds other libraries"], place)


def check_hosting(
    entry: LockEntry,
    plugin: PluginId,
    level: Level,
    hosting: Mapping[str, Value],
    *,
    place: str = "DIR",
) -> None:
    """Hold the level and the hosting options that *plugin* would run with to its *entry*.

    A stronger level is no difference. What was not recorded is not held.

    Raises:
        LockMismatch: ``lock.mismatch`` for a weaker level, or for another value of an option.
    """
    reasons = []
    if entry.sandbox is not None and LEVELS.index(level) < LEVELS.index(entry.sandbox):
        reasons.append(f"it would run at level {level}, and the lockfile says {entry.sandbox}")
    for name in sorted(entry.hosting):
        here, there = hosting.get(name), entry.hosting[name]
        if here != there:
            reasons.append(f"hosting option {name} is {here}, and the lockfile says {there}")
    if reasons:
        raise mismatch(plugin, reasons, place)


def hosting_values(hosting: Hosting, limits: Limits) -> dict[str, Value]:
    """Return the hosting options that concern a plugin whose limits here are *limits*.

    What is None is left out. The launcher and the interpreter are the machine's matter.
    """
    values: dict[str, Value | None] = {**attrs.asdict(limits), **_plain(hosting)}
    return {name: value for name, value in sorted(values.items()) if value is not None}


def _plain(hosting: Hosting) -> dict[str, Value | None]:
    named = ("retries", "max_depth", "max_frame", "start_timeout_s")
    values: dict[str, Value | None] = {name: getattr(hosting, name) for name in named}
    if hosting.environment:
        # By its names alone: values may be secrets.
        values["environment"] = " ".join(sorted(hosting.environment))
    return values


def _of_contracts(entry: LockEntry, manifest: Manifest) -> Iterator[str]:
    found = contract_digests(manifest)
    yield from (f"contract {change}" for change in _differences(entry.contracts, found))


def _changes(entry: LockEntry, tree: Tree) -> Iterator[str]:
    return _differences(entry.files, {file.path: file.sha256 for file in tree.files})


def _differences(locked: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """Say of each name whose digest is not the one on record what became of it."""
    for name in sorted(locked.keys() | found.keys()):
        if name not in found:
            yield f"{name} is missing"
        elif name not in locked:
            yield f"{name} was added"
        elif found[name] != locked[name]:
            yield f"{name} was changed"


def _swapped(manifest: Manifest, tree: Tree) -> Iterator[str]:
    """What was read for the manifest must be what was copied."""
    found = {file.path: file.sha256 for file in tree.files}
    for path, sha256 in sorted(manifest.read.items()):
        if found.get(path) != sha256:
            yield f"{path} was changed while it was being checked"


def mismatch(plugin: PluginId, reasons: list[str], place: str = "DIR") -> LockMismatch:
    """Return the error that names what differs, and the command that would accept it."""
    named = "; ".join(reasons[:MAX_NAMED])
    more = f"; and {len(reasons) - MAX_NAMED} more" if len(reasons) > MAX_NAMED else ""
    return LockMismatch(
        f"{plugin}: {named}{more}. Review it; `nxkernel plugins lock {place} --yes` accepts it.",
        plugin=plugin,
        details={"changes": reasons},
    )
