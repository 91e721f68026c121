"""Values cross unchanged or are refused; the border has no third way."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel._canonical import decode, encode, sealed
from nxkernel._values import lift, lower, lower_arguments, packed, packed_arguments
from nxkernel.errors import CallRejected
from nxkernel.middleware.contracts import as_json
from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas.annotated import schema_of

#: Text in which lone surrogates are as likely as letters.
WILD = st.text(st.sampled_from('ab ."\\]é\n0_\ud800') | st.characters())
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | WILD
    | st.binary()
    | st.sampled_from([{1}, object, 1j, Decimal(1), uuid.UUID(int=0), bytearray()]),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(WILD | st.integers(), inner)
    ),
    max_leaves=12,
)


class Kind(enum.Enum):
    WORD = "word"
    LINE = 2


@attrs.frozen
class Span:
    start: int
    end: int


@dataclasses.dataclass
class Page:
    id: uuid.UUID
    at: datetime
    kind: Kind
    score: Decimal
    spans: list[Span]
    best: Span | None
    sizes: dict[str, tuple[int, float]]
    tags: frozenset[str]
    extra: Any
    below: list[Page]


INT64 = st.integers(-(2**63), 2**63 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SPANS = st.builds(Span, INT64, INT64)
PLAIN = st.recursive(
    st.none() | st.booleans() | INT64 | FINITE | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def pages(below: st.SearchStrategy[list[Page]]) -> st.SearchStrategy[Page]:
    return st.builds(
        Page,
        id=st.uuids(),
        at=st.datetimes(timezones=ZONES),
        kind=st.sampled_from(Kind),
        score=st.decimals(allow_nan=False, allow_infinity=False),
        spans=st.lists(SPANS, max_size=3),
        best=st.none() | SPANS,
        sizes=st.dictionaries(st.text(), st.tuples(INT64, FINITE), max_size=2),
        tags=st.frozensets(st.text(), max_size=3),
        extra=PLAIN,
        below=below,
    )


PAGES = pages(st.just([])) | pages(st.lists(pages(st.just([])), max_size=2))


def expected(value: Any, depth: int = 0) -> Any:
    """What should arrive for a plain value, written as simply as can be; else LookupError."""
    if depth > 200:
        raise LookupError
    if type(value) in (list, tuple):
        return [expected(item, depth + 1) for item in value]
    if type(value) is dict:
        return {text(key): expected(item, depth + 1) for key, item in value.items()}
    if type(value) is str:
        return text(value)
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise LookupError
    if type(value) is float and (value != value or abs(value) == float("inf")):
        raise LookupError
    if type(value) not in (type(None), bool, int, float, bytes):
        raise LookupError
    return value


def text(value: Any) -> str:
    if type(value) is not str or any("\ud800" <= char <= "\udfff" for char in value):
        raise LookupError
    return value


def sent(value: Any) -> Any:
    return decode(encode(value))


@given(ANYTHING)
def test_the_table_of_values(value: Any) -> None:
    """The walk accepts exactly what the table names, and gives exactly that."""
    try:
        arrives = expected(value)
    except LookupError:
        with pytest.raises(CallRejected):
            lower(value)
    else:
        assert repr(lower(value)) == repr(arrives)
        assert sent(arrives) == arrives


@given(ANYTHING)
def test_a_refusal_leads_to_its_place(value: Any) -> None:
    """Following the path of a refusal from the value leads to a part that is refused itself."""
    try:
        lower_arguments({"value": value}, {}, "h")
    except CallRejected as error:
        part = eval(_subscripts(error.details["path"]), {"value": value})
        with pytest.raises(CallRejected) as caught:
            lower(part)
        assert caught.value.details["path"] == "value"
        error.message.encode()


#: Mostly what the quick way takes, with what it must not.
MIXED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats()
    | st.sampled_from(["", "a", "π", "ÿ", "$bytes", "\ud800", b"a", (1,), {1}, 2**63, 2**63 - 1])
    | st.sampled_from([float("inf"), float("-inf"), float("nan"), 1.7976931348623157e308]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b", "é", "$b"]), inner),
    max_leaves=12,
)


def outcome(make: Any) -> Any:
    try:
        return repr(make())
    except CallRejected as error:
        return error.message, error.details


@given(ANYTHING | MIXED)
def test_the_quick_way_and_the_careful_way_agree(value: Any) -> None:
    """On what crosses, on its bytes, and on every word and place of a refusal."""
    assert outcome(lambda: packed(value, Any, "x")[0]) == outcome(
        lambda: encode(lower(value, Any, "x"))
    )
    arguments = {"v": value, "b": 1}
    found = outcome(lambda: _packed(arguments))
    assert found == outcome(lambda: _carefully(arguments))


def _packed(arguments: dict[str, Any]) -> Any:
    shown, data = packed_arguments(arguments, {}, "h")
    return dict(shown), data


def _carefully(arguments: dict[str, Any]) -> Any:
    data = encode(lower_arguments(arguments, {}, "h"))
    # The quick way copies by decoding, which gives keys in their order.
    quick = sealed(arguments) is not None
    return (decode(data) if quick else lower_arguments(arguments, {}, "h")), data


@given(MIXED, st.integers(60, 70), st.sampled_from([list, dict]))
def test_depth_makes_no_difference(value: Any, levels: int, kind: type) -> None:
    """Beyond the depth of the quick way, the careful one says the same."""
    for _ in range(levels):
        value = [value] if kind is list else {"a": value}
    assert outcome(lambda: packed(value)[0]) == outcome(lambda: encode(lower(value)))


@given(MIXED)
def test_what_is_packed_is_a_copy(value: Any) -> None:
    """What is done to an argument later does not reach what the stack sees."""
    inner = [value]
    given_ = {"v": inner}
    try:
        arguments, data = packed_arguments(given_, {}, "h")
    except CallRejected:
        return
    inner.append(1)
    assert repr(decode(data)) == repr(decode(encode(dict(arguments))))
    assert len(arguments["v"]) == 1


def _subscripts(path: str) -> str:
    """The path with attributes written as subscripts: dicts have no attributes."""
    out, rest = "value", path.removeprefix("value")
    while rest:
        if rest.startswith("."):
            name = rest[1:]
            stop = next((i for i in range(1, len(name)) if not name[: i + 1].isidentifier()), None)
            name = name[: stop if stop is not None else len(name)]
            out, rest = f"{out}[{name!r}]", rest[1 + len(name) :]
        else:
            stop = _closing(rest)
            out, rest = out + rest[:stop], rest[stop:]
    return out


def _closing(text: str) -> int:
    quoted = False
    place = 0
    while True:
        char = text[place]
        if char == "\\" and quoted:
            place += 1
        elif char == '"':
            quoted = not quoted
        elif char == "]" and not quoted:
            return place + 1
        place += 1


@given(PAGES)
def test_structured_values_round_trip(page: Page) -> None:
    """An annotated value arrives equal, through bytes that both sides agree on."""
    data = encode(lower(page, Page))
    arrived = lift(decode(data), Page)
    assert arrived == page
    assert encode(lower(arrived, Page)) == data
    assert arrived.at.utcoffset() == page.at.utcoffset()


@given(st.sets(st.text() | INT64 | st.booleans()))
def test_sets_have_one_encoding(values: set[Any]) -> None:
    """However a set came to be, its bytes are the same."""
    others: set[Any] = set()
    for value in sorted(values, key=repr, reverse=True):
        others.add(value)
    assert encode(lower(values, set[Any])) == encode(lower(others, set[Any]))


@given(PLAIN, st.sampled_from([Page, Span, list[Span], set[str], datetime, Kind, Span | int]))
def test_hostile_data_is_lifted_or_refused(data: Any, hint: Any) -> None:
    """Whatever a worker sends, lifting it gives a value of the annotation or a ValueError."""
    try:
        value = lift(data, hint)
    except ValueError:
        return
    assert lift(lower(value, hint), hint) == value


@given(PAGES)
def test_what_crosses_satisfies_the_schema_of_its_annotation(page: Page) -> None:
    """The contract that an annotation stands for accepts every value of it."""
    data = as_json(lower(page, Page, "page"))
    assert SchemaRegistry().validate(data, schema_of(Page)) == []
