"""The wire: frames and messages have exactly these bytes, and nothing else is taken for one."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel import _wire
from nxkernel._wire import (
    Inbox,
    Pong,
    pack,
    unpack_from_host,
    unpack_from_worker,
)
from nxkernel.errors import ProtocolViolation
from tests.support.vectors import value_of

ROOT = Path(__file__).resolve().parents[2]
VECTORS = json.loads((ROOT / "contracts" / "wire-vectors.json").read_bytes())
UNPACK = {"host": unpack_from_host, "worker": unpack_from_worker}
CLASSES = {"host": _wire.FromHost.__args__, "worker": _wire.FromWorker.__args__}  # type: ignore[attr-defined]


def test_every_message_has_a_vector() -> None:
    """The published vectors cover the whole protocol, at its version."""
    assert VECTORS["version"] == _wire.VERSION
    for side, classes in CLASSES.items():
        named = {v["message"][0] for v in VECTORS["messages"] if v["from"] == side}
        assert named == {cls.__name__ for cls in classes}
    assert len(VECTORS["refused"]) >= 20


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda v: v["name"])
def test_a_message_has_exactly_these_bytes(vector: dict[str, Any]) -> None:
    """Framed and unframed, in both directions, and as any MessagePack reader sees it."""
    frame, expected = bytes.fromhex(vector["frame"]), value_of(vector["message"])
    assert struct.unpack("<I", frame[:4]) == (len(frame) - 4,)
    assert msgspec.msgpack.decode(frame[4:]) == expected
    message = UNPACK[vector["from"]](frame[4:])
    assert type(message).__name__ == expected[0]
    assert pack(message) == frame


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda v: v["name"])
def test_what_is_no_message_is_refused(vector: dict[str, Any]) -> None:
    """By the one exception that ends a worker, with words that do not vary."""
    body = bytes.fromhex(vector["body"]) * vector.get("repeat", 1)
    with pytest.raises(ProtocolViolation) as caught:
        unpack_from_worker(body)
    assert caught.value.message == "a frame holds no message of the protocol"


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda v: v["name"])
def test_the_directions_are_told_apart(vector: dict[str, Any]) -> None:
    """What one side may say, the other one may not."""
    other = {"host": "worker", "worker": "host"}[vector["from"]]
    with pytest.raises(ProtocolViolation):
        UNPACK[other](bytes.fromhex(vector["frame"])[4:])


@given(st.binary(max_size=80))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    """Nothing that a worker can send raises anything else."""
    try:
        message = unpack_from_worker(body)
    except ProtocolViolation:
        return
    assert isinstance(message, CLASSES["worker"])


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([cls.__name__ for side in CLASSES.values() for cls in side])


@given(names, st.lists(plain, max_size=7))
def test_any_fields_are_a_message_or_refused(name: str, fields: list[Any]) -> None:
    """A right name with wrong fields is refused, and what is taken means what was sent."""
    body = msgspec.msgpack.encode([name, *fields])
    try:
        message = unpack_from_worker(body)
    except ProtocolViolation:
        return
    assert msgspec.msgpack.decode(pack(message)[4:]) == [name, *fields]


def test_a_message_cut_anywhere_is_refused() -> None:
    """No beginning of a message is a message."""
    for vector in VECTORS["messages"]:
        body = bytes.fromhex(vector["frame"])[4:]
        for end in range(len(body)):
            with pytest.raises(ProtocolViolation):
                UNPACK[vector["from"]](body[:end])


# -- frames ----------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=50), max_size=10), st.integers(1, 7))
def test_frames_are_cut_out_of_any_pieces(bodies: list[bytes], size: int) -> None:
    """The bodies come out as they went in, however the stream is cut."""
    inbox, got = Inbox(50), []
    stream = b"".join(struct.pack("<I", len(body)) + body for body in bodies)
    for start in range(0, len(stream), size):
        inbox.feed(stream[start : start + size])
        while (body := inbox.next()) is not None:
            got.append(body)
    assert got == bodies
    assert inbox.empty


def test_a_length_is_believed_up_to_the_limit() -> None:
    """One byte more is refused when the header is there, not when the bytes are."""
    inbox = Inbox(10)
    inbox.feed(struct.pack("<I", 10) + bytes(10))
    assert inbox.next() == bytes(10)
    inbox.feed(struct.pack("<I", 11))
    with pytest.raises(ProtocolViolation, match="announces 11 bytes; the limit is 10"):
        inbox.next()


def test_what_is_missing_is_known_once_the_header_is() -> None:
    """Readers ask for as much as the frame lacks, and never for more than the limit."""
    inbox = Inbox(1000)
    wanted = []
    for piece in (b"", b"\x10\x00", b"\x00\x00", b"x" * 15, b"x"):
        inbox.feed(piece)
        wanted.append(inbox.missing)
    assert wanted == [0, 0, 16, 1, 0]
    liar = Inbox(1000)
    liar.feed(b"\xff\xff\xff\xff")
    assert liar.missing == 1000


def test_the_page_names_every_message_and_its_fields() -> None:
    """The reference and the code say the same, field by field."""
    page = (ROOT / "docs" / "reference" / "wire-protocol.md").read_text()
    tables = page.partition("\n## Order")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ?([\w, ]*)\|", tables, re.MULTILINE))
    for classes in CLASSES.values():
        for cls in classes:
            fields = [name.strip() for name in rows.pop(cls.__name__).split(",") if name.strip()]
            assert fields == list(cls.__struct_fields__)
    assert rows == {}
    assert f"Version {_wire.VERSION}." in page


def test_a_message_is_framed_by_its_length() -> None:
    """The smallest frame of all, byte by byte."""
    assert pack(Pong(1)) == b"\x07\x00\x00\x00" + b"\x92\xa4Pong\x01"
