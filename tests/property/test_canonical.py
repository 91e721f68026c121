"""Canonical bytes: one value, one encoding, and no other bytes are taken for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel import _canonical
from nxkernel._blob import Blob
from nxkernel._shape import survey

TEXT = st.text()  # hypothesis makes no lone surrogates unless asked to
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.binary()
    | st.builds(Blob, st.binary(), st.sampled_from(["a/b", "image/png"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


def reordered(value: Any) -> Any:
    """The same value, with the keys of every dict put in the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(VALUES)
def test_round_trip(value: Any) -> None:
    """What is encoded decodes to an equal value of the same types."""
    data = _canonical.encode(value)
    blobs = _canonical.blobs_of(value, data)
    assert tagged(_canonical.decode(data, blobs)) == tagged(value)


@given(VALUES)
def test_order_of_keys_does_not_count(value: Any) -> None:
    """Equal values have equal bytes, whatever the history of their dicts."""
    assert _canonical.encode(value) == _canonical.encode(reordered(value))


@given(VALUES, VALUES)
def test_different_values_have_different_bytes(one: Any, other: Any) -> None:
    """Bytes are equal only where type and value are."""
    same = _canonical.encode(one) == _canonical.encode(other)
    assert same == (tagged(one) == tagged(other))


def tagged(value: Any) -> Any:
    """A form in which 1, 1.0, True and -0.0 are told apart."""
    if isinstance(value, dict):
        return ("dict", [(key, tagged(value[key])) for key in sorted(value)])
    if isinstance(value, list):
        return ("list", [tagged(item) for item in value])
    return (type(value).__name__, value.hex() if isinstance(value, float) else value)


@given(st.binary(max_size=64))
def test_any_bytes_are_canonical_or_refused(data: bytes) -> None:
    """Bytes from a worker either are the one encoding of their value, or are refused."""
    try:
        value = _canonical.decode(data)
    except _canonical.NotCanonical:
        return
    assert _canonical.encode(value) == data


@given(VALUES, st.data())
def test_one_changed_byte_is_another_value_or_refused(value: Any, data: Any) -> None:
    """No byte is idle: changing it changes the value, or the bytes are no longer accepted."""
    encoded = bytearray(_canonical.encode(value))
    blobs = _canonical.blobs_of(value, bytes(encoded))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        changed = _canonical.decode(bytes(encoded), blobs)
    except _canonical.NotCanonical:
        return
    assert tagged(changed) != tagged(value)


@given(st.integers(-128, 127), st.binary(max_size=20))
def test_extensions_are_refused(code: int, data: bytes) -> None:
    """No extension type gets through, at any depth."""
    extension = msgspec.msgpack.encode(msgspec.msgpack.Ext(code, data))
    for wrapped in (extension, b"\x91" + extension, b"\x81\xa1k" + extension):
        with pytest.raises(_canonical.NotCanonical):
            _canonical.decode(wrapped)


#: Bytes that are nearly those of a value: some are changed, cut or repeated.
@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    data = bytearray(_canonical.encode(draw(VALUES)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


@given(nearly() | st.binary(max_size=40))
def test_quick_decoding_refuses_what_careful_decoding_refuses(data: bytes) -> None:
    """Whatever the bytes are: the same value, or the same words."""
    with pytest.MonkeyPatch.context() as patch:
        quick = decoded(data)
        patch.setattr(_canonical, "_quickly", lambda data: None)
        assert decoded(data) == quick
        patch.setattr(_canonical, "_proven", lambda value, data: None)
        assert decoded(data) == quick


@given(VALUES, st.integers(5, 8))
def test_more_levels_than_types_are_made_for(value: Any, levels: int) -> None:
    """A value is decoded the same, and its shape holds, however many levels it has."""
    for _ in range(levels):
        value = {"a": [value]}
    data = _canonical.encode(value)
    shape = _canonical.surveyed(data, _canonical.blobs_of(value, data))
    assert tagged(shape.value) == tagged(value)
    exact = survey(value, 200, 10**6)
    assert (shape.json, shape.marked) == (exact.json, exact.after(data).marked)
    assert shape.depth >= exact.depth
    assert shape.parts >= exact.parts


def decoded(data: bytes) -> Any:
    try:
        return tagged(_canonical.decode(data))
    except _canonical.NotCanonical as error:
        return str(error)


@given(VALUES)
def test_what_is_read_is_what_was_written(value: Any) -> None:
    """Reading without proof gives the value of canonical bytes."""
    data = _canonical.encode(value)
    assert tagged(_canonical.read(data, _canonical.blobs_of(value, data))) == tagged(value)


@given(VALUES)
def test_what_is_seen_of_bytes_holds(value: Any) -> None:
    """Depth and parts that short bytes tell are bounds, and nothing but JSON is taken for it."""
    data = _canonical.encode(value)
    shape = survey(value, 200, 10**6)
    for seen in (_canonical.seen(value, data), _canonical.seen(value)):
        if seen is not None:
            assert shape.json
            assert seen.depth >= shape.depth
            assert seen.parts >= shape.parts
            assert seen.counted() == shape.after(data)
