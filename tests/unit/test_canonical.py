"""Canonical bytes are the published ones, and nothing else is accepted for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nxkernel import _canonical
from nxkernel._blob import Blob, name_of
from tests.support.vectors import value_of

VECTORS = json.loads(
    (Path(__file__).resolve().parents[2] / "contracts" / "canonical-vectors.json").read_bytes()
)
PICTURE = Blob(b"\x89PNG", "image/png")


def test_there_are_vectors() -> None:
    """The golden corpus has values, each with bytes of its own, and refusals."""
    assert len({v["hex"] for v in VECTORS["values"]}) == len(VECTORS["values"]) >= 40
    assert len(VECTORS["refused"]) >= 20


@pytest.mark.parametrize("vector", VECTORS["values"], ids=lambda v: v["name"])
def test_vector(vector: dict[str, Any]) -> None:
    """A value has exactly these bytes and this digest, and they decode to it."""
    value, data = value_of(vector["value"]), bytes.fromhex(vector["hex"])
    assert _canonical.encode(value) == data
    decoded = _canonical.decode(data, _canonical.blobs_of(value, data))
    assert decoded == value
    assert type(decoded) is type(value)
    assert _canonical.digest(data) == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda v: v["name"])
def test_refused(vector: dict[str, Any]) -> None:
    """Bytes that are malformed, or one of several encodings, are refused."""
    for blobs in ({}, {name_of(PICTURE): PICTURE}):
        with pytest.raises(_canonical.NotCanonical):
            _canonical.decode(bytes.fromhex(vector["hex"]), blobs)


@pytest.mark.parametrize("count", [15, 16, 65535, 65536])
@pytest.mark.parametrize("kind", [str, bytes, list], ids=["str", "bytes", "list"])
def test_lengths_around_a_head(count: int, kind: type) -> None:
    """Every size of head is written and read."""
    value = {str: "x" * count, bytes: b"x" * count, list: [None] * count}[kind]
    assert _canonical.decode(_canonical.encode(value)) == value


@pytest.mark.parametrize(
    "value",
    [2**64, -(2**63) - 1, "\ud800", {"k": "\udfff"}, object(), 1j, {1: 2}, {b"k": 1}],
    ids=lambda value: ascii(value)[:20],
)
def test_values_without_a_form(value: Any) -> None:
    """What MessagePack lacks has no canonical form."""
    with pytest.raises(_canonical.NotCanonical):
        _canonical.encode(value)


def test_a_cycle_has_no_form() -> None:
    """A list that holds itself ends in an error, not in the stack."""
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(_canonical.NotCanonical):
        _canonical.encode(cycle)


def test_depth_limit() -> None:
    """200 levels are accepted and 201 are not."""
    assert _canonical.decode(b"\x91" * 199 + b"\x90")
    with pytest.raises(_canonical.NotCanonical, match="deeper than 200"):
        _canonical.decode(b"\x91" * 200 + b"\x90")


def test_depth_bomb() -> None:
    """A hundred thousand levels are refused without touching the stack's end."""
    with pytest.raises(_canonical.NotCanonical):
        _canonical.decode(b"\x91" * 100_000 + b"\x90")


@pytest.mark.parametrize("text", ["\x7f\u00f0", "\u00d6\u00ff", "\u00c7\x0c\u00ff"])
def test_text_that_looks_suspicious_passes(text: str) -> None:
    """Bytes inside a text that read like an infinity or a timestamp are text."""
    data = text.encode("latin-1")
    for value in [data, b"\xcb" + data, [data, 1.5], text, {text: text}]:
        assert _canonical.decode(_canonical.encode(value)) == value


def test_domains_keep_digests_apart() -> None:
    """Equal bytes in another domain have another digest, and the digest is of all bytes."""
    assert _canonical.digest(b"x") != _canonical.digest(b"x", b"nx.other.v1\0")
    assert _canonical.digest(b"x") != _canonical.digest(b"x\0")
    assert _canonical.digest(b"x") == "sha256:" + _canonical.raw_digest(b"x").hex()
