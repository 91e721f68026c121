"""The lockfile: which plugins may run, by the digest of every file, and what each is granted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nxkernel._canonical import digest
from nxkernel._system import files as filing
from nxkernel.errors import LockMismatch
from nxkernel.plugins.lockentry import KINDS, Lock, LockEntry, lock_entry
from nxkernel.plugins.locktext import document_in, render
from nxkernel.schemas import leading, own
from nxkernel.schemas.inside import DocumentInvalid, parse, read_inside
from nxkernel.settings import Grant
from nxkernel.types import Digest, HookName, ImplFacts, PluginId

__all__ = [
    "FILENAME",
    "KINDS",
    "Lock",
    "LockEntry",
    "lock_entry",
    "read_lock",
    "render",
    "write_lock",
]

FILENAME = "nxkernel.lock"
CONTRACT = "lockfile.schema.json"
DOMAIN = b"nx.lock.v1\0"
MAX_BYTES = 32 * 1024 * 1024
_PREFIX = "sha256:"


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


def _replace(target: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            filing.set_mode(file.fileno(), name, 0o644)
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
    filing.sync_folder(target.parent)


# -- reading -----------------------------------------------------------------------------------


def read_lock(path: str | Path) -> Lock:
    """Read the lockfile at *path*.

    Raises:
        LockMismatch: ``lock.invalid`` for a file that is missing, malformed, or outside
            ``contracts/lockfile.schema.json``.
    """
    target = Path(path)
    try:
        data = read_inside(target.parent, target.name, MAX_BYTES)
        lock = _as_written(data)
        document = {} if lock else parse(data, toml=True)
    except DocumentInvalid as error:
        raise _invalid(target, str(error)) from None
    if lock is not None:
        return attrs.evolve(lock, digest=digest(data, DOMAIN))
    issues = own(CONTRACT).validate(document)
    if issues:
        raise _invalid(target, str(leading(issues)), issues=[str(issue) for issue in issues])
    return attrs.evolve(_lock(document), digest=digest(data, DOMAIN))


def _as_written(data: bytes) -> Lock | None:
    """Return the lock in *data* if it is valid and spelled as `write_lock` spells it, or None."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    document = document_in(text)
    if document is None or not _is_valid(document):
        return None
    lock = _lock(document)
    return lock if render(lock) == text else None


def _is_valid(document: Mapping[str, Any]) -> bool:
    """Whether *document* keeps the contract; its files have been held to it line by line."""
    plugins = {
        plugin: {**entry, "files": dict(list(entry.get("files", {}).items())[:1])}
        for plugin, entry in document["plugins"].items()
    }
    return not own(CONTRACT).validate({**document, "plugins": plugins})


def _lock(document: Mapping[str, Any]) -> Lock:
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
        grant=Grant(**{kind: tuple(table["grant"].get(kind, ())) for kind in KINDS}),
        limits=_sorted(table, "limits"),
        impls=None if impls is None else tuple(map(_impl, impls)),
        environments=_sorted(table, "environments"),
        dependencies=table.get("dependencies"),
        contracts=_sorted(table, "contracts"),
        sandbox=table.get("sandbox"),
        hosting=_sorted(table, "hosting"),
    )


def _sorted(table: Mapping[str, Any], part: str) -> dict[str, Any]:
    return dict(sorted(table.get(part, {}).items()))


def _impl(row: Mapping[str, Any]) -> ImplFacts:
    names = {key: tuple(row.get(key, ())) for key in ("args", "kwargs")}
    return ImplFacts(**{**row, "hook": HookName(row["hook"]), **names})


def _invalid(path: Path, reason: str, **details: Any) -> LockMismatch:
    return LockMismatch(
        f"{path.name}: {reason.rstrip('.')}. Write it with `nxkernel plugins lock DIR`.",
        code="lock.invalid",
        details={"file": str(path), **details},
    )
