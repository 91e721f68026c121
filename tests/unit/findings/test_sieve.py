"""What is dropped, what refuses the whole, and who may allow it."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.findings import Plan, Sieve, Sifted
from nxkernel.findings.regions import Regions
from nxkernel.findings.sieve import MAX_DROPPED, Contract, pruned
from nxkernel.schemas import SchemaRegistry
from nxkernel.types import PluginId

NUMBER = {"type": "integer", "minimum": 0}
NUMBERS = {"type": "array", "items": NUMBER, "x-nx-each": "number", "maxItems": 2000}
PLAIN = {key: NUMBERS[key] for key in NUMBERS if key != "x-nx-each"}
ROWS = {
    "type": "object",
    "required": ["rows"],
    "properties": {
        "rows": {
            "type": "array",
            "x-nx-each": "row",
            "items": {"$ref": "#/$defs/row"},
        }
    },
    "$defs": {
        "row": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}, "numbers": NUMBERS},
        }
    },
}
TOKEN = "urn:nxkernel:sst:token:1"
PAGE = {
    "type": "object",
    "properties": {
        key: {"type": "array", "items": {"$ref": f"urn:nxkernel:sst:{key}:1"}, "x-nx-each": key}
        for key in ("token", "line", "block")
    },
}


def contract(schema: Any, whose: str = "hook") -> Contract:
    compiled = SchemaRegistry().compile(schema)
    return Contract(whose, compiled, Plan(compiled.schema))


def sift(value: Any, *contracts: Contract) -> Sifted:
    return Sieve(Regions(SchemaRegistry())).sift(value, contracts, tuple, PluginId("p"))


def dropped(found: Sifted) -> list[tuple[str, str, str]]:
    assert found.refusal is None
    return [(each.path, each.kind, str(each.message)) for each in found.diagnostics]


def refused(found: Sifted) -> tuple[str, list[str]]:
    assert found.refusal is not None
    assert found.diagnostics == ()
    return found.refusal.whose, [str(issue) for issue in found.refusal.issues]


def test_the_innermost_list_decides() -> None:
    """A bad number costs a number and not the row; a bad row costs a row and not the value."""
    value = {"rows": [{"name": "a", "numbers": [1, -1, "x"]}, {"numbers": [1]}, {"name": "c"}]}
    found = sift(value, contract(ROWS))
    assert dropped(found) == [
        ("/rows/0/numbers/1", "number", "expected at least 0"),
        ("/rows/0/numbers/2", "number", "expected integer, got string"),
        ("/rows/1", "row", 'missing key "name"'),
    ]
    assert pruned(value, found.paths) == {"rows": [{"name": "a", "numbers": [1]}, {"name": "c"}]}
    assert found.lost == 3 / 7


def test_paths_are_those_of_what_was_returned() -> None:
    """An element dropped in a later round is named by where it stood at first."""
    value = {"rows": [{}, {"name": 7, "numbers": [-1]}, {"name": "c", "numbers": [3, -3]}]}
    assert [path for path, _, _ in dropped(sift(value, contract(ROWS)))] == [
        "/rows/0",
        "/rows/1",
        "/rows/1/numbers/0",
        "/rows/2/numbers/1",
    ]


def test_a_fault_outside_of_every_list_refuses_the_whole() -> None:
    """Nothing can be dropped that would mend it, whatever was dropped before."""
    assert refused(sift({"rows": 5}, contract(ROWS))) == (
        "hook",
        ["rows: expected array, got integer"],
    )
    limited = {**NUMBERS, "maxItems": 1}
    assert refused(sift([1, -1, 2], contract(limited))) == ("hook", ["expected at most 1 item"])


def test_a_list_without_the_mark_loses_nothing() -> None:
    """Dropping is allowed by name or not at all."""
    assert refused(sift([1, -1], contract(PLAIN))) == ("hook", ["[1]: expected at least 0"])


def test_a_plugin_cannot_allow_it_to_itself() -> None:
    """The mark in a manifest's contract means nothing where the hook's has none."""
    assert refused(sift([-1], contract(NUMBERS, "plugin")))[0] == "plugin"
    assert refused(sift([-1], contract(PLAIN), contract(NUMBERS, "plugin")))[0] == "hook"


def test_a_narrower_contract_drops_where_the_hooks_allows_it() -> None:
    """What only the plugin's own contract forbids goes alone as well."""
    small = contract({**PLAIN, "items": {"type": "integer", "minimum": 0, "maximum": 9}}, "plugin")
    assert dropped(sift([1, 10, -1], contract(NUMBERS), small)) == [
        ("/1", "number", "expected at most 9"),
        ("/2", "number", "expected at least 0"),
    ]


def test_a_narrower_contract_of_another_form_refuses_the_whole() -> None:
    """Where the elements' own schema cannot be told from the rest, nothing is guessed."""
    odd = contract({"anyOf": [{"type": "array", "items": {"maximum": 9}}]}, "plugin")
    whose, _ = refused(sift([1, 10], contract(NUMBERS), odd))
    assert whose == "plugin"


def test_what_referred_to_something_dropped_goes_too() -> None:
    """A line without one of its tokens is no line, and a block without the line no block."""
    page = {
        "token": [
            {"token_id": "t0", "text": "a", "bbox": [0, 0, 1, 1], "confidence_bp": 1},
            {"token_id": "t1", "text": "", "bbox": [0, 0, 1, 1], "confidence_bp": 1},
        ],
        "line": [
            {"line_id": f"l{n}", "token_ids": [f"t{n}"], "bbox": [0, 0, 1, 1], "text": "a"}
            for n in range(2)
        ],
        "block": [{"block_id": "b", "line_ids": ["l0", "l1"], "bbox": [0, 0, 1, 1], "text": "a"}],
    }
    assert dropped(sift(page, contract(PAGE))) == [
        ("/block/0", "block", "line_ids[1]: names no line that is in sight"),
        ("/line/1", "line", "token_ids[0]: names no token that is in sight"),
        ("/token/1", "token", "text: expected at least 1 character"),
    ]


def test_too_many_invalid_elements_refuse_the_whole() -> None:
    """Diagnostics have a bound, and what is wrong in so many places is wrong."""
    most = [-1] * MAX_DROPPED
    assert len(sift([*most, 1], contract(NUMBERS)).diagnostics) == MAX_DROPPED
    assert refused(sift([*most, -1], contract(NUMBERS))) == (
        "hook",
        [f"more than {MAX_DROPPED} elements are invalid"],
    )


def test_a_chain_of_references_has_an_end() -> None:
    """Each round drops one more of a long chain: after so many the whole is refused."""
    chain = [
        {"element_id": f"e{n}", "type": "t", "bbox": [0, 0, 1, 1], "parent_id": f"e{n + 1}"}
        for n in range(100)
    ]
    elements = {
        "type": "array",
        "items": {"$ref": "urn:nxkernel:sst:element:1"},
        "x-nx-each": "element",
    }
    assert refused(sift(chain, contract(elements))) == (
        "hook",
        ["what is left keeps referring to what was dropped"],
    )


@pytest.mark.parametrize(
    ("schema", "value", "left"),
    [
        ({"allOf": [NUMBERS]}, [1, -1], [1]),
        ({"additionalProperties": NUMBERS}, {"k": [-1, 2]}, {"k": [2]}),
        ({"$ref": "#/$defs/n", "$defs": {"n": NUMBERS}}, [3, "x"], [3]),
        (
            {"items": {"$ref": "#"}, "x-nx-each": "tree", "type": "array", "maxItems": 2},
            [[[]], [[], [], []], 7],
            [[[]]],
        ),
    ],
)
def test_marks_are_found_through_references(schema: Any, value: Any, left: Any) -> None:
    """A mark holds wherever the schema has it that describes the list."""
    found = sift(value, contract(schema))
    assert found.refusal is None
    assert pruned(value, found.paths) == left


def test_pruning_touches_nothing_else() -> None:
    """What stays is the very same object; what was given is not changed."""
    value = {"a": [1, 2, 3], "b": {"c": []}}
    left = pruned(value, [("a", 0), ("a", 2)])
    assert left == {"a": [2], "b": {"c": []}}
    assert left["b"] is value["b"]
    assert value["a"] == [1, 2, 3]


def test_what_is_looked_at_has_a_bound() -> None:
    """Of a long list whose elements fall one after the other, few rounds are made."""
    elements = {
        "type": "array",
        "items": {"$ref": "urn:nxkernel:sst:element:1"},
        "x-nx-each": "element",
    }
    chain = [
        {"element_id": f"e{n}", "type": "t", "bbox": [0, 0, 1, 1], "parent_id": f"e{n + 1}"}
        for n in range(2000)
    ]
    assert refused(sift(chain, contract(elements))) == (
        "hook",
        ["what is left keeps referring to what was dropped"],
    )


def test_large_invalid_elements_refuse_the_whole() -> None:
    """The reference is asked about so many values and no more, however few elements hold them."""
    heavy = {"type": "array", "items": {"type": "array", "items": NUMBER}, "x-nx-each": "row"}
    rows = [[-1, *range(4_999)] for _ in range(5)]
    found = sift(rows, contract(heavy))
    if contract(heavy).compiled.quick:
        assert refused(found) == ("hook", ["more of it is invalid than is looked at"])
    else:  # the reference has a budget of its own, and this is within it
        assert len(found.diagnostics) == 5
    assert len(sift(rows[:3], contract(heavy)).diagnostics) == 3
