"""Annotations as schemas: the table of values, written down a second time and held to the first."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar

import attrs
import pytest

from nxkernel._blob import Blob
from nxkernel._values import hints_of, lower
from nxkernel.middleware.contracts import as_json
from nxkernel.schemas import SchemaRegistry
from nxkernel.schemas.annotated import BLOB, BYTES, arguments_schema, schema_of

T = TypeVar("T")
Name = NewType("Name", str)
UTC = datetime.UTC


class Kind(enum.Enum):
    WORD = "word"
    LINE = 2


@attrs.frozen
class Span:
    start: int
    end: int = 0


@dataclasses.dataclass
class Tree:
    name: str
    spans: list[Span] = dataclasses.field(default_factory=list)
    below: list[Tree] = dataclasses.field(default_factory=list)


@attrs.frozen
class Box(Generic[T]):
    held: T


class Corner(enum.Enum):
    TOP = (0, 1)
    END = (1, 1)


class Mark(enum.Enum):
    HEAD = b"\x01"
    NONE = "none"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@attrs.frozen
class Node:
    _id: int
    kind: str = attrs.field(default="node", alias="sort")


@attrs.frozen
class Branch(Node):
    below: list[Branch] = attrs.field(factory=list)
    seen: int = attrs.field(init=False, default=0)


@attrs.frozen
class Page(Generic[T]):
    items: tuple[T, ...]
    following: Page[T] | None = None


Odd = attrs.make_class("odd/name~with%25", {"x": attrs.field(type=int)})

#: annotation, the schema (or None for "see the values"), values that fit, plain data that does not
TABLE: list[tuple[Any, Any, list[Any], list[Any]]] = [
    (Any, {}, [None, 1, "x", [b"y"]], []),
    (object, {}, [{"a": 1}], []),
    (T, {}, [1], []),
    (None, {"type": "null"}, [None], [0]),
    (bool, {"type": "boolean"}, [True], [1]),
    (int, {"type": ["boolean", "integer"]}, [3, True], ["3", 0.5]),
    (float, {"type": "number"}, [0.5, 2], ["x", True]),
    (str, {"type": "string"}, ["x"], [1, None]),
    (bytes, BYTES, [b"x"], ["x"]),
    (Blob, BLOB, [Blob(b"x"), Blob(b"", "image/png")], [b"x", {"$blob": "x"}, "sha256:00"]),
    (Name, {"type": "string"}, ["x"], [1]),
    (Annotated[int, "pages"], {"type": ["boolean", "integer"]}, [3], ["3"]),
    (datetime.datetime, None, [datetime.datetime(2026, 1, 2, 3, 4, 5, 6, UTC)], ["2026-01-02", 5]),
    (uuid.UUID, {"type": "string"}, [uuid.UUID(int=5)], [5]),
    (Path, {"type": "string"}, [Path("/a")], [5]),
    (Decimal, {"type": "string"}, [Decimal("1.50")], [1.5]),
    (Kind, {"enum": ["word", 2]}, [Kind.WORD, Kind.LINE], ["line", 1]),
    (Literal["a", 2], {"enum": ["a", 2]}, ["a", 2], ["b"]),
    (list, {"type": "array"}, [[1, "x"]], [{}]),
    (list[str], {"type": "array", "items": {"type": "string"}}, [["x"], []], [[1]]),
    (tuple[str, ...], {"type": "array", "items": {"type": "string"}}, [("x",)], [[1]]),
    (tuple[str, int], None, [("x", 1)], [["x"], ["x", 1, 2], [1, 1]]),
    (set[str], None, [{"x", "y"}], [["x", "x"]]),
    (dict[str, int], None, [{"a": 1}], [{"a": "x"}, []]),
    (dict, {"type": "object"}, [{"a": object and 1}], [[]]),
    (str | None, {"type": ["null", "string"]}, ["x", None], [1]),
    (Span | None, None, [Span(1, 2), None], [{"start": 1, "end": 2, "more": 3}, {}]),
    (Tree, None, [Tree("a", [Span(1)], [Tree("b")])], [{"name": "a", "below": [{}]}, {"name": 1}]),
    (Box[int], None, [Box(1)], [{"held": "x"}]),
    (list[Box[str]], None, [[Box("x")]], [[{"held": 1}], [{}]]),
    (Corner, {"enum": [[0, 1], [1, 1]]}, [Corner.TOP], [[0, 0], "TOP"]),
    (Mark, {"anyOf": [{"enum": ["none"]}, BYTES]}, [Mark.HEAD, Mark.NONE], ["head", 1]),
    (Access, {"type": "integer"}, [Access.READ | Access.WRITE, Access(0)], ["READ"]),
    (Literal["a", b"x"], {"anyOf": [{"enum": ["a"]}, BYTES]}, ["a", b"x"], ["b"]),
    (Literal[Kind.WORD], {"enum": ["word"]}, [], [2]),
    (Branch, None, [Branch(id=1, sort="b", below=[Branch(id=2)])], [{"id": 1}, {"_id": "x"}]),
    (Page[int], None, [Page((1,), Page((2, 3)))], [{"items": ["x"]}, {"items": [], "next": 1}]),
    (dict[str, list[tuple[int, Odd]]], None, [{"a": [(1, Odd(2))]}], [{"a": [[1]]}]),
]
IDS = [f"{number:02} {hint}" for number, (hint, *_) in enumerate(TABLE)]


def accepted(schema: Any, data: Any) -> bool:
    return SchemaRegistry().validate(as_json(data), schema) == []


@pytest.mark.parametrize(("hint", "schema", "values", "others"), TABLE, ids=IDS)
def test_the_schema_is_that_of_the_data_that_crosses(
    hint: Any, schema: Any, values: list[Any], others: list[Any]
) -> None:
    """What an annotated value becomes is valid, and what it cannot become is not."""
    written = schema_of(hint)
    assert schema in (None, written)
    for value in values:
        assert accepted(written, lower(value, hint, "value")), value
    assert [data for data in others if accepted(written, data)] == []


def test_a_record_is_written_once() -> None:
    """A class that holds itself refers to itself."""
    schema = schema_of(dict[str, Tree])
    assert sorted(schema["$defs"]) == ["Span", "Tree"]
    assert schema["additionalProperties"] == {"$ref": "#/$defs/Tree"}
    assert schema["$defs"]["Tree"]["required"] == ["name"]
    assert schema["$defs"]["Tree"]["properties"]["below"]["items"] == {"$ref": "#/$defs/Tree"}


def test_two_classes_of_one_name_are_kept_apart() -> None:
    """The name of a class says nothing about where it is from."""
    other = attrs.make_class("Span", {"text": attrs.field(type=str)})
    schema = schema_of(tuple[Span, other])
    assert sorted(schema["$defs"]) == ["Span", "Span_2"]
    assert accepted(schema, [{"start": 1}, {"text": "x"}])
    assert not accepted(schema, [{"text": "x"}, {"start": 1}])


def test_arguments_are_one_closed_object() -> None:
    """Required is what has no default; an argument without annotation may be anything."""

    def hook(page: int, extra, *, hint: str | None = None):  # type: ignore[no-untyped-def]
        raise AssertionError

    schema = arguments_schema(hook, hints_of(hook))
    assert schema["required"] == ["extra", "page"]
    assert accepted(schema, {"page": 1, "extra": [b"x"]})
    assert not accepted(schema, {"page": 1, "extra": 0, "hint": 5})
    assert not accepted(schema, {"page": 1, "extra": 0, "hnit": "x"})


def test_a_schema_does_not_depend_on_the_order_of_fields() -> None:
    """The same class gives the same text, so that exported contracts can be compared."""
    assert list(schema_of(Span)["$defs"]["Span"]["properties"]) == ["end", "start"]
