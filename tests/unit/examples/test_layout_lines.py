"""Lines, blocks and tables come from the boxes of words alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.findings import check
from tests.unit.examples.documents import layout, recorded, tokens
from tests.unit.examples.loading import SCREENMEM, load

plugin = load("layout_lines").Plugin()


def words(*placed: tuple[str, int, int]) -> list[dict[str, Any]]:
    """Words of 10 pixels a letter and 16 high, at x and y."""
    return [
        {
            "token_id": f"t{number}",
            "text": text,
            "bbox": [x, y, x + 10 * len(text), y + 16],
            "confidence_bp": 9900,
        }
        for number, (text, x, y) in enumerate(placed)
    ]


def problems(found: Any, words: Any, frame: Any) -> list[str]:
    """What the application's own contract, and the rules of artifacts, say of a layout."""
    contracts = {side: schema(f"assemble_layout.{side}") for side in ("input", "output")}
    given = {"arguments": (contracts["input"], {"frame": frame, "tokens": words})}
    return [str(issue) for issue in check(contracts["output"], found, given=given)]


def schema(name: str) -> Any:
    return json.loads((SCREENMEM / "contracts" / f"{name}.schema.json").read_text())


def assemble(*placed: tuple[str, int, int]) -> dict[str, Any]:
    result: dict[str, Any] = plugin.assemble_layout({}, words(*placed))
    return result


def test_wide_gaps_separate_lines() -> None:
    """Words with a space between them are one line, words across a gap are two."""
    found = assemble(("Due", 0, 0), ("date", 36, 0), ("14", 200, 0))
    assert [line["text"] for line in found["lines"]] == ["Due date", "14"]
    assert found["lines"][0]["bbox"] == [0, 0, 76, 16]


def test_lines_below_each_other_are_a_block() -> None:
    """A paragraph is one block; a larger gap begins another."""
    found = assemble(("one", 0, 0), ("two", 0, 26), ("three", 0, 80))
    assert [block["line_ids"] for block in found["blocks"]] == [["l0", "l1"], ["l2"]]


def test_a_table_has_columns_and_a_header() -> None:
    """Rows that keep to columns are a table; names above numbers are its header."""
    found = assemble(
        ("Item", 0, 0), ("Quantity", 200, 0), ("Price", 400, 0),
        ("Cable", 0, 40), ("12", 230, 40), ("4.25", 400, 40),
        ("Lamp", 0, 80), ("31.75", 400, 80),
    )  # fmt: skip
    (table,) = found["tables"]
    assert (table["rows"], table["cols"], table["header"]) == (3, 3, True)
    assert [(c["r"], c["c"], c["text"]) for c in table["cells"]][-2:] == [
        (2, 0, "Lamp"),
        (2, 2, "31.75"),
    ]


def test_names_and_values_have_no_header() -> None:
    """Two columns of which the right one is no column of numbers are names with values."""
    found = assemble(("Host", 0, 0), ("kestrel", 200, 0), ("Port", 0, 40), ("8443", 200, 40))
    assert [table["header"] for table in found["tables"]] == [False]


def test_prose_is_no_table() -> None:
    """Lines of text beside nothing are no table."""
    assert assemble(("one", 0, 0), ("two", 0, 26), ("three", 0, 52))["tables"] == []


def test_nothing_is_nothing() -> None:
    """A frame without words has an empty layout."""
    assert plugin.assemble_layout({}, []) == {"lines": [], "blocks": [], "tables": []}


@pytest.mark.parametrize("name", sorted(recorded()))
def test_a_layout_is_what_was_promised(name: str) -> None:
    """Lines, blocks and tables of the shipped screenshots keep every rule of their kinds."""
    known = recorded()[name]
    frame = {"frame_id": known["digest"], "width": known["width"], "height": known["height"]}
    assert check(schema("read_tokens.output"), tokens(name)) == []
    assert problems(layout(name), tokens(name), frame) == []


@pytest.mark.parametrize("name", sorted(recorded()))
def test_every_word_is_in_one_line(name: str) -> None:
    """Lines are contiguous spans that cover all tokens, each once, in order."""
    lines = layout(name)["lines"]
    covered = [each for line in lines for each in line["token_ids"]]
    assert covered == [token["token_id"] for token in tokens(name)]


boxes = st.tuples(st.integers(0, 900), st.integers(0, 900), st.integers(1, 80), st.integers(5, 40))


@given(st.lists(boxes, max_size=25))
def test_any_boxes_have_a_layout(placed: list[tuple[int, int, int, int]]) -> None:
    """Whatever the boxes, lines cover the tokens and cells of a row never share a column."""
    given_tokens = [
        {"token_id": f"t{n}", "text": "w", "bbox": [x, y, x + w, y + h], "confidence_bp": 1}
        for n, (x, y, w, h) in enumerate(placed)
    ]
    found = plugin.assemble_layout({}, given_tokens)
    covered = [each for line in found["lines"] for each in line["token_ids"]]
    assert covered == [token["token_id"] for token in given_tokens]
    assert problems(found, given_tokens, {"frame_id": "f", "width": 1000, "height": 1000}) == []
    assert sorted(i for b in found["blocks"] for i in b["line_ids"]) == sorted(
        line["line_id"] for line in found["lines"]
    )
    for table in found["tables"]:
        places = [(cell["r"], cell["c"]) for cell in table["cells"]]
        assert len(set(places)) == len(places)
