"""What crosses, as what it arrives, and what a refusal says."""

from __future__ import annotations

import dataclasses
import enum
import re
import sys
import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePath, PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, Union

import attrs
import pytest

from nxkernel._canonical import decode, encode
from nxkernel._values import (
    NotLiftable,
    hints_of,
    lift,
    lower,
    lower_arguments,
    needs_structuring,
)
from nxkernel.errors import CallRejected

T = TypeVar("T")
PageId = NewType("PageId", int)
When = NewType("When", datetime)
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - it is what is refused
BEYOND_UTC = timezone(timedelta(hours=5, minutes=30))


class Corner(enum.Enum):
    TOP = (0, 1)
    END = (1, 1)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


@attrs.frozen
class Token:
    text: str
    bbox: tuple[int, int, int, int]
    found: datetime | None = None
    _confidence: float = 0.5


@dataclasses.dataclass
class Node:
    value: int
    below: Node | None = None
    many: list[Node] = dataclasses.field(default_factory=list)


@attrs.define
class Box(Generic[T]):
    item: T
    more: list[T] = attrs.field(factory=list)


@dataclasses.dataclass(kw_only=True)
class Derived:
    width: int
    area: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        self.area = self.width**2


@attrs.frozen
class Even:
    number: int = attrs.field()

    @number.validator
    def _check(self, _: Any, value: int) -> None:
        if value % 2:
            raise ValueError("odd")


@attrs.frozen
class Click:
    x: int


@attrs.frozen
class Drag:
    x: int
    to: int


@attrs.frozen
class Cat:
    kind: Literal["cat"]
    name: str


@attrs.frozen
class Dog:
    kind: Literal["dog"]
    name: str


@attrs.frozen
class Tame:
    kind: str
    name: str


@attrs.frozen
class Unresolved:
    when: Missing  # type: ignore[name-defined]  # noqa: F821


class Wide(Token):
    """Holds no more than Token, but could."""


TOKEN = Token("Total", (1, 2, 3, 4), datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=BEYOND_UTC))


def rejected(value: Any, hint: Any = Any, path: str = "value") -> CallRejected:
    with pytest.raises(CallRejected) as caught:
        lower(value, hint, path)
    assert caught.value.code == "call.rejected"
    return caught.value


def cross(value: Any, hint: Any) -> Any:
    """Send *value* over: lowered, encoded, decoded, lifted."""
    return lift(decode(encode(lower(value, hint))), hint)


# --- without an annotation ------------------------------------------------------------------------

PLAIN = [
    None,
    True,
    0,
    -(2**63),
    2**63 - 1,
    1.5,
    -0.0,
    "",
    "ünï 😀",
    b"\xff",
    [],
    {},
    [1, [2.0, {"k": None}]],
    {"a b": {"": b""}, "ü": [True]},
]


@pytest.mark.parametrize("value", PLAIN, ids=ascii)
def test_plain_values_arrive_as_they_were(value: Any) -> None:
    """Value and type are the same on the other side."""
    arrived = cross(value, Any)
    assert repr(arrived) == repr(value)


def test_a_tuple_arrives_as_a_list() -> None:
    """At any depth: MessagePack knows one kind of sequence."""
    assert lower((1, {"k": ((), "x")})) == [1, {"k": [[], "x"]}]


def test_a_copy_crosses() -> None:
    """What happens to the value after the call was made changes nothing."""
    inner: list[Any] = [1]
    value = {"a": inner, "b": {"c": {}}}
    lowered = lower(value)
    inner.append(2)
    value["b"]["c"]["d"] = 1  # type: ignore[call-overload]
    assert lowered == {"a": [1], "b": {"c": {}}}


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


ANNOTATE = "annotate the argument with its type in the hookspec and in the hookimpl"
REFUSED = [
    (2**63, "an int of more than 64 bits; pass it as str or bytes", "int"),
    (-(2**63) - 1, "an int of more than 64 bits; pass it as str or bytes", "int"),
    (float("nan"), "a float that is not finite; pass None or a str instead", "float"),
    (float("-inf"), "a float that is not finite; pass None or a str instead", "float"),
    ("\ud800", "a str with a lone surrogate; pass it as bytes", "str"),
    ({1: 2}, "a dict with a key of type int; make its keys str", "int"),
    ({None: 2}, "a dict with a key of type NoneType; make its keys str", "NoneType"),
    (
        {1},
        "set cannot cross the process boundary; pass a sorted list, or annotate the argument"
        " with set[...]",
        "set",
    ),
    (Colour.RED, f"{__name__}.Colour cannot cross the process boundary; {ANNOTATE}", None),
    (Level.LOW, f"{__name__}.Level cannot cross the process boundary; {ANNOTATE}", None),
    (TOKEN, f"{__name__}.Token cannot cross the process boundary; {ANNOTATE}", None),
    (Node(1), f"{__name__}.Node cannot cross the process boundary; {ANNOTATE}", None),
    (
        datetime(2026, 1, 1, tzinfo=BEYOND_UTC),
        f"datetime.datetime cannot cross the process boundary; {ANNOTATE}",
        "datetime.datetime",
    ),
    (uuid.UUID(int=1), f"uuid.UUID cannot cross the process boundary; {ANNOTATE}", "uuid.UUID"),
    (
        Decimal(1),
        f"decimal.Decimal cannot cross the process boundary; {ANNOTATE}",
        "decimal.Decimal",
    ),
    (
        PurePosixPath("a"),
        f"pathlib.PurePosixPath cannot cross the process boundary; {ANNOTATE}",
        "pathlib.PurePosixPath",
    ),
    (
        bytearray(b"x"),
        "bytearray cannot cross the process boundary; pass bytes(value), or a Blob",
        None,
    ),
    (
        memoryview(b"x"),
        "memoryview cannot cross the process boundary; pass bytes(value), or a Blob",
        None,
    ),
    (Text("x"), f"{__name__}.Text cannot cross the process boundary; pass str(value)", None),
    (Whole(1), f"{__name__}.Whole cannot cross the process boundary; pass int(value)", None),
    (
        OrderedDict(a=1),
        "collections.OrderedDict cannot cross the process boundary; pass dict(value)",
        None,
    ),
    (
        MappingProxyType({}),
        "mappingproxy cannot cross the process boundary; pass dict(value)",
        None,
    ),
    (
        sys.version_info,
        "sys.version_info cannot cross the process boundary; pass list(value)",
        None,
    ),
    (
        1j,
        "complex cannot cross the process boundary; pass plain data, or an annotated attrs class"
        " or dataclass",
        "complex",
    ),
    (
        Token,
        "type cannot cross the process boundary; pass plain data, or an annotated attrs class"
        " or dataclass",
        "type",
    ),
]


@pytest.mark.parametrize(
    ("value", "reason", "kind"),
    REFUSED,
    ids=[f"{i}-{type(r[0]).__name__}" for i, r in enumerate(REFUSED)],
)
def test_a_refusal_names_the_type_and_the_next_step(value: Any, reason: str, kind: str) -> None:
    """Whatever is neither plain nor annotated is refused, alone and inside of something."""
    error = rejected(value, path="frame")
    assert error.message == f"frame: {reason}"
    assert error.details["path"] == "frame"
    if kind is not None:
        assert error.details["type"] == kind
    assert rejected([0, value]).message == f"value[1]: {reason}"
    assert rejected({"k": value}).message == f"value.k: {reason}"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"meta": [0, 1, 2, {1}]}, "frame.meta[3]"),
        ({"boxes": {"a b": {1}}}, 'frame.boxes["a b"]'),
        ({"": {1}}, 'frame[""]'),
        ({'"': {1}}, r'frame["\""]'),
        ({"ü": {1}}, "frame.ü"),
        ({"7": {1}}, 'frame["7"]'),
        ({"a\n": {1}}, r'frame["a\n"]'),
        ({"\ud800": {1}}, "frame"),
        ({"a": {"k": {"\ud800": 1}}}, "frame.a.k"),
        ([(1, [{1}])], "frame[0][1][0]"),
        ({"a": {1: {1}}}, "frame.a"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_refusal_names_the_path(value: Any, path: str) -> None:
    """The path is what one would write in Python to get there, and it can be printed."""
    error = rejected(value, path="frame")
    assert error.message.startswith(f"{path}: ")
    assert error.details["path"] == path
    error.message.encode()


def test_the_first_place_is_named() -> None:
    """Of several places, the one that comes first in the value's own order."""
    assert rejected({"b": {1}, "a": {1}}).details["path"] == "value.b"


def nested(depth: int, kind: Callable[[Any], Any] = lambda value: [value]) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = kind(value)
    return value


@pytest.mark.parametrize("kind", [lambda v: [v], lambda v: {"k": v}, lambda v: (v,)], ids="ldt")
def test_depth(kind: Any) -> None:
    """200 levels cross, arguments' own dict included, and 201 do not."""
    assert decode(encode(lower(nested(200, kind)))) == lower(nested(200, kind))
    assert "nested deeper than 200 levels" in rejected(nested(201, kind)).message
    assert decode(encode(lower_arguments({"a": nested(199, kind)}, {}, "h")))
    with pytest.raises(CallRejected, match="a: nested deeper"):
        lower_arguments({"a": nested(200, kind)}, {}, "h")


def test_a_very_deep_value_is_refused_like_a_deep_one() -> None:
    """The stack of Python is never the limit that is met."""
    assert rejected(nested(100_000)).message == rejected(nested(201)).message


def test_cycles() -> None:
    """A value that contains itself is refused at the place where it comes back."""
    inner: dict[str, Any] = {}
    cycle = {"a": [inner]}
    inner["up"] = cycle
    assert rejected(cycle).message == (
        "value.a[0].up: contains itself; pass a value without cycles"
    )
    assert rejected([cycle]).details["path"] == "value[0].a[0].up"
    alone: list[Any] = []
    alone.append(alone)
    assert rejected(alone).details["path"] == "value[0]"


def test_a_shared_part_is_no_cycle() -> None:
    """The same list in two places crosses twice."""
    shared = [1]
    assert lower([shared, shared, {"k": shared}]) == [[1], [1], {"k": [1]}]


# --- with an annotation ---------------------------------------------------------------------------

STRUCTURED: list[tuple[Any, Any, Any]] = [
    (TOKEN.found, datetime, "2026-01-02T03:04:05.000006+05:30"),
    (uuid.UUID(int=5), uuid.UUID, "00000000-0000-0000-0000-000000000005"),
    (Path("a/b c"), Path, "a/b c"),
    (PurePath("a/b"), PurePath, "a/b"),
    (Decimal("1.50"), Decimal, "1.50"),
    (Colour.BLUE, Colour, "blue"),
    (Level.HIGH, Level, 2),
    (Mode.READ | Mode.WRITE, Mode, 3),
    (TOKEN, Token, None),
    (Token("x", (0, 0, 1, 1)), Token, None),
    (Node(1, Node(2), [Node(3)]), Node, None),
    (Box(TOKEN, [TOKEN]), Box[Token], None),
    (Box(1, [2]), Box[int], {"item": 1, "more": [2]}),
    (Box("x"), Box, {"item": "x", "more": []}),
    (Derived(width=3), Derived, {"width": 3}),
    ((1, "a"), tuple[int, str], [1, "a"]),
    ((1, 2, 3), tuple[int, ...], [1, 2, 3]),
    ((), tuple[()], []),
    ((1, ["x"]), tuple, [1, ["x"]]),
    ({3, 1, 2}, set[int], [1, 2, 3]),
    (frozenset({"b", "a"}), frozenset[str], ["a", "b"]),
    ({(1, 2), (0, 5)}, set[tuple[int, int]], [[0, 5], [1, 2]]),
    ({1, "a", None}, set, None),
    ([TOKEN], list[Token], None),
    ({"a": (1, 2)}, dict[str, tuple[int, int]], {"a": [1, 2]}),
    ({"a": [Colour.RED]}, Mapping[str, Sequence[Colour]], {"a": ["red"]}),
    (None, Optional[Token], None),  # noqa: UP045 - the older spelling is another object
    (TOKEN, Token | None, None),
    (TOKEN, Union[Token, int, None], None),  # noqa: UP007
    (7, Token | int | None, 7),
    (True, datetime | int, True),
    (TOKEN.found, datetime | int, "2026-01-02T03:04:05.000006+05:30"),
    ([1, 2], datetime | list, [1, 2]),
    (Click(1), Click | Drag, {"x": 1}),
    (Drag(1, 2), Click | Drag, {"x": 1, "to": 2}),
    (Dog("dog", "Rex"), Cat | Dog, {"kind": "dog", "name": "Rex"}),
    (Cat("cat", "Tom"), Cat | Dog, {"kind": "cat", "name": "Tom"}),
    (Colour.RED, Annotated[Colour, "why not"], "red"),
    ([Corner.TOP, Corner.END], list[Corner], [[0, 1], [1, 1]]),
    (TOKEN.found, When, "2026-01-02T03:04:05.000006+05:30"),
    ({"a": TOKEN.found}, dict[str, When | None], {"a": "2026-01-02T03:04:05.000006+05:30"}),
    ([None, TOKEN], list[Token | None], None),
]


@pytest.mark.parametrize(
    ("value", "hint", "data"), STRUCTURED, ids=[f"{i}-{r[1]}" for i, r in enumerate(STRUCTURED)]
)
def test_structured_values_arrive_as_they_were(value: Any, hint: Any, data: Any) -> None:
    """With an annotation on both sides, value and type are the same, through plain data."""
    assert needs_structuring(hint)
    lowered = lower(value, hint)
    assert lower(lowered) == lowered
    if data is not None:
        assert lowered == data
    arrived = cross(value, hint)
    assert arrived == value
    assert type(arrived) is type(value)


NO_STRUCTURE: list[Any] = [
    Any,
    None,
    int,
    str,
    float,
    bytes,
    list,
    dict,
    object,
    list[int],
    dict[str, list[Any]],
    Optional[int],  # noqa: UP045 - the older spelling is another object
    int | str,
    Literal["a"],
    PageId,
    Annotated[int, 1],
    Annotated[Token, []],
    SimpleNamespace,
    T,
    "Token",
]


@pytest.mark.parametrize("hint", NO_STRUCTURE, ids=str)
def test_other_annotations_ask_for_nothing(hint: Any) -> None:
    """Plain, unknown and unhashable annotations are no reason to convert anything."""
    assert not needs_structuring(hint)
    assert lower([1, ("x",)], hint) == [1, ["x"]]
    assert lift([1, ["x"]], hint) == [1, ["x"]]


def test_order_of_a_set_is_that_of_its_bytes() -> None:
    """Two sets of equal elements have equal bytes, whatever their history."""
    up, down = set(map(str, range(50))), set(map(str, reversed(range(50))))
    assert lower(up, set[str]) == lower(down, set[str]) == list(map(str, range(50)))


def test_a_list_will_do_for_a_tuple_and_back() -> None:
    """Sequences stand for each other on the way in; the annotation decides what arrives."""
    assert cross([1, 2], tuple[int, int]) == (1, 2)
    assert cross((TOKEN,), list[Token]) == [TOKEN]


def test_numbers_keep_their_type() -> None:
    """An int where a float is annotated crosses as the int that it is, and a bool as a bool."""
    assert repr(cross(Token("x", (True, 0, 0, 0), confidence=1), Token)) == (
        "Token(text='x', bbox=(True, 0, 0, 0), found=None, _confidence=1)"
    )


MISFITS: list[tuple[Any, Any, str]] = [
    (NAIVE, datetime, "value: a naive datetime; give it a time zone"),
    (
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=1))),
        datetime,
        "value: a UTC offset with seconds; convert it to UTC",
    ),
    (date(2026, 1, 1), datetime, "value: expected datetime.datetime, got datetime.date"),
    ("2026-01-01T00:00:00Z", datetime, "value: expected datetime.datetime, got str"),
    (Decimal("NaN"), Decimal, "value: a Decimal that is not finite; pass None instead"),
    (Path("\udcff"), Path, "value: a str with a lone surrogate; pass it as bytes"),
    ({"text": "x"}, Token, f"value: expected {__name__}.Token, got dict"),
    (Wide("x", (0, 0, 0, 0)), Token, f"value: expected {__name__}.Token, got {__name__}.Wide"),
    (
        [Token("x", (1, 2, 3, "4"))],  # type: ignore[arg-type]
        list[Token],
        "value[0].bbox[3]: expected int, got str",
    ),
    (
        [Token("x", (1, 2, 3))],  # type: ignore[arg-type]
        list[Token],
        "value[0].bbox: expected tuple[int, int, int, int], got 3 elements",
    ),
    (
        Token("x", (0, 0, 0, 0), NAIVE),
        Token,
        "value.found: a naive datetime; give it a time zone",
    ),
    (
        {"a b": [Box({1})]},
        dict[str, list[Box[Any]]],
        'value["a b"][0].item: set cannot cross the process boundary; pass a sorted list, or'
        " annotate the argument with set[...]",
    ),
    ([1], set[int], "value: expected set[int], got list"),
    ({1.5}, set[int], "value: an element of the set: expected int, got float"),
    ("abc", list[Token], f"value: expected list[{__name__}.Token], got str"),
    (5, dict[str, Token], f"value: expected dict[str, {__name__}.Token], got int"),
    (
        {1: TOKEN},
        dict[str, Token],
        "value: a dict with a key of type int; make its keys str",
    ),
    (
        {},
        dict[int, Token],
        f"value: dict[int, {__name__}.Token] cannot cross the process boundary; make its keys str",
    ),
    (b"x", datetime | int, "value: expected datetime.datetime | int, got bytes"),
    (
        [Token("x", (0, 0, 0, None))],  # type: ignore[arg-type]
        list[Token] | None,
        "value[0].bbox[3]: expected int, got NoneType",
    ),
    (
        Box([{1}]),
        Box[Any] | None,
        "value.item[0]: set cannot cross the process boundary; pass a sorted list, or annotate"
        " the argument with set[...]",
    ),
]


@pytest.mark.parametrize(
    ("value", "hint", "message"), MISFITS, ids=[f"{i}-{r[1]}" for i, r in enumerate(MISFITS)]
)
def test_what_does_not_fit_its_annotation(value: Any, hint: Any, message: str) -> None:
    """Nothing is converted silently, and the whole path is named."""
    assert rejected(value, hint).message == message


AMBIGUOUS: list[Any] = [
    datetime | str,
    uuid.UUID | Path,
    list[Token] | tuple[int, ...],
    Token | dict,
    Level | int,
    Level | float,
    Colour | Literal["x"],
    Token | Derived | dict[str, Any],
    list[Token] | Any,
    Cat | Dog | Tame,
]


@dataclasses.dataclass
class Halt:
    kind: Literal["halt"]
    at: datetime


@dataclasses.dataclass
class Leave:
    kind: Literal["leave", "part"]
    at: datetime


@attrs.frozen
class Part:
    kind: Literal["part"]
    at: datetime
    why: str


def test_records_are_told_apart_by_a_literal_whatever_else_they_hold() -> None:
    """Fields of kinds that cattrs has no hook for are no obstacle."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for value in (Halt("halt", at), Leave("leave", at)):
        assert lift(lower(value, Halt | Leave), Halt | Leave) == value


def test_a_literal_that_two_records_share_leaves_it_to_their_fields() -> None:
    """Of those that are left, the fields decide."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for value in (Halt("halt", at), Leave("leave", at), Part("part", at, "tired")):
        assert lift(lower(value, Halt | Leave | Part), Halt | Leave | Part) == value


@pytest.mark.parametrize("data", [{}, {"kind": "stay"}, {"kind": []}], ids=str)
def test_data_of_none_of_the_records_is_refused(data: Any) -> None:
    """Without the field that tells them apart, or with another value there."""
    with pytest.raises(NotLiftable, match="got the fields of none of them"):
        lift(data, Halt | Leave)


@pytest.mark.parametrize("hint", AMBIGUOUS, ids=str)
def test_a_union_that_looks_alike_is_refused(hint: Any) -> None:
    """What could not be told apart on the other side is refused on this one, and there."""
    assert "is ambiguous: its members look alike as plain data" in rejected(TOKEN, hint).message
    with pytest.raises(NotLiftable, match="is ambiguous"):
        lift({}, hint)


def test_recursive_values() -> None:
    """An annotated chain crosses up to 50 levels, and a cycle is named as one."""
    chain = Node(0)
    for number in range(48):  # the innermost has a list, which is the fiftieth level
        chain = Node(number, chain)
    assert cross(chain, Node) == chain
    assert "nested deeper than 50 levels" in rejected(Node(50, chain), Node).message
    cycle = Node(1)
    cycle.many.append(cycle)
    assert rejected(cycle, Node).message == (
        "value.many[0]: contains itself; pass a value without cycles"
    )


def test_annotated_and_plain_levels_count_together() -> None:
    """200 levels are the limit of the whole, not of each kind."""
    assert lower(Box(nested(199)), Box[Any])
    assert "deeper than 200" in rejected(Box(nested(200)), Box[Any]).message


def test_a_class_whose_annotations_cannot_be_resolved() -> None:
    """Neither side guesses what a field is."""
    reason = (
        f"{__name__}.Unresolved has an annotation that cannot be resolved (NameError: name"
        " 'Missing' is not defined); import what it names at run time"
    )
    assert rejected([Unresolved(1)], list[Unresolved]).message == f"value[0]: {reason}"
    with pytest.raises(NotLiftable, match=re.escape(f"$: {reason}")):
        lift({"when": 1}, Unresolved)


# --- back -----------------------------------------------------------------------------------------

NOT_LIFTABLE: list[tuple[Any, Any, str]] = [
    ("2026-01-01", datetime, "$: expected datetime.datetime"),
    ("2026-01-01T00:00:00", datetime, "$: expected datetime.datetime"),
    ("2026-13-01T00:00:00Z", datetime, "$: expected datetime.datetime"),
    ("2026-01-01 00:00:00Z", datetime, "$: expected datetime.datetime"),
    ("20260101T000000Z", datetime, "$: expected datetime.datetime"),
    (5, datetime, "$: expected datetime.datetime, got int"),
    ("nope", uuid.UUID, "$: expected uuid.UUID"),
    ("Infinity", Decimal, "$: expected decimal.Decimal"),
    ("one", Decimal, "$: expected decimal.Decimal"),
    ("green", Colour, f"$: expected {__name__}.Colour"),
    (True, Level, f"$: expected {__name__}.Level, got bool"),
    ([], Token, f"$: expected {__name__}.Token, got list"),
    ({"text": "x"}, Token, f"$: expected {__name__}.Token with the field 'bbox'"),
    (
        {"text": "x", "bbox": [0, 0, 0, 0], "z": 1},
        Token,
        f"$: expected {__name__}.Token, got the unknown field 'z'",
    ),
    ({"text": 1, "bbox": [0, 0, 0, 0]}, Token, "$.text: expected str, got int"),
    (
        [{"text": "x", "bbox": [0, 0, 0, 1.5]}],
        list[Token],
        "$[0].bbox[3]: expected int, got float",
    ),
    ({"number": 3}, Even, f"$: expected {__name__}.Even (ValueError)"),
    ({"a b": {"number": 3}}, dict[str, Even], f'$["a b"]: expected {__name__}.Even (ValueError)'),
    ("abc", list[Token], f"$: expected list[{__name__}.Token], got str"),
    ({"a": 1}, tuple[int, ...], "$: expected tuple[int, ...], got dict"),
    ([1], tuple[int, int], "$: expected tuple[int, int], got 1 elements"),
    ("ab", set[str], "$: expected set[str], got str"),
    ([[1]], set[list], "$: expected set[list]"),
    ([], dict[str, Token], f"$: expected dict[str, {__name__}.Token], got list"),
    (b"x", Token | None, f"$: expected {__name__}.Token | None, got bytes"),
    (
        {"y": 1},
        Click | Drag,
        f"$: expected {__name__}.Click | {__name__}.Drag, got the fields of none of them",
    ),
]


@pytest.mark.parametrize(
    ("data", "hint", "message"),
    NOT_LIFTABLE,
    ids=[f"{i}-{r[1]}" for i, r in enumerate(NOT_LIFTABLE)],
)
def test_data_that_does_not_fit_is_not_lifted(data: Any, hint: Any, message: str) -> None:
    """The other side is held to the annotation, with a JSON path and what was expected."""
    with pytest.raises(NotLiftable) as caught:
        lift(data, hint)
    assert str(caught.value) == message
    assert str(caught.value) == f"{caught.value.path}: {caught.value.expected}"


def test_left_out_fields_take_their_defaults() -> None:
    """A sender with an older class than the receiver's is understood."""
    assert lift({"text": "x", "bbox": [0, 0, 1, 1]}, Token) == Token("x", (0, 0, 1, 1))


def test_hostile_depth_is_not_lifted() -> None:
    """Data as deep as the wire allows ends in an error, whatever the annotation."""
    data: Any = None
    for _ in range(2000):
        data = {"value": 1, "below": data}
    with pytest.raises(NotLiftable, match="nested deeper than this stack allows"):
        lift(data, Node)


# --- arguments and annotations --------------------------------------------------------------------


def test_arguments_are_lowered_by_their_annotations() -> None:
    """Each argument by its own, and one that has none as plain data."""
    hints = {"token": Token, "when": datetime}
    lowered = lower_arguments({"token": TOKEN, "n": (1,), "when": TOKEN.found}, hints, "h")
    assert lowered["n"] == [1]
    assert lift(lowered["token"], Token) == TOKEN
    assert lift(lowered["when"], datetime) == TOKEN.found


def test_a_refused_argument_is_named_with_its_hook() -> None:
    """The path begins with the argument's name."""
    with pytest.raises(CallRejected, match=re.escape("frame.meta[3]: set cannot")) as caught:
        lower_arguments({"frame": {"meta": [0, 1, 2, {1}]}}, {}, "read_tokens")
    assert caught.value.hook == "read_tokens"
    assert caught.value.details == {"path": "frame.meta[3]", "type": "set"}


def annotated(a: int, b: Annotated[str, 1], c=None, *, d: list[Token]) -> Colour: ...  # type: ignore[no-untyped-def, empty-body]


def test_hints_of_a_function() -> None:
    """Annotations are resolved from their text, with what Annotated adds, by name."""
    assert hints_of(annotated) == {
        "a": int,
        "b": Annotated[str, 1],
        "d": list[Token],
        "return": Colour,
    }


def test_an_annotation_that_cannot_be_resolved_counts_as_absent() -> None:
    """Names that only a type checker imports do not keep the others from counting."""

    def function(a: Missing, b: Token, c: 1 / 0) -> None: ...  # type: ignore[name-defined, valid-type]  # noqa: F821

    assert hints_of(function) == {"b": Token, "return": type(None)}


class Methods:
    def method(self, token: Token) -> None: ...

    @staticmethod
    def static(token: Token) -> None: ...


@pytest.mark.parametrize(
    "function", [Methods.method, Methods().method, Methods.static], ids=["plain", "bound", "static"]
)
def test_hints_of_methods(function: Any) -> None:
    """Bound or not, a method has the annotations that it was written with."""
    assert hints_of(function)["token"] is Token


@pytest.mark.parametrize(
    "thing", [len, print, object(), defaultdict], ids=["len", "print", "object", "defaultdict"]
)
def test_hints_of_what_has_none(thing: Any) -> None:
    """A callable without annotations has no hints, and that is no error."""
    assert dict(hints_of(thing)) == {}


def test_nothing_is_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No value gets to say how it is copied or restored."""

    class Evil:
        def __reduce__(self) -> Any:
            raise AssertionError("asked to pickle itself")

        __reduce_ex__ = __reduce__
        __getstate__ = __reduce__
        __copy__ = __reduce__

    assert f"{__name__}." in rejected(Evil()).message
    assert rejected([Evil()], list[Token]).details["path"] == "value[0]"
