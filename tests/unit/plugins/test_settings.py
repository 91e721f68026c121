"""Settings: who gave which value, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nxkernel.errors import SettingsInvalid
from nxkernel.plugins.settings import effective_settings
from nxkernel.schemas import SchemaRegistry
from tests.support.keywords import CASES, DEFS, Case
from tests.unit.plugins.folders import manifest

SCHEMA = {
    "type": "object",
    "properties": {
        "lang": {"type": "string", "default": "en"},
        "size": {"type": "integer", "default": 3, "minimum": 1},
        "net": {
            "type": "object",
            "properties": {"host": {"type": "string"}, "port": {"type": "integer", "default": 80}},
        },
        "words": {"type": "array", "items": {"type": "string"}},
        "free": {"type": "object"},
    },
    "required": ["lang"],
}


def settle(
    tmp_path: Path,
    overrides: Mapping[str, Any] | None = None,
    schema: Any = SCHEMA,
    **defaults: Any,
) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Return the effective settings of a plugin with *schema* and manifest *defaults*."""
    count = len(list(tmp_path.iterdir()))
    settings = {"schema": schema, "defaults": defaults}
    plugin = manifest(tmp_path, f"p{count}", settings=settings)
    given = {} if overrides is None else {plugin.id: overrides}
    settled = effective_settings(plugin, given, SchemaRegistry())
    shown = settled.shown
    assert shown.values == settled.sealed.reveal()
    sources = {each.path: each.source for each in shown.entries}
    return settled.sealed.reveal(), shown.digest, sources


def test_the_application_goes_over_the_manifest_over_the_schema(tmp_path: Path) -> None:
    """Each value knows who gave it, by its JSON Pointer."""
    settings, digest, sources = settle(
        tmp_path, {"lang": "de", "net": {"host": "h"}}, size=5, net={"host": "x", "port": 1}
    )
    assert settings == {"lang": "de", "size": 5, "net": {"host": "h", "port": 1}}
    assert sources == {
        "/lang": "application",
        "/size": "manifest",
        "/net/host": "application",
        "/net/port": "manifest",
    }
    assert digest.startswith("sha256:")


def test_defaults_alone_are_settings(tmp_path: Path) -> None:
    """A plugin runs without any setting of the application."""
    settings, _, sources = settle(tmp_path)
    assert settings == {"lang": "en", "size": 3, "net": {"port": 80}}
    assert set(sources.values()) == {"schema"}


def test_lists_are_replaced_and_tables_merged(tmp_path: Path) -> None:
    """A list is one value; a table is a value for each key."""
    settings, _, sources = settle(
        tmp_path, {"words": ["c"], "free": {"x": 1}}, words=["a", "b"], free={"y": [2]}
    )
    assert settings["words"] == ["c"]
    assert settings["free"] == {"x": 1, "y": [2]}
    assert (sources["/free/x"], sources["/free/y"]) == ("application", "manifest")


def test_the_digest_is_that_of_the_values(tmp_path: Path) -> None:
    """It does not matter who gave a value or in which order."""
    one = settle(tmp_path, {"lang": "de", "size": 4})
    other = settle(tmp_path, {"size": 4}, lang="de")
    assert one[1] == other[1]
    assert one[1] != settle(tmp_path)[1]


def test_what_is_given_is_not_changed(tmp_path: Path) -> None:
    """Neither the application's mapping nor the manifest grows defaults."""
    overrides: dict[str, Any] = {"net": {}}
    settings, _, _ = settle(tmp_path, overrides)
    settings["net"]["port"] = 9
    assert overrides == {"net": {}}


@pytest.mark.parametrize(
    ("overrides", "where", "reason"),
    [
        ({"langg": "de"}, "langg", 'unknown key; did you mean "lang"?'),
        ({"net": {"prt": 1}}, "net.prt", 'unknown key; did you mean "port"?'),
        ({"size": "big"}, "size", "expected integer, got string"),
        ({"size": 0}, "size", "expected at least 1"),
        ({"words": ["a", 1]}, "words[1]", "expected string, got integer"),
        ({"net": 5}, "net", "expected object, got integer"),
        ({"lang": None}, "lang", "expected string, got null"),
        ({"size": float("nan")}, "size", "is not a finite number"),
        ({"size": 10**30}, "size", "64 bits"),
    ],
)
def test_a_wrong_setting_is_named_with_its_path(
    tmp_path: Path, overrides: dict[str, Any], where: str, reason: str
) -> None:
    """The plugin, the JSON path and what was expected."""
    with pytest.raises(SettingsInvalid) as caught:
        settle(tmp_path, overrides)
    assert caught.value.message.startswith(f"ocr.rapid: settings.{where}: ")
    assert reason in caught.value.message
    assert (caught.value.code, caught.value.plugin) == ("settings.invalid", "ocr.rapid")


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"lang": b"x"}, "holds a bytes"),
        ({"free": {1: 2}}, "not a string"),
        ({"lang": "\ud800"}, "lone surrogate"),
    ],
)
def test_what_is_not_json_is_refused(tmp_path: Path, overrides: Any, reason: str) -> None:
    """Settings can be written down and hashed, or they are none."""
    with pytest.raises(SettingsInvalid, match=reason):
        settle(tmp_path, overrides)


def test_a_cyclic_setting_ends(tmp_path: Path) -> None:
    """A table that holds itself is too deep."""
    cycle: dict[str, Any] = {}
    cycle["free"] = cycle
    with pytest.raises(SettingsInvalid, match="nested deeper"):
        settle(tmp_path, cycle)


def test_a_wrong_default_blames_who_gave_it(tmp_path: Path) -> None:
    """The application is not sent looking for a setting that it never made."""
    with pytest.raises(SettingsInvalid, match=r"got string \(from the manifest's default\)"):
        settle(tmp_path, size="big")
    wrong = {"properties": {"size": {"type": "integer", "default": "big"}}}
    with pytest.raises(SettingsInvalid, match=r"got string \(from the schema's default\)"):
        settle(tmp_path, schema=wrong)


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    """What has no default must be given."""
    schema = {"properties": {"key": {"type": "string"}}, "required": ["key"]}
    with pytest.raises(SettingsInvalid, match='settings: missing key "key"'):
        settle(tmp_path, schema=schema)
    assert settle(tmp_path, {"key": "k"}, schema=schema)[0] == {"key": "k"}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
        {"properties": {"a": {}}, "patternProperties": {"^b": {}}},
        {"properties": {"a": {}}, "allOf": [{"properties": {"b": {}}}]},
        {"type": "object"},
    ],
)
def test_a_schema_that_names_further_keys_stays_open(tmp_path: Path, schema: Any) -> None:
    """Closing it would refuse what another part of it allows."""
    assert settle(tmp_path, {"b": 1}, schema=schema)[0] == {"b": 1}


def test_a_plugin_without_settings_has_none(tmp_path: Path) -> None:
    """Settings for it are a mistake that is named."""
    plain = manifest(tmp_path)
    settled = effective_settings(plain, None, SchemaRegistry())
    assert (settled.shown.values, settled.shown.entries, settled.schema) == ({}, (), None)
    with pytest.raises(SettingsInvalid, match=r"settings\.lang: this plugin has no settings"):
        effective_settings(plain, {plain.id: {"lang": "de"}}, SchemaRegistry())


def test_settings_that_are_no_table_are_refused_without_a_schema_too(tmp_path: Path) -> None:
    """A number in the place of a plugin's table is a mistake that is named."""
    plain = manifest(tmp_path)
    with pytest.raises(SettingsInvalid, match="settings: expected a table of settings"):
        effective_settings(plain, {plain.id: 3}, SchemaRegistry())  # type: ignore[dict-item]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_keyword_refuses_a_setting_with_its_words(tmp_path: Path, case: Case) -> None:
    """The message has the place below ``settings``, the words of the table and who gave it."""
    schema = {"properties": {"value": case.schema}, "$defs": DEFS}
    with pytest.raises(SettingsInvalid) as caught:
        settle(tmp_path, {"value": case.value}, schema=schema)
    (issue,) = case.at("/value", "")
    assert caught.value.message == f"ocr.rapid: settings.{issue}"
    assert caught.value.details == {"key": issue.where, "issues": [str(issue)]}
    settings, _, sources = settle(tmp_path, {"value": case.good}, schema=schema)
    assert settings == {"value": case.good}
    assert set(sources.values()) == {"application"}
