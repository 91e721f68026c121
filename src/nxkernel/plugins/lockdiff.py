"""What changes from one lockfile to another, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

from nxkernel.plugins.lockentry import KINDS, Lock, LockEntry
from nxkernel.types import PluginId

__all__ = ["Change", "LockDiff", "diff"]

Action = Literal["added", "removed", "changed"]
_SIGNS: dict[Action, str] = {"added": "+", "removed": "-", "changed": "~"}


@attrs.frozen(kw_only=True, order=True)
class Change:
    """One difference."""

    plugin: PluginId
    #: ``plugin``, ``version``, ``file``, ``contract``, ``hookimpl``, ``environment``, ``limit``,
    #: ``sandbox``, ``hosting``, ``dependencies`` or a kind of permission.
    what: str
    #: The file, the permission, the hookimpl, the limit with its value, or the versions.
    name: str
    action: Action

    def __str__(self) -> str:
        return f"{_SIGNS[self.action]} {self.plugin}: {self.what} {self.name}"


@attrs.frozen
class LockDiff:
    """All differences, sorted; false when there are none."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes)) or "no changes"

    def to_json(self) -> dict[str, Any]:
        """Return the differences as one JSON object."""
        return {"schema_version": 1, "changes": [attrs.asdict(c) for c in self.changes]}


def diff(old: Lock, new: Lock) -> LockDiff:
    """Return what changes from *old* to *new*: plugins, versions, files, grants, hookimpls."""
    changes: list[Change] = []
    for plugin in sorted(old.plugins.keys() | new.plugins.keys()):
        before, after = old.plugins.get(plugin), new.plugins.get(plugin)
        if before is None or after is None:
            entry = after or before
            name = entry.version if entry else ""
            action: Action = "added" if before is None else "removed"
            changes.append(Change(plugin=plugin, what="plugin", name=name, action=action))
        changes += _entry_changes(plugin, before, after)
    return LockDiff(tuple(sorted(changes)))


def _entry_changes(
    plugin: PluginId, before: LockEntry | None, after: LockEntry | None
) -> Iterator[Change]:
    if before and after:
        yield from _between(plugin, before, after)
    for kind in KINDS:
        old = set(getattr(before.grant, kind)) if before else set()
        new = set(getattr(after.grant, kind)) if after else set()
        yield from _sets(plugin, kind, old, new)
    yield from _sets(plugin, "limit", _limits(before), _limits(after))
    for what in ("sandbox", "dependencies"):
        yield from _values(plugin, what, _single(before, what), _single(after, what))
    yield from _values(plugin, "hosting", _options(before), _options(after))
    yield from _sets(plugin, "hookimpl", _impls(before), _impls(after))


def _between(plugin: PluginId, before: LockEntry, after: LockEntry) -> Iterator[Change]:
    if before.version != after.version:
        name = f"{before.version} to {after.version}"
        yield Change(plugin=plugin, what="version", name=name, action="changed")
    yield from _maps(plugin, "file", before.files, after.files)
    yield from _maps(plugin, "contract", before.contracts, after.contracts)
    yield from _maps(plugin, "environment", before.environments, after.environments)


def _maps(
    plugin: PluginId, what: str, old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[Change]:
    yield from _sets(plugin, what, set(old), set(new))
    for name in old.keys() & new.keys():
        if old[name] != new[name]:
            yield Change(plugin=plugin, what=what, name=name, action="changed")


def _limits(entry: LockEntry | None) -> set[str]:
    return {f"{key} = {value:g}" for key, value in entry.limits.items()} if entry else set()


def _single(entry: LockEntry | None, what: str) -> dict[str, str]:
    value = getattr(entry, what) if entry else None
    return {"": value} if value is not None else {}


def _options(entry: LockEntry | None) -> dict[str, str]:
    return {f"{key} = ": str(value) for key, value in entry.hosting.items()} if entry else {}


def _values(
    plugin: PluginId, what: str, old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[Change]:
    for key in old.keys() & new.keys():
        if old[key] != new[key]:
            name = f"{key}{old[key]} to {new[key]}"
            yield Change(plugin=plugin, what=what, name=name, action="changed")
    gone = {key + old[key] for key in old.keys() - new.keys()}
    yield from _sets(plugin, what, gone, {key + new[key] for key in new.keys() - old.keys()})


def _impls(entry: LockEntry | None) -> set[str]:
    return {f"{i.hook} by {i.impl}" for i in entry.impls or ()} if entry else set()


def _sets(plugin: PluginId, what: str, old: set[str], new: set[str]) -> Iterator[Change]:
    for name in old ^ new:
        action: Action = "added" if name in new else "removed"
        yield Change(plugin=plugin, what=what, name=name, action=action)
