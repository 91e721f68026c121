"""Manifests: what is read, what is refused, and how it is said."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from nxkernel.errors import ManifestInvalid
from nxkernel.plugins.manifest import Compat, HookEntry, load_manifest
from nxkernel.schemas import SchemaRegistry, load_contract
from nxkernel.settings import Limits, Permissions
from tests.unit.plugins.folders import BASIC, plugin

ROOT = Path(__file__).resolve().parents[3]
FULL: dict[str, Any] = {
    **BASIC,
    "name": "Rapid OCR",
    "description": "Reads text.",
    "hooks": ["read_tokens", {"hook": "answer", "impl": "reply", "wrapper": True, "args": ["q"]}],
    "priority": -5,
    "provides": ["ocr.engine"],
    "requires": ["store.records"],
    "tags": ["ocr"],
    "depends_on": ["store"],
    "conflicts_with": ["ocr.other"],
    "replaces": ["ocr.old"],
    "compat": {"kernel": ">=0.1", "api": ">=2,<3", "python": ">=3.11"},
    "permissions": {
        "read": ["{media_dir}", "/usr/share/fonts"],
        "write": ["{cache_dir}/models"],
        "network": ["tcp:443"],
        "gpu": True,
    },
    "limits": {"memory_mb": 1024, "timeout_s": 5},
    "settings": {"schema": "settings.schema.json", "defaults": {"lang": "en"}},
    "contracts": {"read_tokens": {"output": "schemas/tokens.schema.json", "input": {}}},
    "state": "warm",
    "x-mine": {"any": ["thing", 1.5]},
}
SETTINGS = {"properties": {"lang": {"type": "string"}}}


def full(parent: Path, name: str = "plugin.toml") -> Path:
    """Write a plugin with every key, its manifest called *name*."""
    folder = parent / "ocr_rapid"
    (folder / "schemas").mkdir(parents=True)
    (folder / "settings.schema.json").write_text(json.dumps(SETTINGS))
    (folder / "schemas" / "tokens.schema.json").write_text('{"type": "array"}')
    text = tomlkit.dumps(FULL) if name.endswith("toml") else json.dumps(FULL)
    (folder / name).write_text(text)
    return folder


def refused(place: Path) -> ManifestInvalid:
    """Return the error for the manifest at *place*, whose text must not name the machine."""
    with pytest.raises(ManifestInvalid) as caught:
        load_manifest(place)
    assert str(place.parent) not in str(caught.value)
    assert caught.value.code == "manifest.invalid"
    return caught.value


def test_every_key_has_a_typed_field(tmp_path: Path) -> None:
    """What a manifest says can be read without looking up a key."""
    manifest = load_manifest(full(tmp_path))
    assert (manifest.id, manifest.version, manifest.priority) == ("ocr.rapid", "0.1.0", -5)
    assert (manifest.name, manifest.description) == ("Rapid OCR", "Reads text.")
    assert manifest.entrypoint == "plugin:Plugin"
    assert manifest.hooks == (
        HookEntry(hook="read_tokens"),
        HookEntry(hook="answer", impl="reply", wrapper=True, args=("q",)),
    )
    assert (manifest.provides, manifest.requires) == (("ocr.engine",), ("store.records",))
    assert (manifest.tags, manifest.depends_on) == (("ocr",), ("store",))
    assert (manifest.conflicts_with, manifest.replaces) == (("ocr.other",), ("ocr.old",))
    assert manifest.compat == Compat(kernel=">=0.1", api=">=2,<3", python=">=3.11")
    assert manifest.permissions == Permissions(
        read=("{media_dir}", "/usr/share/fonts"),
        write=("{cache_dir}/models",),
        network=("tcp:443",),
        devices=("gpu",),
        calls=("store.records",),
    )
    assert manifest.state == "warm"
    assert manifest.settings_schema == SETTINGS
    assert manifest.settings_defaults == {"lang": "en"}
    assert manifest.contracts == {"read_tokens": {"output": {"type": "array"}, "input": {}}}
    assert manifest.extra == {"x-mine": {"any": ["thing", 1.5]}}
    assert (manifest.folder, manifest.path.name) == (tmp_path / "ocr_rapid", "plugin.toml")


def test_the_smallest_manifest_asks_for_nothing(tmp_path: Path) -> None:
    """Five keys are enough; everything else is empty."""
    manifest = load_manifest(plugin(tmp_path))
    assert manifest.permissions == Permissions()
    assert (manifest.limits, manifest.settings_schema) == ({}, None)


def test_toml_and_json_are_the_same_manifest(tmp_path: Path) -> None:
    """Equal, with an equal digest, whichever way it was written."""
    toml = load_manifest(full(tmp_path / "a"))
    other = load_manifest(full(tmp_path / "b", "plugin.json"))
    assert toml == other
    assert toml.digest == other.digest


@pytest.mark.parametrize("file", ["settings.schema.json", "schemas/tokens.schema.json"])
def test_the_digest_covers_the_schemas_in_files(tmp_path: Path, file: str) -> None:
    """A schema that changes beside an unchanged manifest changes what the plugin declares."""
    folder = full(tmp_path)
    before = load_manifest(folder)
    (folder / file).write_text('{"minimum": 1}')
    assert load_manifest(folder).digest != before.digest
    assert set(before.read) == {
        "plugin.toml",
        "settings.schema.json",
        "schemas/tokens.schema.json",
    }


def test_a_manifest_can_be_named_by_its_file(tmp_path: Path) -> None:
    """Folder and file lead to the same manifest."""
    folder = plugin(tmp_path)
    assert load_manifest(folder / "plugin.toml") == load_manifest(str(folder))


def test_limits_go_over_those_of_the_host(tmp_path: Path) -> None:
    """Only what the manifest names is changed, and in the type that `Limits` has."""
    manifest = load_manifest(plugin(tmp_path, limits={"memory_mb": 64.0, "timeout_s": 5}))
    limits = manifest.limits_over(Limits(open_files=99, memory_mb=1))
    assert limits == Limits(open_files=99, memory_mb=64, timeout_s=5.0)
    assert type(limits.memory_mb) is int


def test_a_module_alone_is_an_entrypoint(tmp_path: Path) -> None:
    """A plain pluggy plugin is often a module."""
    assert load_manifest(plugin(tmp_path, entrypoint="pack.mod")).entrypoint == "pack.mod"


@pytest.mark.parametrize(
    ("keys", "where", "reason"),
    [
        ({"hooks": None}, "", 'missing key "hooks"'),
        ({"hooks": None, "hoks": []}, "hoks", 'unknown key; did you mean "hooks"?'),
        ({"permissions": {"reed": []}}, "permissions.reed", 'did you mean "read"?'),
        ({"schema_version": 2}, "schema_version", "expected 1"),
        ({"id": "Ocr"}, "id", "expected text that matches"),
        ({"id": "ocr..rapid"}, "id", "expected text that matches"),
        ({"id": "ocr\n"}, "id", "expected text that matches"),
        ({"id": "a" * 65}, "id", "expected at most 64 characters"),
        ({"id": "../x"}, "id", "expected text that matches"),
        ({"version": "one"}, "version", "PEP 440"),
        ({"version": 1}, "version", "expected string, got integer"),
        ({"entrypoint": "../plugin:Plugin"}, "entrypoint", "expected text that matches"),
        ({"entrypoint": "a/b:Plugin"}, "entrypoint", "expected text that matches"),
        ({"entrypoint": "a..b:Plugin"}, "entrypoint", "expected text that matches"),
        ({"entrypoint": "plugin:"}, "entrypoint", "expected text that matches"),
        ({"hooks": []}, "hooks", "expected at least 1 item"),
        ({"hooks": "read_tokens"}, "hooks", "expected array, got string"),
        ({"hooks": [1]}, "hooks[0]", "expected object or string, got integer"),
        ({"hooks": ["a-b"]}, "hooks[0]", "expected text that matches"),
        ({"hooks": [{"impl": "a"}]}, "hooks[0]", 'missing key "hook"'),
        ({"hooks": [{"hook": "a", "imp": "a"}]}, "hooks[0].imp", 'did you mean "impl"?'),
        ({"hooks": ["a", {"hook": "a"}]}, "hooks[1]", "already in the list"),
        (
            {"hooks": [{"hook": "a", "tryfirst": True, "trylast": True}]},
            "hooks[0]",
            "both tryfirst and trylast",
        ),
        ({"priority": 1.5}, "priority", "expected integer, got number"),
        ({"priority": True}, "priority", "expected integer, got boolean"),
        ({"depends_on": ["ocr.rapid"]}, "depends_on", "names the plugin itself"),
        ({"requires": ["a", "a"]}, "requires", "differ from each other"),
        ({"compat": {"kernel": "new"}}, "compat.kernel", "PEP 440"),
        ({"permissions": {"network": ["tcp:0"]}}, "permissions.network[0]", "port from 1"),
        ({"permissions": {"network": ["tcp:65536"]}}, "permissions.network[0]", "port from 1"),
        ({"permissions": {"network": ["tcp:0443"]}}, "permissions.network[0]", "port from 1"),
        (
            {"permissions": {"network": ["udp:53"]}},
            "permissions.network[0]",
            "matches ^(tcp|listen):",
        ),
        (
            {"permissions": {"read": ["{home}"]}},
            "permissions.read[0]",
            "unknown template {home}; known: {audit_db_path}, {cache_dir}, {media_dir}",
        ),
        ({"permissions": {"read": ["x"]}}, "permissions.read[0]", "is relative"),
        ({"permissions": {"read": ["/a/{run_dir}"]}}, "permissions.read[0]", "has a brace"),
        ({"permissions": {"read": ["{run_dir}x"]}}, "permissions.read[0]", "right after"),
        ({"permissions": {"read": ["{run_dir}/../x"]}}, "permissions.read[0]", "has .."),
        ({"permissions": {"read": ["/a\nb"]}}, "permissions.read[0]", "control character"),
        ({"permissions": {"read": ["/a{"]}}, "permissions.read[0]", "has a brace"),
        ({"permissions": {"write": ["{plugin_dir}"]}}, "permissions.write[0]", "no plugin may"),
        ({"permissions": {"write": ["{audit_db_path}"]}}, "permissions.write[0]", "no plugin may"),
        ({"permissions": {"gpu": "yes"}}, "permissions.gpu", "expected boolean, got string"),
        ({"permissions": {"exec": True}}, "permissions.exec", "expected array, got boolean"),
        ({"permissions": {"exec": ["true"]}}, "permissions.exec[0]", "is relative"),
        ({"limits": {"memory_mb": 0}}, "limits.memory_mb", "expected at least 16"),
        ({"limits": {"timeout_s": 0}}, "limits.timeout_s", "expected more than 0"),
        (
            {"state": "fresh", "permissions": {"exec": ["/bin/true"]}},
            "state",
            "would outlive it",
        ),
        ({"state": "cold"}, "state", 'expected one of "warm", "fresh"'),
        ({"settings": {"defaults": {}}}, "settings", 'missing key "schema"'),
        ({"settings": {"schema": {"tipe": 1}}}, "settings.schema", "#/tipe: unknown keyword"),
        ({"settings": {"schema": "/etc/passwd"}}, "settings.schema", "not a plain path"),
        ({"settings": {"schema": "../x.json"}}, "settings.schema", "not a plain path"),
        ({"settings": {"schema": "a//b.json"}}, "settings.schema", "not a plain path"),
        ({"settings": {"schema": "none.json"}}, "settings.schema", "none.json does not exist"),
        ({"settings": {"schema": "plugin.py"}}, "settings.schema", "plugin.py is not valid JSON"),
        (
            {"contracts": {"read_token": {"input": {}}}},
            "contracts.read_token",
            "did you mean read_",
        ),
        ({"contracts": {"read_tokens": {}}}, "contracts.read_tokens", "expected at least 1 key"),
        ({"contracts": {"a-b": {"input": {}}}}, "contracts.a-b", "as a key: expected text"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_expectation(
    tmp_path: Path, keys: Mapping[str, Any], where: str, reason: str
) -> None:
    """Every error has the file, the key, what was expected, and the next step."""
    error = refused(plugin(tmp_path, **keys))
    key = f"{where}: " if where else ""
    assert error.message.startswith(f"ocr_rapid/plugin.toml: {key}")
    assert reason in error.message
    assert error.message.endswith("run `nxkernel plugins check DIR`.")
    assert error.details["key"] == where


def test_several_mistakes_are_counted(tmp_path: Path) -> None:
    """The message has the first by place, the details have all."""
    error = refused(plugin(tmp_path, version=1, hooks=None))
    assert "(and 1 more)" in error.message
    assert len(error.details["issues"]) == 2


def test_the_error_knows_whose_manifest_it_is(tmp_path: Path) -> None:
    """A broken manifest still names its plugin, if it says a name."""
    assert refused(plugin(tmp_path, version="one")).plugin == "ocr.rapid"
    assert refused(plugin(tmp_path, "other", id=5)).plugin == ""


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("plugin.toml", b"", 'missing key "entrypoint"'),
        ("plugin.toml", b"id = ", "is not valid TOML"),
        ("plugin.toml", b"id = 1\nid = 2\n", "is not valid TOML"),
        ("plugin.toml", b"\xef\xbb\xbfid = 1", "byte order mark"),
        ("plugin.toml", b"\xff\xfei\0d\0", "is not UTF-8 at byte 0"),
        ("plugin.toml", b"id = 2020-01-01", "holds a date or time at id"),
        ("plugin.toml", b"x-a = [{b = inf}]", "holds a number at x-a[0].b that is not finite"),
        ("plugin.toml", b"x-a = 99999999999999999999", "too large a number"),
        ("plugin.toml", b"x = " + b"[" * 100_000, "nested too deeply"),
        ("plugin.toml", b"#" * (256 * 1024 + 1), "is larger than 256 KiB"),
        ("plugin.json", b"", "is not valid JSON"),
        ("plugin.json", b"[]", "expected object, got array"),
        ("plugin.json", b"null", "expected object, got null"),
        ("plugin.json", b'{"id": 1, "id": 2}', "has the key 'id' twice"),
        ("plugin.json", b'{"id": NaN}', "holds NaN"),
        ("plugin.json", b'{"id": 1e999}', "not finite"),
        ("plugin.json", b'{"id": ' + b"9" * 5000 + b"}", "too long"),
        ("plugin.json", b'{"id": "\\ud800"}', "is not Unicode"),
        ("plugin.json", b"[" * 100_000, "nested too deeply"),
        ("plugin.json", b'{"id": 1,}', "is not valid JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    """Empty, huge, hostile and half-written files give an error, never a traceback of a parser."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / name).write_bytes(data)
    assert reason in refused(tmp_path / "p").message


def test_two_manifests_are_one_too_many(tmp_path: Path) -> None:
    """Which of them holds is not guessed."""
    folder = plugin(tmp_path)
    (folder / "plugin.json").write_text("{}")
    assert "both here" in refused(folder).message


def test_no_manifest_says_how_to_get_one(tmp_path: Path) -> None:
    """An empty folder and a missing one name the command that writes a manifest."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        assert "nxkernel init plugin" in refused(tmp_path / name).message


@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "dangling"])
def test_a_manifest_is_a_regular_file(tmp_path: Path, kind: str) -> None:
    """A link out of the folder is not followed, and a fifo does not hang the boot."""
    folder = tmp_path / "p"
    folder.mkdir()
    target = folder / "plugin.toml"
    elsewhere = plugin(tmp_path, "elsewhere") / "plugin.toml"
    {
        "link": lambda: target.symlink_to(elsewhere),
        "dangling": lambda: target.symlink_to("nowhere"),
        "folder": target.mkdir,
        "fifo": lambda: os.mkfifo(target),
    }[kind]()
    refused(folder)


def test_a_schema_does_not_leave_the_folder_by_a_link(tmp_path: Path) -> None:
    """Neither the file nor a folder on the way may be a link."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "s.json").write_text("{}")
    for number, place in enumerate(("s.json", "sub/s.json")):
        folder = plugin(tmp_path, f"p{number}", settings={"schema": place})
        link = folder / place.split("/")[0]
        link.symlink_to(tmp_path / "outside" / ("s.json" if number == 0 else ""))
        assert "symbolic link" in refused(folder).message


def test_nothing_is_imported(tmp_path: Path) -> None:
    """Reading a manifest runs none of the plugin's code."""
    folder = plugin(tmp_path)
    load_manifest(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["plugin.py", "plugin.toml"]


def keys_of(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key of the contract with its description."""
    for key, value in schema.get("properties", {}).items():
        yield prefix + key, value.get("description", "")
        yield from keys_of(value, f"{prefix}{key}.")


@pytest.mark.parametrize("contract", ["plugin_manifest", "lockfile"])
def test_every_key_is_on_its_page_of_the_reference(contract: str) -> None:
    """Documentation and contract use the same words for each key."""
    schema = load_contract(f"{contract}.schema.json")
    page = "manifest" if contract == "plugin_manifest" else contract
    text = (ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([^`|]+)` \| (.+?) \|", text, re.MULTILINE))
    wanted = dict(keys_of(schema))
    sides = schema["properties"].get("contracts", {}).get("additionalProperties", {})
    wanted |= dict(keys_of(sides, "contracts.<hook>."))
    for name, prefix in (("hook", "hooks[]."), ("plugin", "plugins.<id>."), ("impl", "impls[].")):
        wanted |= dict(keys_of(schema["$defs"].get(name, {}), prefix))
    assert wanted == {key: rows.get(key) for key in wanted}


def test_schemas_of_a_plugin_refer_to_its_other_files(tmp_path: Path) -> None:
    """From a file, and from a schema that stands in the manifest; each counts for its digest."""
    common = {"$defs": {"word": {"type": "string"}}}
    inline = {"properties": {"w": {"$ref": "sub/common.schema.json#/$defs/word"}}}
    place = folder_of(tmp_path, inline)
    (place / "sub").mkdir()
    (place / "sub" / "common.schema.json").write_text(json.dumps(common))
    loaded = load_manifest(place)
    assert set(loaded.read) == {"plugin.toml", "sub/common.schema.json"}
    schema = SchemaRegistry().compile(loaded.settings_schema)
    assert schema.validate({"w": 1})[0].message == "expected string, got integer"
    (place / "sub" / "common.schema.json").write_text(json.dumps({**common, "title": "t"}))
    assert load_manifest(place).digest != loaded.digest


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ("../outside.schema.json", "settings.schema: #/$ref: only references inside the document"),
        ("file:///etc/passwd", "settings.schema: #/$ref: only references inside the document"),
        ("link.schema.json", "settings.schema: link.schema.json is a symbolic link"),
        ("broken.schema.json", "settings.schema: broken.schema.json is not valid JSON"),
        ("odd.schema.json", "settings.schema: odd.schema.json#/typ: unknown keyword"),
    ],
)
def test_a_reference_never_leaves_the_plugins_folder(tmp_path: Path, ref: str, reason: str) -> None:
    """What it leads to is a file of the plugin, or the manifest is invalid."""
    (tmp_path / "outside.schema.json").write_text("{}")
    place = folder_of(tmp_path, {"$ref": ref})
    (place / "link.schema.json").symlink_to(tmp_path / "outside.schema.json")
    (place / "broken.schema.json").write_text("{")
    (place / "odd.schema.json").write_text('{"typ": 1}')
    with pytest.raises(ManifestInvalid) as caught:
        load_manifest(place)
    assert reason in caught.value.message


def folder_of(tmp_path: Path, schema: Any) -> Path:
    """Write a plugin whose settings have *schema*."""
    return plugin(tmp_path, settings={"schema": schema})
