"""The lockfile: which plugins may run, by the digest of every file, and what each is granted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
import tomlkit

from nxkernel.errors import LockMismatch
from nxkernel.plugins.codestore import Admitted
from nxkernel.plugins.document import DocumentInvalid, parse, read_inside
from nxkernel.plugins.manifest import Manifest
from nxkernel.schemas import CompiledSchema, SchemaRegistry, leading, load_contract
from nxkernel.settings import Grant
from nxkernel.types import Digest, HookName, ImplFacts, PluginId

__all__ = [
    "FILENAME",
    "Lock",
    "LockEntry",
    "check",
    "lock_entry",
    "mismatch",
    "read_lock",
    "write_lock",
]

FILENAME = "nxkernel.lock"
CONTRACT = "lockfile.schema.json"
MAX_BYTES = 32 * 1024 * 1024
#: Most files that one message names.
MAX_NAMED = 5
KINDS = ("read", "write", "network", "calls")
_HEADER = (
    "Written by `nxkernel plugins lock`; review every change of it.",
    "Only the files named here run, and with these grants.",
)
_FLAGS = ("wrapper", "hookwrapper", "tryfirst", "trylast", "optionalhook")
_PREFIX = "sha256:"


@attrs.frozen(kw_only=True)
class LockEntry:
    """What the lockfile records of one plugin."""

    version: str
    #: Digest of the manifest's content.
    manifest: Digest
    #: Digest of all files.
    tree: Digest
    #: SHA-256 of each file, 64 hexadecimal digits, by path.
    files: Mapping[str, str]
    grant: Grant = attrs.field(factory=Grant)
    #: The hookimpls that a probe found, or None if none was made.
    impls: tuple[ImplFacts, ...] | None = None


@attrs.frozen(kw_only=True)
class Lock:
    """The content of a lockfile."""

    plugins: Mapping[PluginId, LockEntry] = attrs.field(factory=dict)


def lock_entry(
    manifest: Manifest,
    admitted: Admitted,
    grant: Grant,
    impls: Iterable[ImplFacts] | None = None,
) -> LockEntry:
    """Return the entry that accepts *admitted* as it is, with *grant*."""
    return LockEntry(
        version=manifest.version,
        manifest=manifest.digest,
        tree=admitted.tree_digest,
        files={file.path: file.sha256 for file in admitted.files},
        grant=Grant(**{kind: tuple(sorted(set(getattr(grant, kind)))) for kind in KINDS}),
        impls=None if impls is None else tuple(sorted(impls, key=lambda i: (i.hook, i.impl))),
    )


# -- writing -----------------------------------------------------------------------------------


def write_lock(path: str | Path, lock: Lock) -> None:
    """Write *lock* to *path* in one step: a reader sees the old file or the new one.

    The same lock gives the same bytes: sorted, and without a date.

    Raises:
        LockMismatch: ``lock.invalid`` when the file cannot be written.
    """
    target = Path(path)
    try:
        _replace(target, render(lock).encode("utf-8"))
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise _invalid(target, f"cannot be written: {reason}; check its folder") from None


def render(lock: Lock) -> str:
    """Return the text of the lockfile."""
    document = tomlkit.document()
    for line in _HEADER:
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    document.add("schema_version", tomlkit.item(1))
    plugins = tomlkit.table(is_super_table=True)
    for plugin in sorted(lock.plugins):
        plugins.add(plugin, _entry_table(lock.plugins[plugin]))
    if not lock.plugins:
        plugins = tomlkit.table()
    document.add("plugins", plugins)
    return tomlkit.dumps(document)


def _entry_table(entry: LockEntry) -> Any:
    table = tomlkit.table()
    table.add("version", entry.version)
    table.add("manifest", entry.manifest)
    table.add("tree", entry.tree)
    grant = tomlkit.table()
    for kind in KINDS:
        grant.add(kind, _array(getattr(entry.grant, kind)))
    table.add("grant", grant)
    files = tomlkit.table()
    for path in sorted(entry.files):
        files.add(tomlkit.key(path), _PREFIX + entry.files[path])
    table.add("files", files)
    if entry.impls is not None:
        table.add("impls", _impls_array(entry.impls))
    return table


def _array(values: Iterable[str]) -> Any:
    array = tomlkit.array()
    array.extend(sorted(set(values)))
    return array


def _impls_array(impls: Iterable[ImplFacts]) -> Any:
    array = tomlkit.array().multiline(True)
    for impl in impls:
        row = tomlkit.inline_table()
        row.update({"hook": impl.hook, "impl": impl.impl})
        row.update({"args": list(impl.args), "kwargs": list(impl.kwargs)})
        row.update({flag: True for flag in _FLAGS if getattr(impl, flag)})
        array.append(row)
    return array


def _replace(target: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# -- reading -----------------------------------------------------------------------------------


def read_lock(path: str | Path) -> Lock:
    """Read the lockfile at *path*.

    Raises:
        LockMismatch: ``lock.invalid`` for a file that is missing, malformed, or outside
            ``contracts/lockfile.schema.json``.
    """
    target = Path(path)
    try:
        document = parse(read_inside(target.parent, target.name, MAX_BYTES), toml=True)
    except DocumentInvalid as error:
        raise _invalid(target, str(error)) from None
    issues = _contract().validate(document)
    if issues:
        raise _invalid(target, str(leading(issues)), issues=[str(issue) for issue in issues])
    return Lock(
        plugins={
            PluginId(plugin): _entry(table) for plugin, table in sorted(document["plugins"].items())
        }
    )


def _entry(table: Mapping[str, Any]) -> LockEntry:
    impls = table.get("impls")
    return LockEntry(
        version=table["version"],
        manifest=Digest(table["manifest"]),
        tree=Digest(table["tree"]),
        files={path: sha.removeprefix(_PREFIX) for path, sha in sorted(table["files"].items())},
        grant=Grant(**{kind: tuple(table["grant"][kind]) for kind in KINDS}),
        impls=None if impls is None else tuple(map(_impl, impls)),
    )


def _impl(row: Mapping[str, Any]) -> ImplFacts:
    names = {key: tuple(row.get(key, ())) for key in ("args", "kwargs")}
    return ImplFacts(**{**row, "hook": HookName(row["hook"]), **names})


@lru_cache(maxsize=1)
def _contract() -> CompiledSchema:
    return SchemaRegistry().compile(load_contract(CONTRACT), name=CONTRACT)


def _invalid(path: Path, reason: str, **details: Any) -> LockMismatch:
    return LockMismatch(
        f"{path.name}: {reason.rstrip('.')}. Write it with `nxkernel plugins lock DIR`.",
        code="lock.invalid",
        details={"file": str(path), **details},
    )


# -- checking ----------------------------------------------------------------------------------


def check(lock: Lock, admitted: Admitted, manifest: Manifest, *, place: str = "DIR") -> LockEntry:
    """Return the entry of the plugin whose verified copy is *admitted*, if it is unchanged.

    *place* is the folder of plugins as it stands in the command that would accept the change.

    Raises:
        LockMismatch: ``lock.mismatch`` when the plugin is not in the lock, a file was changed,
            added or is missing, or the manifest was read before it changed.
    """
    entry = lock.plugins.get(manifest.id)
    reasons = ["is not in the lockfile"] if entry is None else list(_changes(entry, admitted))
    reasons = reasons or list(_swapped(manifest, admitted))
    found = (manifest.version, manifest.digest, admitted.tree_digest)
    if not reasons and entry and (entry.version, entry.manifest, entry.tree) != found:
        reasons = ["its digests in the lockfile contradict each other"]
    if entry is None or reasons:
        raise mismatch(manifest.id, reasons, place)
    return entry


def _changes(entry: LockEntry, admitted: Admitted) -> Iterator[str]:
    found = {file.path: file.sha256 for file in admitted.files}
    for path in sorted(entry.files.keys() | found.keys()):
        if path not in found:
            yield f"{path} is missing"
        elif path not in entry.files:
            yield f"{path} was added"
        elif found[path] != entry.files[path]:
            yield f"{path} was changed"


def _swapped(manifest: Manifest, admitted: Admitted) -> Iterator[str]:
    """What was read for the manifest must be what was copied."""
    found = {file.path: file.sha256 for file in admitted.files}
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
