"""The published schemas of artifacts: complete, closed, exemplified, written by the tool."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nxkernel.findings.flaws import CODES
from nxkernel.schemas import SchemaRegistry
from tools.artifacts.__main__ import main
from tools.artifacts.figure import PLACES

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "contracts" / "sst").iterdir())
SCHEMAS: dict[str, Any] = {
    path.name.partition(".")[0]: json.loads(path.read_text()) for path in FILES
}
KINDS = sorted(SCHEMAS)
ASKED_FOR = {
    "action",
    "answer",
    "block",
    "chart",
    "citation",
    "code_block",
    "cursor",
    "delta",
    "element",
    "frame",
    "line",
    "spreadsheet",
    "state",
    "table",
    "token",
}


def objects(schema: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema of an object in *schema*."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield place, schema
        for key in sorted(schema):
            if key != "examples":
                yield from objects(schema[key], f"{place}/{key}")
    elif isinstance(schema, list):
        for index, each in enumerate(schema):
            yield from objects(each, f"{place}/{index}")


def test_there_is_a_schema_for_every_kind() -> None:
    """Nothing that is found on a screen, and no answer, is without a published form."""
    assert set(KINDS) == ASKED_FOR


def test_files_and_page_are_as_the_tool_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Schemas and the page that explains them have one source."""
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_the_picture_has_every_kind() -> None:
    """Nobody looks for a kind in vain, and the picture shows none that is gone."""
    assert PLACES.keys() | {"state"} == ASKED_FOR
    picture = (ROOT / "docs" / "reference" / "artifacts.svg").read_text(encoding="utf-8")
    assert all(f">{kind}<" in picture for kind in ASKED_FOR)


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_inside_the_profile_under_a_name_of_its_own(kind: str) -> None:
    """What we publish is a schema that we would accept from others."""
    SchemaRegistry().compile(SCHEMAS[kind], name=kind)
    assert SCHEMAS[kind]["$id"] == f"urn:nxkernel:sst:{kind.replace('_', '-')}:1"
    assert SCHEMAS[kind]["x-nx-artifact"] == kind


@pytest.mark.parametrize("kind", KINDS)
def test_each_shows_an_example_that_it_accepts(kind: str) -> None:
    """A reader sees a value, and the value is right."""
    (example,) = SCHEMAS[kind]["examples"]
    assert SchemaRegistry().validate(example, SCHEMAS[kind]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_requires_what_its_example_cannot_leave_out(kind: str) -> None:
    """A required key that is left out is named."""
    (example,) = SCHEMAS[kind]["examples"]
    for key in SCHEMAS[kind]["required"]:
        less = {name: example[name] for name in example if name != key}
        issues = [str(issue) for issue in SchemaRegistry().validate(less, SCHEMAS[kind])]
        assert issues == [f'missing key "{key}"']


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_in_it_is_closed(kind: str) -> None:
    """An unknown key is an error wherever it stands, or every key has the same schema."""
    for place, schema in objects(SCHEMAS[kind]):
        closed = schema.get("additionalProperties")
        assert closed is False or "properties" not in schema, place


@pytest.mark.parametrize("kind", KINDS)
def test_no_number_in_it_is_a_float(kind: str) -> None:
    """Confidences are basis points and places are pixels: what is hashed has no rounding."""
    assert '"number"' not in json.dumps(SCHEMAS[kind])
    for place, schema in objects(SCHEMAS[kind]):
        for name, given in schema.get("properties", {}).items():
            if name.endswith("_bp"):
                assert given["$ref"] == "#/$defs/confidence", f"{place}/{name}"


def test_every_code_of_a_rule_is_on_the_page() -> None:
    """A diagnostic's code leads to what it means, and no code is documented that is not used."""
    page = (ROOT / "docs" / "reference" / "artifacts.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| ([A-Z][^|]+\.) \|$", page, re.MULTILINE))
    assert {code: rows.get(code) for code in CODES} == CODES


def test_what_the_files_share_is_the_same_in_all_of_them() -> None:
    """A box is a box: a definition of one name says one thing, and a kind inside another is it."""
    seen: dict[str, Any] = {}
    for kind in KINDS:
        for name, schema in SCHEMAS[kind].get("$defs", {}).items():
            assert seen.setdefault(name, schema) == schema, f"{kind}: {name}"
    for kind in seen.keys() & set(KINDS):
        whole = copy.deepcopy(SCHEMAS[kind])
        for key in ("$schema", "$id", "$defs", "examples"):
            whole.pop(key, None)
        assert seen[kind] == whole


def test_every_reason_for_which_a_claim_goes_is_on_the_page() -> None:
    """Whoever misses a claim finds what its reason means."""
    page = (ROOT / "docs" / "reference" / "artifacts.md").read_text(encoding="utf-8")
    section = page.partition("\n## Answers\n")[2].partition("\n## ")[0]
    rows = set(re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", section, re.MULTILINE))
    pipeline = ROOT / "src" / "nxkernel" / "pipeline"
    sources = "".join((pipeline / name).read_text() for name in ("answers.py", "citations.py"))
    raised = set(re.findall(r'CitationProblem\(\s*"([a-z.]+)"', sources))
    assert len(raised) > 8
    assert rows == raised
