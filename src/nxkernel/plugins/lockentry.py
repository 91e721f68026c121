"""What a lockfile holds: its plugins, and what it records of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import attrs

from nxkernel._canonical import digest, encode
from nxkernel.plugins.intake import Tree
from nxkernel.plugins.manifest import Manifest
from nxkernel.settings import Grant
from nxkernel.types import Digest, ImplFacts, Level, PluginId

__all__ = ["KINDS", "Dependencies", "Lock", "LockEntry", "Value", "contract_digests", "lock_entry"]

CONTRACT = b"nx.contract.v1\0"
KINDS = ("read", "write", "network", "exec", "devices", "calls")

#: ``environment``: it has libraries of its own, whose digest is here. ``application``: it imports
#: the application's, which the lockfile does not hold.
Dependencies = Literal["application", "environment"]
#: Of a hosting option.
Value = bool | int | float | str


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
    #: What the manifest asks for below ``[limits]``, for whoever reviews the file: the manifest's
    #: digest holds it.
    limits: Mapping[str, float] = attrs.field(factory=dict)
    #: The hookimpls that a probe found, or None if none was made.
    impls: tuple[ImplFacts, ...] | None = None
    #: Digest of its own environment, by the ABI of the interpreter; empty if it asks for none.
    environments: Mapping[str, Digest] = attrs.field(factory=dict)
    #: Whether what it imports of others is held too; None in a lockfile of before.
    dependencies: Dependencies | None = None
    #: Digest of each schema that it names: ``HOOK.input``, ``HOOK.output`` and ``settings``.
    contracts: Mapping[str, Digest] = attrs.field(factory=dict)
    #: The weakest level that it may run at, or None for whatever the application demands.
    sandbox: Level | None = None
    #: The application's hosting options that concern it, by name; empty if they were not recorded.
    hosting: Mapping[str, Value] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Lock:
    """The content of a lockfile."""

    plugins: Mapping[PluginId, LockEntry] = attrs.field(factory=dict)
    #: Of the bytes that it was read from, or None if it was not.
    digest: Digest | None = attrs.field(default=None, eq=False)


def lock_entry(
    manifest: Manifest,
    tree: Tree,
    grant: Grant,
    impls: Iterable[ImplFacts] | None = None,
    environments: Mapping[str, Digest] | None = None,
    *,
    sandbox: Level | None = None,
    hosting: Mapping[str, Value] | None = None,
) -> LockEntry:
    """Return the entry that accepts *tree* as it is, with *grant*; see `LockEntry`."""
    return LockEntry(
        version=manifest.version,
        manifest=manifest.digest,
        tree=tree.tree_digest,
        files={file.path: file.sha256 for file in tree.files},
        grant=Grant(**{kind: tuple(sorted(set(getattr(grant, kind)))) for kind in KINDS}),
        limits=dict(manifest.limits),
        impls=None if impls is None else tuple(sorted(impls, key=lambda i: (i.hook, i.impl))),
        environments=dict(environments or {}),
        dependencies="application" if manifest.environment is None else "environment",
        contracts=contract_digests(manifest),
        sandbox=sandbox,
        hosting=dict(hosting or {}),
    )


def contract_digests(manifest: Manifest) -> dict[str, Digest]:
    """Return the digest of each schema that *manifest* names or holds."""
    schemas = {
        f"{hook}.{side}": schema
        for hook, sides in manifest.contracts.items()
        for side, schema in sides.items()
    }
    if manifest.settings_schema is not None:
        schemas["settings"] = manifest.settings_schema
    return {name: digest(encode(schemas[name]), CONTRACT) for name in sorted(schemas)}
