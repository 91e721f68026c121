"""Rows in frames and calls in slots."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel._canonical import NotCanonical, encode
from nxkernel.audit.spool.entries import (
    Entry,
    Fact,
    call_entry,
    entry,
    open_call,
    packed,
    read_entry,
    read_open,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FACTS = st.lists(st.none() | st.integers(-(2**63), 2**64 - 1) | TEXT, max_size=9)


@given(FACTS)
def test_a_row_comes_back(facts: list[Fact]) -> None:
    """With the same facts, of the same types."""
    assert read_entry(entry("events", facts)) == Entry("events", 0, tuple(facts))


@given(FACTS, FACTS, st.integers(1, 2**40))
def test_a_call_comes_back_in_one_piece(before: list[Fact], after: list[Fact], n: int) -> None:
    """What was known before it and what came after it are the facts of one row."""
    payload = call_entry(encode("calls"), encode(n), packed(before), packed(after))
    assert read_entry(payload) == Entry("calls", n, (*before, *after))
    assert read_open(open_call(encode(n), packed(before))) == (n, tuple(before))


@pytest.mark.parametrize("fact", ["\udcff", object(), 2**64, -(2**63) - 1])
def test_what_has_no_canonical_form_is_refused(fact: object) -> None:
    """As everywhere else."""
    with pytest.raises(NotCanonical):
        packed([fact])  # type: ignore[list-item]


@pytest.mark.parametrize("payload", [b"", b"\x94", encode(["calls", 1, [1.5], []]), encode([1])])
def test_anything_else_is_no_row(payload: bytes) -> None:
    """A whole frame may still hold nonsense."""
    with pytest.raises(msgspec.DecodeError):
        read_entry(payload)
