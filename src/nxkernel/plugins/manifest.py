"""Manifests: what a plugin declares, before any of its code runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from nxkernel import _canonical
from nxkernel._pickling import Portable
from nxkernel.errors import ManifestInvalid, SchemaInvalid
from nxkernel.plugins.environments.request import Request, python_problem
from nxkernel.plugins.environments.requirements import (
    RequirementInvalid,
    read_lines,
    requirements,
)
from nxkernel.plugins.rules import Problem, check_rules
from nxkernel.schemas import SchemaRegistry, leading, own, shared
from nxkernel.schemas.folder import is_inside
from nxkernel.schemas.inside import DocumentInvalid, parse, read_inside
from nxkernel.schemas.joined import joined
from nxkernel.schemas.published import named
from nxkernel.settings import Limits, Permissions
from nxkernel.types import EMPTY, Digest, HookName, PluginId

__all__ = ["FILENAMES", "Compat", "HookEntry", "Manifest", "load_manifest"]

#: What a manifest may be called.
FILENAMES = ("plugin.toml", "plugin.json")
CONTRACT = "plugin_manifest.schema.json"
DOMAIN = b"nx.manifest.v1\0"
#: Permissions that are flags in a manifest: kinds of devices.
DEVICES = ("gpu", "raw_input")
_LISTS = ("read", "write", "network", "exec")
_ADVICE = "Correct it, then run `nxkernel plugins check DIR`."


@attrs.frozen(kw_only=True)
class HookEntry:
    """One entry of ``hooks``; None is what the manifest leaves open for the probe to learn."""

    hook: HookName
    #: The attribute that implements it, or None for the hook's name.
    impl: str | None = None
    wrapper: bool | None = None
    tryfirst: bool | None = None
    trylast: bool | None = None
    optional: bool | None = None
    args: tuple[str, ...] | None = None


@attrs.frozen(kw_only=True)
class Compat:
    """Version specifiers (PEP 440); ``""`` is any version."""

    kernel: str = ""
    api: str = ""
    python: str = ""


@attrs.frozen(kw_only=True)
class Manifest(Portable):
    """A valid manifest. Two that say the same are equal, from TOML or from JSON."""

    id: PluginId
    version: str
    name: str = ""
    description: str = ""
    #: ``module:object``, or ``module`` alone.
    entrypoint: str
    hooks: tuple[HookEntry, ...]
    priority: int = 0
    provides: tuple[str, ...] = ()
    #: Hooks and capabilities that it calls back.
    requires: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    depends_on: tuple[PluginId, ...] = ()
    conflicts_with: tuple[PluginId, ...] = ()
    replaces: tuple[PluginId, ...] = ()
    compat: Compat = attrs.field(factory=Compat)
    #: The interpreter and the libraries that it asks for, or None for the application's.
    environment: Request | None = None
    #: What it requests; ``calls`` are ``requires``. Templates are not expanded.
    permissions: Permissions = attrs.field(factory=Permissions)
    #: The limits that it names, by the field of ``Limits``.
    limits: Mapping[str, Any] = EMPTY
    #: Schema of its settings, or None if it has none.
    settings_schema: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    #: One of them may be a secret.
    settings_defaults: Mapping[str, Any] = attrs.field(default=EMPTY, repr=False)
    #: ``{hook: {"input": schema, "output": schema}}``, files already read.
    contracts: Mapping[HookName, Mapping[str, Any]] = attrs.field(factory=dict)
    #: ``fresh``: each call runs in a process of its own, forked after import.
    state: Literal["warm", "fresh"] = "warm"
    #: ``global``: the global generators are seeded for each call.
    rng: Literal["context", "global"] = "context"
    #: The free ``x-`` keys.
    extra: Mapping[str, Any] = EMPTY
    #: Digest of the content, schemas included.
    digest: Digest
    #: The manifest's file, absolute.
    path: Path = attrs.field(eq=False)
    #: The plugin's folder, absolute.
    folder: Path = attrs.field(eq=False)
    #: SHA-256 of the bytes of each file that was read, by path in the folder.
    read: Mapping[str, str] = attrs.field(eq=False)

    def limits_over(self, base: Limits) -> Limits:
        """Return *base* with the limits that the manifest names."""
        return attrs.evolve(base, **self.limits)


def load_manifest(place: str | Path) -> Manifest:
    """Load the manifest in the folder *place*, or the manifest file *place* itself.

    Reads the manifest and the schemas that it names; imports nothing.

    Raises:
        ManifestInvalid: missing, twice, malformed, or outside
            ``contracts/plugin_manifest.schema.json``; the message has file, key and what to do.
    """
    folder, name = _find(Path(os.path.abspath(place)))
    reader = _Reader(folder, name)
    try:
        return reader.manifest()
    except Problem as problem:
        raise reader.error(problem.where, problem.reason) from None


def _find(place: Path) -> tuple[Path, str]:
    if place.name in FILENAMES and not place.is_dir():
        return place.parent, place.name
    found = [name for name in FILENAMES if os.path.lexists(place / name)]
    if len(found) == 1:
        return place, found[0]
    if found:
        reason = "plugin.toml and plugin.json are both here; keep one of them"
    else:
        reason = "no plugin.toml or plugin.json here; `nxkernel init plugin NAME` writes one"
    raise ManifestInvalid(f"{place.name}: {reason}", details={"folder": str(place)})


@attrs.define
class _Reader:
    """Reads one manifest; knows the file for the sake of its errors."""

    folder: Path
    name: str
    #: Whatever the file held; an object once it was checked.
    document: Any = attrs.field(factory=dict)
    read: dict[str, str] = attrs.field(factory=dict)
    schemas: dict[str, Any] = attrs.field(factory=dict)
    registry: SchemaRegistry = attrs.field(factory=shared)

    def error(self, where: str, reason: str, **details: Any) -> ManifestInvalid:
        """Return the error for the key *where*."""
        plugin = self.document.get("id") if isinstance(self.document, dict) else None
        key = f"{where}: " if where else ""
        return ManifestInvalid(
            f"{self.folder.name}/{self.name}: {key}{reason}. {_ADVICE}",
            plugin=plugin if isinstance(plugin, str) else "",
            details={"file": str(self.folder / self.name), "key": where, **details},
        )

    def manifest(self) -> Manifest:
        self.document = self._document(self.name, "")
        self._check()
        settings = self.document.get("settings", {})
        schema = self._schema(settings["schema"], "settings.schema") if settings else None
        contracts = {
            HookName(hook): {
                side: self._schema(place, f"contracts.{hook}.{side}")
                for side, place in sorted(sides.items())
            }
            for hook, sides in sorted(self.document.get("contracts", {}).items())
        }
        environment = self._environment()
        content = {"document": self.document, "schemas": self.schemas}
        if environment is not None:
            # Of a file what it asks for, not its bytes: a comment changes nothing.
            content["requirements"] = list(environment.requirements)
        return _build(
            self.document,
            settings_schema=schema,
            settings_defaults=settings.get("defaults", {}),
            contracts=contracts,
            environment=environment,
            digest=_canonical.digest(_canonical.encode(content), DOMAIN),
            path=self.folder / self.name,
            folder=self.folder,
            read=self.read,
        )

    def _document(self, name: str, where: str) -> Any:
        try:
            data = self._bytes(name)
            return parse(data, toml=name.endswith(".toml"))
        except DocumentInvalid as error:
            raise Problem(where, f"{name} {error}" if where else str(error)) from None

    def _bytes(self, name: str) -> bytes:
        data = read_inside(self.folder, name)
        self.read[name] = hashlib.sha256(data).hexdigest()
        return data

    def _environment(self) -> Request | None:
        table = self.document.get("environment")
        if table is None:
            return None
        python = table.get("python", "")
        if python and (problem := python_problem(python)):
            raise Problem("environment.python", problem)
        lines = table.get("requirements", ())
        where = "environment.requirements"
        try:
            if isinstance(lines, str):
                lines = list(read_lines(self._bytes(lines).decode("utf-8")))
            return Request(python=python, requirements=requirements(lines))
        except (DocumentInvalid, UnicodeDecodeError) as error:
            reason = str(error) if isinstance(error, DocumentInvalid) else "is not UTF-8"
            raise Problem(where, f"{table['requirements']} {reason}") from None
        except RequirementInvalid as error:
            raise Problem(where, str(error)) from None

    def _check(self) -> None:
        issues = own(CONTRACT).validate(self.document)
        if issues:
            first = leading(issues)
            more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
            raise self.error(
                first.where,
                first.message + more,
                issues=[str(issue) for issue in issues],
            )
        check_rules(self.document)

    def _schema(self, place: Any, where: str) -> Any:
        name, schema = "", named(place)
        if isinstance(schema, str):
            name, schema = schema, self._schema_file(schema, where)
        try:
            whole = joined(name, schema, lambda other: self._beside(other, where))
        except SchemaInvalid as error:
            raise Problem(where, error.message) from None
        try:
            self.registry.compile(whole.schema)
        except SchemaInvalid as error:
            raise Problem(where, whole.placed(error).message) from None
        return whole.schema

    def _schema_file(self, name: str, where: str) -> Any:
        if name not in self.schemas:
            self.schemas[name] = self._document(name, where)
        return self.schemas[name]

    def _beside(self, name: str, where: str) -> tuple[str, Any] | None:
        """Return the schema in the file *name* that another one refers to, if it is there."""
        if not is_inside(name) or not os.path.lexists(self.folder / name):
            return None
        return name, self._schema_file(name, where)


def _build(document: Mapping[str, Any], **read: Any) -> Manifest:
    permissions = document.get("permissions", {})
    plain = ("id", "version", "name", "description", "entrypoint", "state", "rng")
    lists = ("provides", "requires", "tags", "depends_on", "conflicts_with", "replaces")
    fields: dict[str, Any] = {key: document[key] for key in plain if key in document}
    fields |= {key: tuple(document.get(key, ())) for key in lists}
    return Manifest(
        **fields,
        hooks=tuple(map(_hook, document["hooks"])),
        priority=int(document.get("priority", 0)),
        compat=Compat(**document.get("compat", {})),
        permissions=Permissions(
            **{key: tuple(permissions.get(key, ())) for key in _LISTS},
            devices=tuple(device for device in DEVICES if permissions.get(device)),
            calls=tuple(document.get("requires", ())),
        ),
        limits=_limits(document.get("limits", {})),
        extra={key: document[key] for key in sorted(document) if key.startswith("x-")},
        **read,
    )


def _hook(entry: Any) -> HookEntry:
    if isinstance(entry, str):
        return HookEntry(hook=HookName(entry))
    args = entry.get("args")
    return HookEntry(**{**entry, "args": None if args is None else tuple(args)})


def _limits(named: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema takes 512.0 for an integer; `Limits` counts in integers and seconds in floats."""
    seconds = {"timeout_s", "cpu_seconds_per_call"}
    return {
        key: float(value) if key in seconds else int(value) for key, value in sorted(named.items())
    }
