"""Schemas that are referred to by name, from others and from manifests."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas.published import bundled, named, published, published_names

TOKEN = "urn:nxkernel:sst:token:1"
TOKENS = {"type": "array", "items": {"$ref": TOKEN}, "x-nx-each": "token"}
WORD = {"token_id": "t1", "text": "Sum", "bbox": [1, 2, 3, 4], "confidence_bp": 9000}


def issues(schema: Any, value: Any) -> list[str]:
    return [str(issue) for issue in SchemaRegistry().validate(value, schema)]


def test_a_published_schema_is_referred_to_by_its_name() -> None:
    """What it says holds where it is referred to, with all that it refers to itself."""
    assert issues(TOKENS, [WORD]) == []
    assert issues(TOKENS, [WORD, {**WORD, "confidence_bp": 10_001}]) == [
        "[1].confidence_bp: expected at most 10000"
    ]


def test_a_bundle_refers_to_nothing_outside_itself() -> None:
    """A bundled schema stands alone: it can be handed to anybody's validator."""
    text = repr(bundled(TOKENS))
    assert "'$ref': '#/$defs/urn:nxkernel:sst:token:1'" in text
    assert "'$ref': 'urn:" not in text
    assert bundled(bundled(TOKENS)) == bundled(TOKENS)


def test_a_schema_without_names_is_not_touched() -> None:
    """Nothing is copied where nothing is referred to."""
    schema = {"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"}
    assert bundled(schema) is schema
    assert bundled(True) is True


def test_two_names_stand_side_by_side() -> None:
    """Definitions of the same name of two published schemas do not meet."""
    schema = {
        "type": "object",
        "properties": {"t": {"$ref": TOKEN}, "f": {"$ref": "urn:nxkernel:sst:frame:1"}},
        "$defs": {"bbox": {"type": "string"}},
    }
    frame = {"frame_id": "f", "width": 0, "height": 2}
    assert issues(schema, {"t": WORD, "f": frame}) == ["f.width: expected at least 1"]


def test_a_definition_may_not_pass_for_a_published_schema() -> None:
    """A name means what was published by it, and nothing else."""
    mine = {**TOKENS, "$defs": {TOKEN: True}}
    with pytest.raises(SchemaInvalid, match="is the name of a published schema"):
        SchemaRegistry().compile(mine)


def test_an_unknown_name_is_refused_and_never_fetched() -> None:
    """A reference that leads nowhere stops the schema when it is loaded."""
    with pytest.raises(SchemaInvalid, match="only references inside the document"):
        SchemaRegistry().compile({"$ref": "urn:nxkernel:sst:tokne:1"})
    with pytest.raises(SchemaInvalid, match="did you mean 'urn:nxkernel:sst:token:1'"):
        published("urn:nxkernel:sst:tokne:1")


def test_a_name_stands_for_a_reference_to_it() -> None:
    """Where a schema is asked for, a name will do."""
    assert named(TOKEN) == {"$ref": TOKEN}
    assert named("tokens.schema.json") == "tokens.schema.json"
    assert issues(named(TOKEN), WORD) == []


def test_each_caller_gets_a_schema_of_its_own() -> None:
    """Changing what was published changes nothing for the next caller."""
    published(TOKEN)["properties"].clear()
    assert "text" in published(TOKEN)["properties"]


@pytest.mark.parametrize("name", published_names())
def test_every_published_schema_can_be_referred_to(name: str) -> None:
    """Each compiles behind a reference as it does alone, and judges alike."""
    document = published(name)
    for example in document.get("examples", ()):
        assert issues({"$ref": name}, example) == []
    assert issues({"$ref": name}, 7) == issues(document, 7)
