"""Frames that no honest worker sends, made from ones that it does; and a second opinion on them.

:class:`Mutator` knows the shape of a message and breaks it in one place. :func:`judge` says what
the host has to make of a byte stream, by a reading of the wire protocol of its own: it shares no
decoder with the host.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
import struct
from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ["FIELDS", "ODD", "Mutator", "belong", "frame", "is_canonical", "judge", "message_in"]

LENGTH = struct.Struct("<I")
MEDIA = re.compile(rb"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")
#: Deepest nesting of a canonical value.
DEPTH = 200
#: What the fields of each message are, after its name.
FIELDS: dict[str, tuple[type, ...]] = {
    "Hello": (int, dict),
    "Compiled": (str, bytes),
    "Ready": (list,),
    "Refused": (str, str, bytes),
    "Result": (int, bytes, int, list),
    "Failure": (int, str, str, bytes, str, int),
    "Denied": (int, list, list),
    "Drawn": (int, list),
    "Broker": (int, int, str, bytes, int, list),
    "Pong": (int,),
}
#: Values of every type, among them the ends of the ranges.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 127, 128, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64 - 1),
    *(0.0, -0.0, 1.0, 1.5, math.inf, -math.inf, math.nan),
    *("", "x", "Result", "é", "\0", "x" * 5000, b"", b"\xc0", b"\xff" * 300),
    *([], {}, [[]], [None] * 100, {"a": 1}, {1: 2}, {"": {}}, ["Result", 1, b"\xc0", 0, []]),
)
#: Bytes that are no canonical value, or one at its limit.
PAYLOADS: tuple[bytes, ...] = (
    *(b"", b"\xc0\xc0", b"\xc1", b"\xd4\x05\x00", b"\xd6\xff\0\0\0\1", b"\xc7\x0c\xff" + bytes(12)),
    *(b"\x82\xa1a\x01\xa1a\x02", b"\x82\xa1b\x01\xa1a\x02", b"\x81\x01\x02", b"\xcd\x00\x01"),
    *(b"\xca\0\0\0\0", b"\xcb\x7f\xf8" + bytes(6), b"\xcb\x7f\xf0" + bytes(6), b"\xcb" + bytes(8)),
    *(b"\xa1\xff", b"\xa3\xed\xa0\x80", b"\xd9\x01x", b"\xc5\x00\x01x", b"\xdc\x00\x01\xc0"),
    *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff"),
    *(b"\x91" * 200 + b"\xc0", b"\x91" * 201 + b"\xc0", b"\x91" * 5000 + b"\xc0"),
    *(b"\x81\xa0" * 200 + b"\xc0", b"\x81\xa0" * 3000 + b"\xc0", b"\xcf" + b"\xff" * 8),
)


def frame(body: bytes) -> bytes:
    """*body* with its length before it."""
    return LENGTH.pack(len(body)) + body


class Mutator:
    """Breaks messages, each in one way, from its own dice."""

    def __init__(self, dice: random.Random, corpus: list[bytes]) -> None:
        self._dice = dice
        #: Bodies of recorded frames.
        self._corpus = corpus
        self._ways: tuple[Callable[[list[Any]], bytes], ...] = (
            *(self._field, self._field, self._field, self._drop, self._add, self._swap),
            *(self._tag, self._payload, self._payload, self._payload, self._bit, self._bit),
            *(self._cut, self._length, self._recorded, self._garbage, self._nested),
        )

    def break_(self, message: list[Any]) -> bytes:
        """A byte stream that *message*, or another one in its place, has become."""
        return self._dice.choice(self._ways)(list(message))

    def _pack(self, message: list[Any]) -> bytes:
        return frame(msgspec.msgpack.encode(message))

    def _field(self, message: list[Any]) -> bytes:
        message[self._dice.randrange(len(message))] = self._dice.choice(ODD)
        return self._pack(message)

    def _drop(self, message: list[Any]) -> bytes:
        del message[self._dice.randrange(len(message))]
        return self._pack(message)

    def _add(self, message: list[Any]) -> bytes:
        message.insert(self._dice.randrange(len(message) + 1), self._dice.choice(ODD))
        return self._pack(message)

    def _swap(self, message: list[Any]) -> bytes:
        self._dice.shuffle(message)
        return self._pack(message)

    def _tag(self, message: list[Any]) -> bytes:
        others = (
            *FIELDS,
            "Invoke",
            "Reply",
            "Stop",
            "Confine",
            "Setup",
            "Forsake",
            "Ping",
            "result",
            "R",
        )
        message[0] = self._dice.choice(others)
        return self._pack(message)

    def _payload(self, message: list[Any]) -> bytes:
        places = [n for n, field in enumerate(message) if isinstance(field, bytes)]
        if not places:
            return self._field(message)
        place = self._dice.choice(places)
        old = message[place]
        ways = (
            lambda: self._dice.choice(PAYLOADS),
            lambda: self._dice.randbytes(self._dice.randrange(40)),
            lambda: _flipped(old, self._dice),
            lambda: old[: self._dice.randrange(len(old) + 1)],
            lambda: old + self._dice.randbytes(1),
        )
        message[place] = self._dice.choice(ways)()
        return self._pack(message)

    def _bit(self, message: list[Any]) -> bytes:
        return _flipped(self._pack(message), self._dice)

    def _cut(self, message: list[Any]) -> bytes:
        whole = self._pack(message)
        return whole[: self._dice.randrange(len(whole))]

    def _length(self, message: list[Any]) -> bytes:
        body = self._pack(message)[LENGTH.size :]
        near = len(body) + self._dice.choice((-2, -1, 1, 2))
        lengths = (0, 1, near, 2**16, 2**20, 2**20 + 1, 2**31, 2**32 - 1)
        return LENGTH.pack(max(0, self._dice.choice(lengths))) + body

    def _recorded(self, message: list[Any]) -> bytes:
        """What some worker once said in some place, as it was or with a bit of it turned."""
        whole = frame(self._dice.choice(self._corpus))
        return whole if self._dice.random() < 0.5 else _flipped(whole, self._dice)

    def _garbage(self, message: list[Any]) -> bytes:
        body = self._dice.randbytes(self._dice.randrange(1, 60))
        return body if self._dice.random() < 0.3 else frame(body)

    def _nested(self, message: list[Any]) -> bytes:
        head = msgspec.msgpack.encode(message[0])
        opener = self._dice.choice((b"\x91", b"\x81\xa0", b"\xdc\x00\x01"))
        deep = opener * self._dice.choice((1, 100, 1000, 10_000)) + b"\xc0"
        return frame(bytes([0x90 + len(message)]) + head + deep * (len(message) - 1))


def _flipped(data: bytes, dice: random.Random) -> bytes:
    if not data:
        return b"\x00"
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 8))):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


# -- a second opinion ----------------------------------------------------------------------------


class _Bad(Exception):
    """Not what it has to be."""


class _Reader:
    """Reads MessagePack value by value; *strict* reads canonical bytes and nothing else."""

    def __init__(self, data: bytes, *, strict: bool) -> None:
        self._data, self._at, self._strict = data, 0, strict
        #: Name and size of the blobs that are referred to.
        self.blobs: set[tuple[bytes, int]] = set()

    def whole(self) -> Any:
        value = self._value(0)
        if self._at != len(self._data):
            raise _Bad
        return value

    def _take(self, count: int) -> bytes:
        if len(self._data) - self._at < count:
            raise _Bad
        self._at += count
        return self._data[self._at - count : self._at]

    def _number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self._take(size), "big", signed=signed)

    def _value(self, depth: int) -> Any:
        (head,) = self._take(1)
        if head < 0x80:
            return head
        if head >= 0xE0:
            return head - 0x100
        if head < 0x90:
            return self._map(head & 0x0F, depth)
        if head < 0xA0:
            return self._list(head & 0x0F, depth)
        if head < 0xC0:
            return self._text(head & 0x1F)
        return self._marked(head, depth)

    def _marked(self, head: int, depth: int) -> Any:
        if head in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[head]
        if 0xCA <= head <= 0xD3:
            return self._float(head) if head <= 0xCB else self._int(head)
        if head == 0xC7 and self._strict:
            return self._reference(self._number(1))
        sizes = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4}
        size = {**sizes, 0xDE: 2, 0xDF: 4}.get(head)
        if size is None:
            raise _Bad  # an extension, or the one byte that means nothing
        count = self._number(size)
        fix = {0xD9: 31, 0xDA: 255, 0xDB: 65535, 0xC5: 255, 0xC6: 65535}
        least = {**fix, 0xDC: 15, 0xDD: 65535, 0xDE: 15, 0xDF: 65535}.get(head, -1)
        if self._strict and count <= least:
            raise _Bad  # a shorter header says the same
        if head <= 0xC6:
            return self._take(count)
        if head <= 0xDB:
            return self._text(count)
        return self._list(count, depth) if head <= 0xDD else self._map(count, depth)

    def _reference(self, count: int) -> bytes:
        code, body = self._take(1), self._take(count)
        if code != b"\x01" or not MEDIA.fullmatch(body[40:]):
            raise _Bad
        self.blobs.add((body[:32], int.from_bytes(body[32:40], "little")))
        return body

    def _float(self, head: int) -> float:
        if self._strict and head == 0xCA:
            raise _Bad
        form = ">f" if head == 0xCA else ">d"
        value: float = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        if self._strict and not math.isfinite(value):
            raise _Bad
        return value

    def _int(self, head: int) -> int:
        size = 1 << ((head - 0xCC) % 4)
        signed = head >= 0xD0
        value = self._number(size, signed=signed)
        if self._strict:
            smaller = {1: -32 if signed else 127, 2: None, 4: None, 8: None}[size]
            bits = 8 * size // 2
            fits = (
                value >= (smaller or 0) if signed and size == 1
                else value >= -(1 << (bits - 1)) if signed
                else value <= (smaller if smaller is not None else (1 << bits) - 1)
            )  # fmt: skip
            if fits:
                raise _Bad  # a smaller form, or an unsigned one, says the same
        return value

    def _text(self, count: int) -> str:
        try:
            return self._take(count).decode("utf-8")
        except UnicodeDecodeError:
            raise _Bad from None

    def _list(self, count: int, depth: int) -> list[Any]:
        self._deeper(count, depth)
        return [self._value(depth + 1) for _ in range(count)]

    def _map(self, count: int, depth: int) -> dict[Any, Any]:
        self._deeper(count, depth)
        found: dict[Any, Any] = {}
        last = None
        for _ in range(count):
            key = self._value(depth + 1)
            if isinstance(key, list | dict):
                raise _Bad
            if self._strict and (not isinstance(key, str) or (last is not None and key <= last)):
                raise _Bad
            found[key] = self._value(depth + 1)
            last = key
        return found

    def _deeper(self, count: int, depth: int) -> None:
        if depth + 1 > DEPTH or count > len(self._data):
            raise _Bad


def is_canonical(data: bytes) -> bool:
    """Whether *data* is the canonical form of one value, read by hand."""
    return belong(data, [])


def belong(data: bytes, pieces: list[Any]) -> bool:
    """Whether *data* is that of one value which refers to the blobs *pieces* and to no others."""
    reader = _Reader(data, strict=True)
    try:
        reader.whole()
    except _Bad:
        return False
    if any(piece[0] != "Inline" for piece in pieces):
        return False  # no arena is there in which a slice could lie
    if any(hashlib.sha256(piece[2]).digest() != piece[1] for piece in pieces):
        return False
    came = [(piece[1], len(piece[2])) for piece in pieces]
    return len(set(came)) == len(came) and set(came) == reader.blobs


def message_in(body: bytes) -> list[Any] | None:
    """The message in *body*, or None if it holds none."""
    try:
        message = _Reader(body, strict=False).whole()
    except _Bad:
        return None
    if not isinstance(message, list) or not message or not isinstance(message[0], str):
        return None
    fields = FIELDS.get(message[0])
    if fields is None or len(fields) != len(message) - 1:
        return None
    if not all(type(got) is wanted for got, wanted in zip(message[1:], fields, strict=True)):
        return None
    return message if _inside(message) else None


def _inside(message: list[Any]) -> bool:
    """Whether what Hello and Ready carry is of the right shape too."""
    if message[0] == "Hello":
        return all(isinstance(x, str) for pair in message[2].items() for x in pair)
    if message[0] == "Ready":
        return all(_is_impl(each) for each in message[1])
    if message[0] == "Denied":
        return all(_is_pair(each) for told in message[2:] for each in told)
    if message[0] == "Drawn":
        return all(_is_draw(each) for each in message[2])
    if message[0] in ("Result", "Broker"):
        return len(message[-1]) <= 1024 and all(map(_is_piece, message[-1]))
    return True


def _is_piece(given: Any) -> bool:
    shapes = (["Inline", bytes, bytes], ["Slice", bytes, int, int])
    if not isinstance(given, list) or not given:
        return False
    return [given[0], *map(type, given[1:])] in shapes


def _is_pair(given: Any) -> bool:
    return isinstance(given, list) and [type(each) for each in given] == [str, str]


def _is_draw(given: Any) -> bool:
    return isinstance(given, list) and [type(each) for each in given] == [str, str, str, bool]


def _is_impl(given: Any) -> bool:
    if not isinstance(given, list) or len(given) != 9:
        return False
    names = all(isinstance(x, list) and all(isinstance(y, str) for y in x) for x in given[2:4])
    return (
        names and all(type(x) is str for x in given[:2]) and all(type(x) is bool for x in given[4:])
    )


def judge(stream: bytes, seq: int, max_frame: int, *, told: tuple[str, ...] = ()) -> str:
    """What becomes of call *seq* whose worker says *stream* and then closes its end."""
    if len(stream) < LENGTH.size:
        return "plugin.crashed"
    (length,) = LENGTH.unpack_from(stream)
    if length > max_frame:
        return "protocol.violation"
    body, rest = stream[LENGTH.size :][:length], stream[LENGTH.size + length :]
    if len(body) < length:
        return "plugin.crashed"
    message = message_in(body)
    if message is None:
        return "protocol.violation"
    accounts = ("Denied", "Drawn")  # in this order
    if message[0] in accounts and message[1] == seq and not {*told} & {message[0], "Drawn"}:
        return judge(rest, seq, max_frame, told=(*told, message[0]))
    return _judged(message, rest, seq)


def _judged(message: list[Any], rest: bytes, seq: int) -> str:
    name, first, *fields = message
    if name == "Broker":  # one that waits for its reply has nothing more to say
        good = fields[0] == seq and not rest and (not fields[-1] or belong(fields[2], fields[-1]))
        return "brokered" if good else "protocol.violation"
    if name not in ("Result", "Failure") or first != seq:
        return "protocol.violation"
    if name == "Result":
        return "ok" if belong(fields[0], fields[-1]) else "protocol.violation"
    known = (
        "plugin.raised",
        "contract.output",
        "provider.not_applicable",
        "determinism.blocked",
    )
    return fields[0] if fields[0] in known else "plugin.raised"
