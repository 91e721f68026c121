"""The chain gives the published digests, and a checkpoint is three lines."""

from __future__ import annotations

import json

import pytest

from nxkernel._canonical import NotCanonical, encode
from nxkernel.audit.chain import DOMAIN, GENESIS, Checkpoint, link, origin_of
from nxkernel.errors import AuditError
from tests.unit.audit.logs import CONTRACT, STANDALONE

VECTORS = json.loads((CONTRACT / "vectors.v1.json").read_text(encoding="utf-8"))
ROWS = VECTORS["rows"]
FORMAT = json.loads((CONTRACT / "format.v1.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["seq"]))
def test_vectors_of_the_chain(row: dict[str, object]) -> None:
    """Each published row has its published bytes and digest, here and in the other verifier."""
    seq, table, facts = row["seq"], row["table"], row["facts"]
    assert isinstance(seq, int)
    assert isinstance(facts, list)
    prev = bytes.fromhex(str(row["prev"]))
    assert encode([table, seq, *facts]).hex() == row["encoded"]
    assert STANDALONE.pack([table, seq, *facts]).hex() == row["encoded"]
    assert link(prev, str(table), seq, facts).hex() == row["digest"]
    assert STANDALONE.link(prev, STANDALONE.pack([table, seq, *facts])).hex() == row["digest"]


def test_vectors_are_one_chain() -> None:
    """Each published row follows the one before, and the checkpoint is that of the last."""
    assert [row["prev"] for row in ROWS] == [GENESIS.hex(), *(row["digest"] for row in ROWS[:-1])]
    first, last = bytes.fromhex(ROWS[0]["digest"]), ROWS[-1]["digest"]
    assert VECTORS["checkpoint"] == Checkpoint(origin_of(first), len(ROWS), last).text()


def test_constants_are_the_published_ones() -> None:
    """Domain and beginning of the chain stand in the contract."""
    assert FORMAT["chain"]["domain"].encode() == DOMAIN
    assert bytes.fromhex(FORMAT["chain"]["first_prev"]) == GENESIS


@pytest.mark.parametrize(
    ("table", "seq", "facts"),
    [
        ("event", 1, ("a", "b")),
        ("events", 2, ("a", "b")),
        ("events", 1, ("ab",)),
        ("events", 1, ("b", "a")),
        ("events", 1, ("a", None)),
        ("events", 1, ("a", "b", None)),
    ],
)
def test_every_part_of_a_row_counts(table: str, seq: int, facts: tuple[str | None, ...]) -> None:
    """Table, number, each fact and their order all change the digest."""
    assert link(GENESIS, table, seq, facts) != link(GENESIS, "events", 1, ("a", "b"))


def test_the_row_before_counts() -> None:
    """The same row after another row has another digest."""
    assert link(b"\1" * 32, "events", 1, ()) != link(GENESIS, "events", 1, ())


@pytest.mark.parametrize("fact", ["\udcff", 2**64, object()], ids=["surrogate", "big", "object"])
def test_a_fact_without_a_canonical_form_is_refused(fact: object) -> None:
    """Nothing is linked that another program could encode in another way."""
    with pytest.raises(NotCanonical):
        link(GENESIS, "events", 1, (fact,))  # type: ignore[arg-type]


def test_a_checkpoint_survives_its_text() -> None:
    """What a run writes to a file can be read back, also after a mail program had it."""
    checkpoint = Checkpoint("nxkernel.audit.v1/0123456789abcdef", 12, "ab" * 32)
    assert checkpoint.text() == f"nxkernel.audit.v1/0123456789abcdef\n12\n{'ab' * 32}\n"
    assert Checkpoint.parse(checkpoint.text()) == checkpoint
    assert Checkpoint.parse(checkpoint.text().replace("\n", "\r\n")) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        f"nxkernel.audit.v1/0123456789abcdef\n-1\n{'ab' * 32}\n",
        f"nxkernel.audit.v1/0123456789abcdef\n01\n{'ab' * 32}\n",
        f"nxkernel.audit.v1/0123456789abcdef\n1\n{'ab' * 31}\n",
        f"nxkernel.audit.v1/0123456789abcdef\n1\n{'ab' * 32}\nmore\n",
        f"other/0123456789abcdef\n1\n{'ab' * 32}\n",
    ],
)
def test_anything_else_is_no_checkpoint(text: str) -> None:
    """A file that was edited or mixed up is refused with what was expected."""
    with pytest.raises(AuditError, match="expected three lines") as caught:
        Checkpoint.parse(text)
    assert caught.value.code == "audit.failed"
    with pytest.raises(STANDALONE.Unreadable):
        STANDALONE.parse_checkpoint(text)
