"""What a frame and a slot say: rows without the numbers that only the database can give.

A row is ``[table, number, facts, more]``: of a call, *number* is that of its intent in its spool
and *facts* are what was known before it was made, so that they are encoded once. Of any other row
*number* is 0 and *more* empty. A slot holds ``[number, facts]``. ``run``, the first fact of every
table but ``runs``, is left out: the run's row is the first of its spool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import msgspec

from nxkernel._canonical import encode

__all__ = [
    "Entry",
    "Fact",
    "call_entry",
    "entry",
    "has_too_large",
    "open_call",
    "packed",
    "read_entry",
    "read_open",
]

#: What a row of a run is made of; only the database itself writes bytes.
Fact = int | str | None
_ROW, _OPEN = b"\x94", b"\x92"  # an array of four, an array of two
_NO_NUMBER, _NO_MORE = encode(0), encode([])
_LARGEST = 2**63 - 1
_rows = msgspec.msgpack.Decoder(tuple[str, int, list[Fact], list[Fact]])
_opens = msgspec.msgpack.Decoder(tuple[int, list[Fact]])


@attrs.frozen
class Entry:
    """One row as a spool has it."""

    table: str
    #: Number of the call's intent in its spool, from 1; 0 for what is no call.
    number: int
    #: In the order of the table's columns, without ``run``.
    facts: tuple[Fact, ...]
    #: Offset behind its frame.
    end: int = attrs.field(default=0, eq=False)


def packed(facts: Sequence[Fact]) -> bytes:
    """Return *facts* encoded, fit for the functions below.

    Whether its table takes them is the drainer's to find out: the caller does not wait for that.

    Raises:
        NotCanonical: for text with a lone surrogate, or an integer beyond 64 bits.
    """
    return encode(facts)


def has_too_large(facts: Iterable[object]) -> bool:
    """Whether a number among *facts* is one that MessagePack has room for and SQLite has not."""
    return any(type(fact) is int and fact > _LARGEST for fact in facts)


def entry(table: str, facts: Sequence[Fact]) -> bytes:
    """Return the payload of a row that is no call; raises as :func:`packed`."""
    return b"".join((_ROW, encode(table), _NO_NUMBER, packed(facts), _NO_MORE))


def call_entry(table: bytes, number: bytes, before: bytes, after: bytes) -> bytes:
    """Return the payload of a call's row; all four are encoded already."""
    return b"".join((_ROW, table, number, before, after))


def open_call(number: bytes, before: bytes) -> bytes:
    """Return what a slot says of a call in flight."""
    return b"".join((_OPEN, number, before))


def read_entry(payload: bytes | memoryview, end: int = 0) -> Entry:
    """Return what :func:`entry` or :func:`call_entry` wrote, in a frame that ends at *end*.

    Raises:
        msgspec.DecodeError: for anything else.
    """
    table, number, facts, more = _rows.decode(payload)
    return Entry(table, number, (*facts, *more), end)


def read_open(payload: bytes | memoryview) -> tuple[int, tuple[Fact, ...]]:
    """Return number and facts of a call in flight; raises as :func:`read_entry`."""
    number, facts = _opens.decode(payload)
    return number, tuple(facts)
