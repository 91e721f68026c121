"""Settings of a plugin: the schema's defaults, then the manifest's, then the application's.

What is in force is held twice: sealed, for the plugin's worker alone, and as it may be shown, with
every secret masked. Only the second is told to the stack, the audit and whoever looks.

Nothing here raises where a value is at hand: an error holds the frames that it went through, and
those hold what was in them. What is wrong is returned outwards and raised where only sealed values
are left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nxkernel.errors import SchemaInvalid, SettingsInvalid
from nxkernel.plugins.layers import Layer, Sealed, Settings
from nxkernel.plugins.manifest import Manifest
from nxkernel.plugins.provenance import Provenance
from nxkernel.plugins.variables import VariableInvalid
from nxkernel.schemas import CompiledSchema, SchemaIssue, SchemaRegistry, leading
from nxkernel.settings import PluginSettings, digest_of

__all__ = ["Settled", "effective_settings"]

#: Keywords beside which closing an object would refuse what another part of the schema allows.
_OPEN = frozenset(
    "$ref additionalProperties allOf anyOf dependentSchemas else if not oneOf patternProperties "
    "then unevaluatedProperties".split()
)
#: Deepest nesting of settings.
MAX_DEPTH = 50


@attrs.frozen(kw_only=True)
class Settled:
    """The settings of a plugin that are in force."""

    #: As they may be shown.
    shown: PluginSettings
    #: As its worker gets them: a dict.
    sealed: Sealed
    #: What could give a secret among them away: texts, to be masked in what the plugin writes.
    words: Sealed = attrs.field(factory=lambda: Sealed([]))
    #: Their schema as it may be shown, or None if it has none.
    schema: Any = None


class _Wrong(Exception):
    """What is wrong with some settings, without a value."""

    def __init__(self, where: str, reason: str, **details: Any) -> None:
        super().__init__(reason)
        self.where = where
        self.reason = reason
        self.details = details

    def error(self, plugin: str) -> SettingsInvalid:
        place = f"settings.{self.where}" if self.where else "settings"
        return SettingsInvalid(
            f"{plugin}: {place}: {self.reason}",
            plugin=plugin,
            details={"key": self.where, **self.details},
        )


def effective_settings(
    manifest: Manifest,
    given: Settings | Mapping[str, Mapping[str, Any]] | None,
    registry: SchemaRegistry,
) -> Settled:
    """Return the settings of a plugin that are in force; *given* are those of all plugins.

    Tables are merged key by key, everything else is replaced. An object with ``properties`` and
    nothing that could name further keys is closed, whether or not the schema says so.

    Raises:
        SettingsInvalid: for settings that the schema forbids, an unknown key, or settings of a
            plugin that has none; the message has the JSON path, and nothing of a value.
    """
    given = Settings.of(given)  # no value is to be found in the frames of an error
    settled = _settled(manifest, given, registry)
    if isinstance(settled, SettingsInvalid):
        raise settled
    return settled


def _settled(
    manifest: Manifest, settings: Settings, registry: SchemaRegistry
) -> Settled | SettingsInvalid:
    try:
        if manifest.settings_schema is None:
            return _none(manifest, settings)
        return _of_schema(manifest, settings, _schema_of(manifest, registry))
    except _Wrong as wrong:
        return wrong.error(manifest.id)
    except VariableInvalid as wrong:
        return _Wrong("", str(wrong)).error(manifest.id)


def _none(manifest: Manifest, settings: Settings) -> Settled:
    for layer in settings.layers(manifest.id, None):
        if keys := _table(layer.values.reveal()):
            raise _Wrong(min(keys), "this plugin has no settings; leave them out")
    return Settled(shown=PluginSettings(plugin=manifest.id), sealed=Sealed({}))


def _schema_of(manifest: Manifest, registry: SchemaRegistry) -> CompiledSchema:
    try:
        return registry.compile(_closed(manifest.settings_schema))
    except SchemaInvalid as error:
        raise _Wrong("", f"the settings schema is malformed: {error.message}") from None


def _of_schema(manifest: Manifest, settings: Settings, schema: CompiledSchema) -> Settled:
    layers = [_manifests(manifest), *settings.layers(manifest.id, schema.schema)]
    layers = [attrs.evolve(each, values=Sealed(_table(each.values.reveal()))) for each in layers]
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _merged(merged, layer.values.reveal())
    values, provenance = schema.defaults(merged), Provenance(layers)
    issues = schema.validate(values)
    if issues:
        raise _refused(issues, values, provenance)
    shown = schema.secrets.masked(values)
    return Settled(
        shown=PluginSettings(
            plugin=manifest.id,
            values=shown,
            digest=digest_of(shown),
            entries=provenance.entries(shown, schema.secrets),
        ),
        sealed=Sealed(values),
        words=Sealed(schema.secrets.words(values)),
        schema=schema.secrets.schema(),
    )


def _manifests(manifest: Manifest) -> Layer:
    return Layer(source="manifest", values=Sealed(manifest.settings_defaults))


def _refused(issues: list[SchemaIssue], values: Any, provenance: Provenance) -> _Wrong:
    first = leading(issues)
    by = provenance.blame(first.instance_path, values)
    more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
    return _Wrong(
        first.where, f"{first.message}{by}{more}", issues=[str(issue) for issue in issues]
    )


def _table(value: Any) -> dict[str, Any]:
    plain = _plain(value)
    if not isinstance(plain, dict):
        raise _Wrong("", "expected a table of settings")
    return plain


def _plain(value: Any, depth: int = 0) -> Any:
    """Copy *value* with plain dicts and lists."""
    if depth > MAX_DEPTH:
        raise _Wrong("", f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise _Wrong("", "has a key that is not a string")
        return {key: _plain(value[key], depth + 1) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise _Wrong("", f"holds a {type(value).__name__}, which JSON lacks")


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _closed(schema: Any) -> Any:
    """Copy *schema* with its objects closed, as far as nothing else could name their keys."""
    if not isinstance(schema, Mapping) or "properties" not in schema:
        return schema
    properties = schema["properties"]
    if not isinstance(properties, Mapping):
        return schema
    closed = {**schema, "properties": {key: _closed(properties[key]) for key in properties}}
    return closed if _OPEN & schema.keys() else {**closed, "additionalProperties": False}
