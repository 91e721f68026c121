"""Counts the values in MessagePack without building them.

A byte of a payload can become eighty bytes of Python: an empty map is one byte. A frame that is
within its bound could so be gigabytes to whoever decodes it, and seconds in which no other thread
runs. So large payloads are counted first, and what has too many values is never built.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_VALUES", "has_too_many"]

#: Most values in one payload: elements, keys and containers, each counts as one.
MAX_VALUES: Final = 1 << 20
#: Payloads up to this many bytes are not counted: the worst of them is 20 MiB of Python.
_FREE: Final = 1 << 18


def _table() -> list[tuple[int, int]]:
    """For each first byte: what the value takes at least, and how wide the length after it is."""
    found = [(1, 0)] * 256  # small integers, nil, booleans; heads of short maps and lists
    for length in range(32):
        found[0xA0 + length] = (1 + length, 0)
    for heads, base in (((0xC4, 0xC5, 0xC6), 0), ((0xC7, 0xC8, 0xC9), 1), ((0xD9, 0xDA, 0xDB), 0)):
        for head, width in zip(heads, (1, 2, 4), strict=True):
            found[head] = (1 + width + base, width)
    fixed = {0xCA: 5, 0xCB: 9, 0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5}
    fixed |= {0xCC + n: 1 + (1 << n % 4) for n in range(8)}
    fixed |= {0xD4 + n: 2 + (1 << n) for n in range(5)}
    for head, size in fixed.items():
        found[head] = (size, 0)
    return found


_TABLE: Final = _table()


def has_too_many(data: bytes) -> bool:
    """Whether *data* holds more than :data:`MAX_VALUES` values.

    Reads heads and skips bodies; bytes that are no MessagePack are left to the decoder.
    """
    size = len(data)
    if size <= _FREE:
        return False
    table, at, left = _TABLE, 0, MAX_VALUES
    while at < size:
        if not left:
            return True
        left -= 1
        step, width = table[data[at]]
        if width:
            step += int.from_bytes(data[at + 1 : at + 1 + width], "big")
        at += step
    return False
