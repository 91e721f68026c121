"""Settings of a plugin: the schema's defaults, then the manifest's, then the application's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from nxkernel import _canonical
from nxkernel.errors import SchemaInvalid, SettingsInvalid
from nxkernel.plugins.manifest import Manifest
from nxkernel.schemas import SchemaIssue, SchemaRegistry, leading
from nxkernel.types import Digest

__all__ = ["Source", "effective_settings"]

DOMAIN = b"nx.settings.v1\0"
#: Who gave a value.
Source = Literal["schema", "manifest", "application"]
#: Keywords beside which closing an object would refuse what another part of the schema allows.
_OPEN = frozenset(
    "$ref additionalProperties allOf anyOf dependentSchemas else if not oneOf patternProperties "
    "then unevaluatedProperties".split()
)
#: Deepest nesting of settings.
MAX_DEPTH = 50


def effective_settings(
    manifest: Manifest, overrides: Mapping[str, Any] | None, registry: SchemaRegistry
) -> tuple[dict[str, Any], Digest, dict[str, Source]]:
    """Return the plugin's settings, their digest, and by JSON Pointer who gave each value.

    Tables are merged key by key, everything else is replaced. An object with ``properties`` and
    nothing that could name further keys is closed, whether or not the schema says so.

    Raises:
        SettingsInvalid: for settings that the schema forbids, an unknown key, or settings of a
            plugin that has none; the message has the JSON path.
    """
    given = _plain(manifest, overrides or {})
    if manifest.settings_schema is None:
        if given:
            key = min(given)
            raise _invalid(manifest, key, "this plugin has no settings; leave them out")
        return {}, _digest({}), {}
    merged = _merged(manifest.settings_defaults, given)
    try:
        schema = registry.compile(_closed(manifest.settings_schema))
    except SchemaInvalid as error:
        raise _invalid(manifest, "", f"the settings schema is malformed: {error.message}") from None
    settings = schema.defaults(merged)
    sources = _sources(settings, manifest.settings_defaults, given)
    issues = schema.validate(settings)
    if issues:
        raise _refused(manifest, issues, sources)
    try:
        return settings, _digest(settings), sources
    except _canonical.NotCanonical:
        raise _invalid(manifest, "", "holds text that is not Unicode") from None


def _digest(settings: Mapping[str, Any]) -> Digest:
    return _canonical.digest(_canonical.encode(settings), DOMAIN)


def _invalid(manifest: Manifest, where: str, reason: str, **details: Any) -> SettingsInvalid:
    place = f"settings.{where}" if where else "settings"
    return SettingsInvalid(
        f"{manifest.id}: {place}: {reason}",
        plugin=manifest.id,
        details={"key": where, **details},
    )


def _refused(
    manifest: Manifest, issues: list[SchemaIssue], sources: Mapping[str, Source]
) -> SettingsInvalid:
    first = leading(issues)
    source = sources.get(first.instance_path, "")
    by = f" (from the {source}'s default)" if source in ("schema", "manifest") else ""
    more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
    return _invalid(
        manifest, first.where, f"{first.message}{by}{more}", issues=[str(issue) for issue in issues]
    )


def _plain(manifest: Manifest, value: Any, depth: int = 0) -> Any:
    """Copy *value* with plain dicts and lists."""
    if depth > MAX_DEPTH:
        raise _invalid(manifest, "", f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise _invalid(manifest, "", "has a key that is not a string")
        return {key: _plain(manifest, value[key], depth + 1) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_plain(manifest, item, depth + 1) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise _invalid(manifest, "", f"holds a {type(value).__name__}, which JSON lacks")


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
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


def _sources(
    settings: Mapping[str, Any], defaults: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Source]:
    theirs, manifests = dict(_leaves(given)), dict(_leaves(defaults))
    sources: dict[str, Source] = {}
    for place, _ in _leaves(settings):
        source: Source = "schema"
        for known, name in ((manifests, "manifest"), (theirs, "application")):
            if any(place == p or place.startswith(p + "/") for p in known):
                source = "manifest" if name == "manifest" else "application"
        sources[place] = source
    return sources


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is no table with keys in it, by its JSON Pointer."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from _leaves(value[key], f"{place}/{key.replace('~', '~0').replace('/', '~1')}")
    elif place:
        yield place, value
