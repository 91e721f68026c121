"""The application's settings: from a file, the environment and its code, in that order."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from nxkernel.errors import KernelConfigError, SettingsInvalid
from nxkernel.plugins.layers import Sealed, Settings
from nxkernel.plugins.settings import effective_settings
from nxkernel.schemas import SchemaRegistry
from nxkernel.settings import PluginSettings
from tests.unit.plugins.folders import manifest

SCHEMA = {
    "properties": {
        "lang": {"type": "string", "default": "en"},
        "size": {"type": "integer", "default": 3},
        "ratio": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "words": {"type": "array", "items": {"type": "string"}},
        "mode": {"enum": ["a", "b"]},
        "level": {"enum": [1, 2]},
        "net": {"$ref": "#/$defs/net"},
        "a-b": {"type": "string"},
        "a.b": {"type": "string"},
        "token": {"type": "string", "writeOnly": True},
        "keys": {"writeOnly": True, "additionalProperties": {"type": "string"}},
        "free": {"type": "object"},
    },
    "$defs": {
        "net": {
            "type": "object",
            "properties": {"host": {"type": "string"}, "port": {"type": "integer"}},
        }
    },
}


def settle(tmp_path: Path, settings: Settings, schema: Any = SCHEMA) -> PluginSettings:
    """Return the settings of a plugin ``ocr.rapid`` with *schema*."""
    count = len(list(tmp_path.iterdir()))
    table = {"schema": schema, "defaults": {"size": 4}}
    plugin = manifest(tmp_path, f"p{count}", settings=table if schema is not None else None)
    return effective_settings(plugin, settings, SchemaRegistry()).shown


def gave(shown: PluginSettings) -> dict[str, tuple[Any, str, str]]:
    """Return value, source and origin of each setting."""
    return {each.path: (each.value, each.source, each.origin) for each in shown.entries}


def in_environment(**variables: str) -> Settings:
    """Return settings from variables alone; names are those after the prefix and the plugin."""
    lead = "APP__OCR_RAPID__"
    return Settings(
        environment={"HOME": "/", **{lead + name: variables[name] for name in variables}},
        prefix="APP",
    )


def test_code_goes_over_the_environment_over_the_file_over_the_manifest(tmp_path: Path) -> None:
    """Each value says who gave it, and in which file or variable."""
    file = tmp_path / "app.toml"
    file.write_text(
        '["ocr.rapid"]\nlang = "de"\nmode = "a"\n[\'ocr.rapid\'.net]\nhost = "h"\nport = 1'
    )
    shown = settle(
        tmp_path,
        Settings(
            {"ocr.rapid": {"net": {"port": 3}}},
            file=file,
            environment={"APP__OCR_RAPID__MODE": "b", "APP__OCR_RAPID__NET__PORT": "2"},
            prefix="APP",
        ),
    )
    assert gave(shown) == {
        "/lang": ("de", "file", "app.toml"),
        "/mode": ("b", "environment", "APP__OCR_RAPID__MODE"),
        "/net/host": ("h", "file", "app.toml"),
        "/net/port": (3, "application", ""),
        "/size": (4, "manifest", ""),
    }


@pytest.mark.parametrize(
    ("name", "held", "path", "value"),
    [
        ("LANG", "12", "/lang", "12"),
        ("LANG", "", "/lang", ""),
        ("SIZE", "12", "/size", 12),
        ("RATIO", "null", "/ratio", None),
        ("WORDS", '["a"]', "/words", ["a"]),
        ("MODE", "b", "/mode", "b"),
        ("LEVEL", "2", "/level", 2),
        ("NET", '{"host": "h"}', "/net/host", "h"),
        ("NET__HOST", "h", "/net/host", "h"),
        ("FREE", '{"x": 1}', "/free/x", 1),
    ],
)
def test_a_variable_is_text_where_text_is_taken_and_json_elsewhere(
    tmp_path: Path, name: str, held: str, path: str, value: Any
) -> None:
    """What it is does not depend on what it looks like, but on the schema."""
    found = gave(settle(tmp_path, in_environment(**{name: held})))
    assert found[path] == (value, "environment", f"APP__OCR_RAPID__{name}")


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        (
            {"LANGG": "hunter2"},
            "settings: the variable APP__OCR_RAPID__LANGG names no setting; "
            "did you mean APP__OCR_RAPID__LANG?",
        ),
        ({"ZZZZZ": "hunter2"}, "settings: the variable APP__OCR_RAPID__ZZZZZ names no setting"),
        (
            {"A_B": "hunter2"},
            "settings: the variable APP__OCR_RAPID__A_B names /a-b and /a.b; "
            "give them in a settings file",
        ),
        (
            {"SIZE": "hunter2"},
            "settings: the variable APP__OCR_RAPID__SIZE is not JSON, "
            "which this setting is read from",
        ),
        (
            {"SIZE": '{"hunter2": 1, "hunter2": 2}'},
            "settings: the variable APP__OCR_RAPID__SIZE is not JSON, "
            "which this setting is read from",
        ),
        (
            {"NET": "1", "NET__PORT": "2"},
            "settings: the variable APP__OCR_RAPID__NET__PORT reaches into what another gives as "
            "a whole",
        ),
        (
            {"SIZE": "1.5"},
            "settings.size: expected integer, got number (from APP__OCR_RAPID__SIZE)",
        ),
    ],
)
def test_a_variable_that_is_wrong_is_named_without_what_it_holds(
    tmp_path: Path, variables: dict[str, str], reason: str
) -> None:
    """A name that no setting has would otherwise change nothing, and nobody would see it."""
    with pytest.raises(SettingsInvalid) as caught:
        settle(tmp_path, in_environment(**variables))
    assert caught.value.message == f"ocr.rapid: {reason}"


def test_only_variables_with_the_prefix_are_looked_at(tmp_path: Path) -> None:
    """Those of other plugins and of other programs are not this one's."""
    environment = {"APP_DEBUG": "1", "APP__OTHER__LANG": "x", "XAPP__OCR_RAPID__LANG": "x"}
    settings = Settings(environment=environment, prefix="APP")
    assert gave(settle(tmp_path, settings))["/lang"] == ("en", "schema", "")
    assert settings.unused({"ocr.rapid"}) == ["APP__OTHER__LANG"]


def test_a_plugin_without_settings_takes_none_from_anywhere(tmp_path: Path) -> None:
    """A variable for it is a mistake like any other."""
    with pytest.raises(SettingsInvalid, match=r"LANG names no setting$"):
        settle(tmp_path, in_environment(LANG="x"), schema=None)


def test_a_secret_says_who_gave_it_and_nothing_else(tmp_path: Path) -> None:
    """A secret table is one setting, whichever of its keys a layer gave."""
    shown = settle(
        tmp_path,
        Settings(
            {"ocr.rapid": {"keys": {"hunter2": "hunter2"}}},
            environment={"APP__OCR_RAPID__TOKEN": "hunter2"},
            prefix="APP",
        ),
    )
    found = gave(shown)
    assert found["/token"] == ("********", "environment", "APP__OCR_RAPID__TOKEN")
    assert found["/keys"] == ("********", "application", "")
    assert {each.path for each in shown.entries if each.secret} == {"/keys", "/token"}
    assert "hunter2" not in repr(shown)


def test_the_digest_tells_nothing_of_a_secret(tmp_path: Path) -> None:
    """Whoever has the record could try all short secrets until the digest fits."""
    digests = {settle(tmp_path, Settings({"ocr.rapid": {"token": t}})).digest for t in ("1", "2")}
    assert len(digests) == 1
    assert digests != {settle(tmp_path, Settings()).digest}


def test_a_text_that_looks_like_the_mask_is_no_secret(tmp_path: Path) -> None:
    """Whether something is secret is for the schema to say."""
    shown = settle(tmp_path, Settings({"ocr.rapid": {"lang": "********"}}))
    assert [each.path for each in shown.entries if each.secret] == []


@pytest.mark.parametrize("text", ["[a]\nb = 1", '{"a": {"b": 1}}'], ids=["toml", "json"])
def test_a_file_is_toml_or_json_by_its_name(tmp_path: Path, text: str) -> None:
    """Both say the same; a table in it may be where the plugins are."""
    file = tmp_path / ("app.json" if text.startswith("{") else "app.toml")
    file.write_text(text)
    assert Settings(file=file).unused(set()) == ["a"]
    assert Settings(file=str(file), table="a").unused(set()) == ["b"]
    assert Settings(file=file, table="nothing.there").unused(set()) == []


@pytest.mark.parametrize(
    ("text", "table", "reason"),
    [
        ("a = ", "", "app.toml is not valid TOML"),
        ("a = 1", "a", "app.toml: its 'a' is no table of plugins"),
        ("a = 1", "a.b", "app.toml: its 'a.b' is no table of plugins"),
        ("#" * (1 << 20) + "#", "", "app.toml is larger than 1024 KiB"),
        (None, "", "app.toml does not exist"),
    ],
)
def test_a_file_that_cannot_be_read_stops_the_application(
    tmp_path: Path, text: str | None, table: str, reason: str
) -> None:
    """It is the application's mistake, and named without the folder."""
    if text is not None:
        (tmp_path / "app.toml").write_text(text)
    with pytest.raises(KernelConfigError) as caught:
        Settings(file=tmp_path / "app.toml", table=table)
    assert caught.value.message.startswith(f"settings file {reason}")


def test_a_pipe_does_not_hold_the_application_up(tmp_path: Path) -> None:
    """It is refused at once; a link to a file is followed, as the application's own word."""
    os.mkfifo(tmp_path / "app.toml")
    with pytest.raises(KernelConfigError, match=r"app\.toml is not a regular file"):
        Settings(file=tmp_path / "app.toml")
    (tmp_path / "real.toml").write_text("[a]\nx = 1\n")
    (tmp_path / "link.toml").symlink_to("real.toml")
    assert Settings(file=tmp_path / "link.toml").unused(set()) == ["a"]


@pytest.mark.parametrize("given", [3, [1], "a"])
def test_what_is_no_mapping_is_refused(given: Any) -> None:
    """Before anything boots."""
    with pytest.raises(KernelConfigError, match="a mapping of plugin ids"):
        Settings.of(given)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"table": "a"}, "give file="),
        ({"prefix": "APP"}, "together"),
        ({"environment": {}}, "together"),
        ({"environment": {}, "prefix": "app_"}, "expected capitals"),
        ({"environment": {}, "prefix": "APP__X"}, "expected capitals"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments: Any, reason: str) -> None:
    """Nothing is quietly left unread."""
    with pytest.raises(KernelConfigError, match=reason):
        Settings(**arguments)


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    """A plugin's settings are a table."""
    wrong: Any = {"ocr.rapid": ["hunter2"]}
    with pytest.raises(SettingsInvalid, match=r"settings: expected a table"):
        settle(tmp_path, Settings(wrong))


def test_an_empty_table_changes_nothing(tmp_path: Path) -> None:
    """What is in it below is still the one's who gave it."""
    settings = Settings(
        {"ocr.rapid": {"net": {}}}, environment={"A__OCR_RAPID__NET__PORT": "1"}, prefix="A"
    )
    assert gave(settle(tmp_path, settings))["/net/port"][1] == "environment"


def test_what_is_sealed_is_shown_to_nobody() -> None:
    """Neither by printing nor by pickling nor by copying."""
    sealed = Sealed({"token": "hunter2"})
    assert "hunter2" not in f"{sealed!r} {sealed} {Settings({'a': {'b': 'hunter2'}})!r}"
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="sealed"):
            take(sealed)
    assert sealed.reveal() == {"token": "hunter2"}
