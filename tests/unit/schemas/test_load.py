"""Schemas from folders, from installed distributions, and from several documents at once."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry, shared
from tests.support.canary import Canary, canary

__all__ = ["canary"]

BOX = {
    "$id": "https://schemas.example/common",
    "$defs": {"box": {"type": "array", "items": {"$ref": "#/$defs/side"}}, "side": {"minimum": 0}},
    "type": "object",
}
TOKEN = {"properties": {"box": {"$ref": "common.schema.json#/$defs/box"}}}


def folder(tmp_path: Path, **documents: Any) -> Path:
    """Write a folder of schemas; ``a__b`` is the file ``a/b.schema.json``."""
    place = tmp_path / "contracts"
    for name, document in documents.items():
        path = place / f"{name.replace('__', '/')}.schema.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document))
    return place


def test_a_folder_is_loaded_by_the_paths_in_it(tmp_path: Path) -> None:
    """Those that are schemas by their names, below it too, and nothing else."""
    place = folder(tmp_path, a={"type": "string"}, sub__b={"type": "integer"})
    (place / "readme.json").write_text("no JSON")
    loaded = SchemaRegistry().load(place)
    assert list(loaded) == ["a.schema.json", "sub/b.schema.json"]
    assert loaded["sub/b.schema.json"].validate("x")[0].code == "wrong_type"


@pytest.mark.parametrize(
    "ref",
    [
        "common.schema.json#/$defs/box",
        "https://schemas.example/common#/$defs/box",
        "sub/../common.schema.json#/%24defs/box",
    ],
)
def test_schemas_of_a_folder_refer_to_one_another(tmp_path: Path, ref: str) -> None:
    """By path or by ``$id``; what the other one refers to comes with it."""
    place = folder(tmp_path, common=BOX, token={"properties": {"box": {"$ref": ref}}})
    token = SchemaRegistry().load(str(place))["token.schema.json"]
    (issue,) = token.validate({"box": [1, -1]})
    assert (issue.instance_path, issue.message) == ("/box/1", "expected at least 0")
    assert token.validate({"box": [1]}) == []


def test_a_path_is_seen_from_the_document_that_names_it(tmp_path: Path) -> None:
    """As a link in a page is."""
    place = folder(
        tmp_path,
        sub__a={"$ref": "b.schema.json"},
        sub__b={"$ref": "../c.schema.json"},
        c={"type": "string"},
    )
    assert SchemaRegistry().load(place)["sub/a.schema.json"].validate(1)[0].keyword == "type"


def test_documents_may_refer_to_each_other_in_a_circle(tmp_path: Path) -> None:
    """A list of trees of lists; each is checked to its end."""
    place = folder(
        tmp_path,
        list={"type": "array", "items": {"$ref": "tree.schema.json"}},
        tree={"properties": {"below": {"$ref": "list.schema.json#"}}, "type": "object"},
    )
    tree = SchemaRegistry().load(place)["tree.schema.json"]
    assert tree.validate({"below": [{"below": []}]}) == []
    (issue,) = tree.validate({"below": [{"below": [1]}]})
    assert issue.instance_path == "/below/0/below/0"


@pytest.mark.parametrize(
    ("documents", "reason", "schema"),
    [
        ({"a": "{"}, "a.schema.json#: is not valid JSON: Expecting property name", "a"),
        ({"a": {"type": "text"}}, "a.schema.json#/type: ", "a"),
        (
            {"a": {"properties": {"b": {"typ": "string"}}}},
            "a.schema.json#/properties/b/typ: unknown keyword; did you mean 'type'?",
            "a",
        ),
        (
            {"a": {"$ref": "sub/b.schema.json"}, "sub__b": {"items": {"minItem": 1}}},
            "sub/b.schema.json#/items/minItem: unknown keyword; did you mean 'minItems'?",
            "sub/b",
        ),
        (
            {"a": {"items": {"$ref": "b.schema.json"}}},
            "a.schema.json#/items/$ref: only references inside the document, and to schemas that "
            "were loaded with it, are accepted: #/$defs/...",
            "a",
        ),
        ({"a": {"$ref": "b.schema.json#/$defs/no"}, "b": {}}, "a.schema.json#/$ref: refers", "a"),
        (
            {
                "a": {"allOf": [{"$ref": "b.schema.json"}]},
                "b": {"anyOf": [{"$ref": "a.schema.json"}]},
            },
            "applies itself to the same value without end",
            "",
        ),
        (
            {
                "a": {"$ref": "b.schema.json"},
                "b": {"$schema": "http://json-schema.org/draft-07/schema#"},
            },
            "b.schema.json#: is of draft 7, and cannot be referred to from a.schema.json",
            "",
        ),
        ({"a": {"$ref": "b.schema.json"}, "b": [1]}, "b.schema.json#: is no object", ""),
        (
            {"a": {"$ref": "b.schema.json", "$defs": {"b.schema.json": {}}}, "b": {}},
            "a.schema.json#/$defs: holds the name of a document",
            "",
        ),
        ({"a": {"$id": "urn:x"}, "b": {"$id": "urn:x"}}, "b.schema.json#/$id: is that of a.", ""),
    ],
)
def test_what_is_refused_has_its_file_its_place_and_why(
    tmp_path: Path, documents: Any, reason: str, schema: str
) -> None:
    """Also where it came into another schema by a reference."""
    with pytest.raises(SchemaInvalid) as caught:
        SchemaRegistry().load(folder(tmp_path, **documents))
    assert reason in caught.value.message
    if schema:
        assert caught.value.details["schema"] == f"{schema}.schema.json"
    assert caught.value.code == "schema.invalid"


def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    """Neither a file that is one, nor a folder that is one, nor dots."""
    outside = tmp_path / "outside.schema.json"
    outside.write_text('{"type": "string"}')
    place = folder(tmp_path, a={"$ref": "../outside.schema.json"})
    with pytest.raises(SchemaInvalid, match="only references inside the document"):
        SchemaRegistry().load(place)
    (place / "a.schema.json").unlink()
    os.symlink(outside, place / "b.schema.json")
    with pytest.raises(SchemaInvalid, match=r"b\.schema\.json#: is a symbolic link"):
        SchemaRegistry().load(place)
    with pytest.raises(SchemaInvalid, match=r"nowhere: no such folder"):
        SchemaRegistry().load(tmp_path / "nowhere")


def test_an_address_is_a_name_or_nothing(tmp_path: Path, canary: Canary) -> None:
    """Nobody is asked for it, in no document; a file's address opens no file either."""
    secret = tmp_path / "secret.schema.json"
    secret.write_text('{"typ": "would be refused"}')
    for number, address in enumerate((canary.url, secret.as_uri(), str(secret), "//localhost/x")):
        inner = {"items": {"$ref": f"{address}#/$defs/a"}}
        place = folder(tmp_path / str(number), a={"$ref": "b.schema.json"}, b=inner)
        with pytest.raises(SchemaInvalid, match=r"b\.schema\.json#/items/\$ref: only"):
            SchemaRegistry().load(place)
    assert canary.hits() == 0
    named = folder(
        tmp_path / "named", a={"$ref": canary.url}, b={"$id": canary.url, "type": "null"}
    )
    assert SchemaRegistry().load(named)["a.schema.json"].validate(1)[0].code == "wrong_type"
    assert canary.hits() == 0


def test_folders_do_not_see_each_other(tmp_path: Path) -> None:
    """What was loaded for one plugin is not there for another one's schemas."""
    registry = SchemaRegistry()
    registry.load(folder(tmp_path / "one", common=BOX))
    with pytest.raises(SchemaInvalid, match="only references inside the document"):
        registry.load(folder(tmp_path / "two", token=TOKEN))


def test_too_many_documents_are_refused(tmp_path: Path) -> None:
    """A schema is made of sixty-four at most."""
    chain = {f"d{n}": {"items": {"$ref": f"d{n + 1}.schema.json"}} for n in range(70)}
    with pytest.raises(SchemaInvalid, match="refers to more than 64 documents"):
        SchemaRegistry().load(folder(tmp_path, **chain, d70={}))


def test_equal_schemas_are_compiled_once_for_everybody(tmp_path: Path) -> None:
    """The process has one registry for all plugins, and content decides what is the same."""
    schema = {"type": "string", "title": str(tmp_path)}
    loaded = shared().load(folder(tmp_path, a=schema, b=schema))
    assert loaded["a.schema.json"] is loaded["b.schema.json"] is shared().compile(schema)


def install(site: Path, value: str, *, record: bool = True) -> None:
    """Install a distribution with schemas, whose package must not be imported."""
    package = site / "shiny" / "inner"
    (package / "contracts").mkdir(parents=True)
    for each in (package.parent, package):
        (each / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / "contracts" / "token.schema.json").write_text(json.dumps(TOKEN))
    (package / "contracts" / "common.schema.json").write_text(json.dumps(BOX))
    info = site / "shiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shiny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[nxkernel.contracts]\nshiny = {value}\n")
    files = [path.relative_to(site) for path in sorted(site.rglob("*")) if path.is_file()]
    if record:
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in files))


@pytest.mark.parametrize("record", [True, False], ids=["installed", "editable"])
@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("shiny.inner:contracts", ["shiny/common.schema.json", "shiny/token.schema.json"]),
        ("shiny.inner:contracts/token.schema.json", ["shiny/token.schema.json"]),
    ],
)
def test_installed_schemas_are_found_and_nothing_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, names: list[str], record: bool
) -> None:
    """By the distribution's list of files, or by where its package lies."""
    install(tmp_path, value, record=record)
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = SchemaRegistry().load_installed()
    assert sorted(loaded) == names
    assert loaded["shiny/token.schema.json"].validate({"box": [-1]})[0].instance_path == "/box/0"
    assert not [name for name in sys.modules if name.startswith("shiny")]
    assert SchemaRegistry().load_installed("screenmem.contracts") == {}


@pytest.mark.parametrize(
    "value", ["shiny.inner:nothing", "shiny.inner:../contracts", "shiny.inner", "nobody:contracts"]
)
def test_an_entry_point_that_names_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """With what to write instead."""
    install(tmp_path, value)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SchemaInvalid, match=r"^.*entry point shiny = .* names no installed schema"):
        SchemaRegistry().load_installed()
    assert "shiny" not in sys.modules


def test_a_wrong_installed_schema_names_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file and the place, as a folder's does."""
    install(tmp_path, "shiny.inner:contracts")
    (tmp_path / "shiny/inner/contracts/common.schema.json").write_text('{"typ": 1}')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        SchemaInvalid, match=r"entry point shiny: common\.schema\.json#/typ: unknown"
    ):
        SchemaRegistry().load_installed()
