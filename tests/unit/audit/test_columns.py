"""Rows become leaves by a fixed encoding, and no fact gets into a column that is not for it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from nxkernel._canonical import NotCanonical
from nxkernel.audit.columns import Column, Table, leaf
from nxkernel.audit.tree import leaf_hash
from tests.unit.audit.logs import CONTRACT, STANDALONE

ROWS = json.loads((CONTRACT / "vectors.v2.json").read_text(encoding="utf-8"))["rows"]
THINGS = Table(
    "things",
    "For this test.",
    (
        Column("number", "INTEGER", "an int"),
        Column("note", "TEXT", "a text", null=True),
        Column("raw", "BLOB", "bytes"),
        Column("who", "NAME", "a name"),
        Column("digest", "DIGEST", "a digest", null=True),
        Column("seed", "HEX", "hex", null=True),
    ),
)
FACTS = (5, "text", b"\0\1", "ocr", "sha256:" + "5e" * 32, "00ff")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['seq']}-{row['table']}")
def test_vectors_of_leaves(row: dict[str, object]) -> None:
    """Each published row has its published bytes and hash, here and in the other verifier."""
    values = row["values"]
    assert isinstance(values, list)
    plain = [bytes.fromhex(v["hex"]) if isinstance(v, dict) else v for v in values]
    whole = [row["seq"], row["table"], *plain]
    assert leaf(tuple(whole)).hex() == STANDALONE.pack(whole).hex() == row["leaf"]
    assert leaf_hash(leaf(whole)).hex() == STANDALONE.leaf_hash(whole).hex() == row["hash"]


def test_facts_are_stored_in_few_bytes_and_shown_as_they_were() -> None:
    """Names become numbers, digests bytes; the view shows what was given."""
    numbers = {"ocr": 41}
    stored = THINGS.store(FACTS, numbers.__getitem__)
    assert stored == (5, "text", b"\0\1", 41, b"\x5e" * 32, b"\0\xff")
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE names (seq INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("CREATE TABLE seals (seq INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO names VALUES (41, 'ocr')")
        for statement in THINGS.statements:
            connection.execute(statement)
        connection.execute(THINGS.insert, (7, *stored))
        connection.execute(THINGS.insert, (8, 1, None, b"", 41, None, None))
        rows = connection.execute("SELECT * FROM things_text ORDER BY seq").fetchall()
    assert rows == [(7, *FACTS), (8, 1, None, b"", "ocr", None, None)]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, "5"),
        (0, True),
        (0, None),
        (1, 5),
        (2, "text"),
        (3, None),
        (3, 41),
        (4, "sha256:5e"),
        (4, "5e" * 32),
        (5, "no hex"),
        (5, b"\0"),
    ],
)
def test_a_fact_of_another_kind_is_refused(at: int, value: object) -> None:
    """Nothing is written that a verifier would have to call malformed."""
    facts = [*FACTS]
    facts[at] = value  # type: ignore[call-overload]
    with pytest.raises(NotCanonical):
        THINGS.store(tuple(facts), lambda name: 1)


def test_a_row_has_as_many_facts_as_columns() -> None:
    """A row that lacks one, or has one more, is refused."""
    for facts in (FACTS[:-1], (*FACTS, None)):
        with pytest.raises(NotCanonical, match="things has 6 columns"):
            THINGS.store(facts, lambda name: 1)


@pytest.mark.parametrize("fact", ["\udcff", 2**64, object()], ids=["surrogate", "big", "object"])
def test_a_value_without_a_canonical_form_is_no_leaf(fact: object) -> None:
    """Nothing gets a hash that another program could encode in another way."""
    with pytest.raises(NotCanonical):
        leaf((1, "events", fact))
    assert STANDALONE.leaf_hash([1, "events", fact]) == b"?"


def test_every_part_of_a_row_counts() -> None:
    """Number, table, each value and their order all change the leaf."""
    rows = [
        (1, "events", "a", "b"),
        (2, "events", "a", "b"),
        (1, "event", "a", "b"),
        (1, "events", "ab"),
        (1, "events", "b", "a"),
        (1, "events", "a", None),
        (1, "events", "a", b"b"),
        (1, "events", "a", "b", None),
    ]
    assert len({leaf(row) for row in rows}) == len(rows)
