"""What is said of an errand in few steps is what is said of a call in general."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel._canonical import encode, offered, raw_digest, read, sealed, shown
from nxkernel._seeds import call_key, call_keys
from nxkernel._shape import survey
from nxkernel.audit.rows import call_facts, intent_facts
from nxkernel.audit.usual import UsualRows
from nxkernel.dispatch.errand import Errand, Whom
from nxkernel.types import CallId, Digest, HookName, PluginId, Usage
from tests.property.test_values import ANYTHING, PLAIN
from tests.support.calls import FakeClock, a_call

KEYS = st.integers(-3, 3) | st.text(max_size=3) | st.binary(max_size=3)
MICROSECONDS = st.integers(0, 2**40)
WHOM = Whom(
    plugin=PluginId("ocr.rapid"),
    edition=2,
    impl="read",
    hook=HookName("read_tokens"),
    level="confined",
    single=True,
)


class Writer:
    """Keeps the facts that it is given."""

    def __init__(self) -> None:
        self.facts: list[Any] = []

    def intend(self, facts: Any) -> str:
        self.facts.append(facts)
        return "intent"

    def finish(self, intent: Any, facts: Any) -> None:
        assert intent == "intent"
        self.facts.append(facts)


def an_errand(value: Any, key: tuple[Any, ...] | None) -> Errand:
    data = encode({"value": value})
    errand = Errand(WHOM, data, raw_digest(data), None, None, None, lambda _: None)  # type: ignore[arg-type, return-value]
    errand.call_id, errand.key = CallId("7"), key
    return errand


@given(
    value=PLAIN,
    key=st.none() | st.lists(KEYS, max_size=3).map(tuple),
    seed=st.none() | st.binary(min_size=32, max_size=32),
    spent=st.lists(st.integers(0, 10**9), max_size=5),
    used=st.none() | st.builds(Usage, cpu_us=st.none() | MICROSECONDS, rows_read=MICROSECONDS),
    times=st.tuples(MICROSECONDS, MICROSECONDS),
)
def test_rows_have_the_same_facts(
    value: Any, key: Any, seed: bytes | None, spent: list[int], used: Any, times: Any
) -> None:
    """An errand's row is that of its call and of its outcome, whatever they are."""
    clock, writer, errand = FakeClock(), Writer(), an_errand(value, key)
    errand.seed, errand.spent_ns = seed, spent
    errand.output = encode(value)
    errand.shape, errand.instance, errand.used = survey(value, 200, 10**6), 3, used
    errand.output_digest = Digest("sha256:" + raw_digest(errand.output).hex())
    errand.transport_us, errand.plugin_us = times
    rows = UsualRows(WHOM, clock, writer, lambda: None)
    rows.begin(errand)
    rows.end(errand, 99)

    call = a_call(
        {"value": value},
        impl="read",
        edition=2,
        key=(errand.raw, 0) if key is None else key,
    )
    (outcome,) = errand.result()
    assert outcome.call_id == call.call_id
    assert writer.facts == [
        intent_facts(call, clock.wall_ns()),
        call_facts(outcome, 99, spent),
    ]


@given(run=st.binary(min_size=32, max_size=32), digest=st.binary(min_size=32, max_size=32))
def test_seeds_are_the_same(run: bytes, digest: bytes) -> None:
    """What is worked out once for a hook gives the call key of a call that nobody has named."""
    expected = call_key(run, "ocr.rapid", "read", (digest, 0))
    assert call_keys(run, "ocr.rapid", "read")(digest) == expected


@given(value=PLAIN)
def test_what_is_shown_of_bytes_is_what_they_say(value: Any) -> None:
    """Value, types and bounds are those of a careful look; what is not told quickly is not told."""
    data = encode(value)
    shape = shown(data)
    if shape is not None:
        careful = survey(read(data), 200, 10**6).after(data)
        assert shape.value == value
        assert (shape.json, shape.marked) == (careful.json, careful.marked)
        assert (shape.depth, shape.parts) >= (0, careful.parts)
        assert shape.depth >= careful.depth


class Number(int):
    """An integer of a class of its own."""


class Liar(str):
    """A text that is equal to any other."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Kind(enum.IntEnum):
    ONE = 1


ODD = [Number(1), Liar("x"), Kind.ONE, bytearray(b"x"), b"x", memoryview(b"x"), (1,), {1}]
#: Values with parts that are like those of JSON, and are none.
LIKE = st.recursive(
    ANYTHING | st.sampled_from(ODD),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=LIKE)
def test_what_is_offered_is_exactly_of_jsons_types(value: Any) -> None:
    """Bytes and shape are those of the careful ways; what is anything else is none of it."""
    found = offered(value)
    if found is None:
        return
    data, shape = found
    assert sealed(value) == data == encode(value)
    if shape is not None:
        assert shape == shown(data)
        assert survey(value, 200, 10**6).json


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_nothing_odd_is_offered(odd: Any) -> None:
    """Wherever it stands, and whatever it says of itself."""
    large = "x" * 2000
    for value in (odd, [odd], {"a": [1, {"b": odd}]}, [large, odd]):
        found = offered(value)
        assert found is None or (type(odd) is bytes and found[1] is None), value
    assert offered({odd: 1} if isinstance(odd, int | str | bytes) else {1: odd}) is None
    for value in ({"a": [1, {"b": 1.5}]}, [large]):
        assert offered(value) is not None
