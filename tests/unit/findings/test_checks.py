"""The rules of artifacts, asked for by an application."""

from __future__ import annotations

import pytest

from nxkernel.errors import SchemaInvalid
from nxkernel.findings import KINDS, Plan, check
from nxkernel.findings.checks import flaws
from nxkernel.findings.references import REFERENCES
from nxkernel.findings.sight import ID
from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas.published import published, published_names

TOKEN = {"token_id": "t", "text": "a", "bbox": [0, 0, 30, 9], "confidence_bp": 1}
FRAME = {"frame_id": "f", "width": 20, "height": 20}


def name(kind: str) -> str:
    return f"urn:nxkernel:sst:{kind.replace('_', '-')}:1"


def test_what_the_schema_forbids_is_said_first() -> None:
    """Rules are for what has the right form; before that there is nothing to say."""
    (issue,) = check(name("token"), {**TOKEN, "bbox": [9, 9, 1]})
    assert (issue.keyword, str(issue)) == ("minItems", "bbox: expected at least 4 items")


def test_a_rule_speaks_like_a_schema() -> None:
    """A broken rule is an issue: its path, its keyword, its code, and no value of the artifact."""
    (issue,) = check(name("token"), TOKEN, given={"frame": (name("frame"), FRAME)})
    assert issue.instance_path == "/bbox"
    assert issue.keyword == "x-nx-artifact"
    assert issue.code == "outside"
    assert issue.message == "the box leaves the frame of 20 x 20"


def test_nothing_is_said_of_what_is_not_in_sight() -> None:
    """Without a frame a box has nothing to leave, without lines a token none to name."""
    assert check(name("token"), {**TOKEN, "line_id": "l7"}) == []


def test_what_is_given_has_to_hold() -> None:
    """A frame that is none cannot vouch for anything."""
    with pytest.raises(SchemaInvalid, match="given 'frame': missing key \"width\""):
        check(
            name("token"), TOKEN, given={"frame": (name("frame"), {"frame_id": "f", "height": 1})}
        )


def test_two_frames_of_different_size_bound_no_box() -> None:
    """Where it cannot be told which frame is meant, no box is said to leave it."""
    frames = {"a": (name("frame"), FRAME), "b": (name("frame"), {**FRAME, "width": 99})}
    assert check(name("token"), TOKEN, given=frames) == []


def test_an_artifact_may_not_claim_another_provider() -> None:
    """A plugin signs with its own name or not at all."""
    plan = Plan(SchemaRegistry().compile(published(name("token"))).schema)
    groups = plan.groups({**TOKEN, "provider_id": "ocr.rapid"})
    assert flaws(groups, provider="ocr.rapid") == []
    (flaw,) = flaws(groups, provider="ocr.other")
    assert (flaw.path, flaw.code) == (("provider_id",), "mismatch")


def test_a_schema_of_ones_own_will_do() -> None:
    """Rules follow the marks, wherever a schema has them."""
    schema = {"type": "object", "properties": {"words": {"items": {"$ref": name("token")}}}}
    (issue,) = check(schema, {"words": [TOKEN, TOKEN]})
    assert (issue.instance_path, issue.code) == ("/words/1/token_id", "repeated_id")


@pytest.mark.parametrize("published_name", [n for n in published_names() if ":sst:" in n])
def test_published_examples_keep_the_rules(published_name: str) -> None:
    """What the reference shows is right in every respect."""
    for example in published(published_name)["examples"]:
        assert check(published_name, example) == []


def test_tables_of_kinds_speak_of_kinds_that_exist() -> None:
    """No rule is written for a kind, or a field, that no schema has."""
    kinds = {n.split(":")[3].replace("-", "_") for n in published_names() if ":sst:" in n}
    assert kinds == KINDS
    assert ID.keys() | REFERENCES.keys() <= KINDS
    for kind, fields in REFERENCES.items():
        properties = published(name(kind))["properties"]
        assert {field.split(".")[0].removesuffix("[]") for field in fields} <= properties.keys()
        assert set(fields.values()) <= ID.keys()
    for kind, key in ID.items():
        assert key in published(name(kind))["required"]
