"""The quick judge: when there is one, and that nothing but "valid" is taken from it."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.schemas import SchemaRegistry, _fast
from nxkernel.schemas._fast import fast
from nxkernel.schemas._spread import MAX_HEIGHT, spread
from nxkernel.schemas.instance import MAX_DEPTH, obstacle, shape_of
from nxkernel.schemas.profile import profile

TOKENS = {
    "type": "array",
    "items": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
}


def judge(schema: Any) -> Any:
    holds = fast(schema, spread(profile(schema)))
    return holds and (lambda value: (seen := shape_of(value)) is not None and holds(seen))


def test_what_is_valid_is_told_without_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference is not asked about a value that holds."""
    compiled = SchemaRegistry().compile(TOKENS)
    monkeypatch.setattr(type(compiled), "_issues", lambda *_: pytest.fail("was asked"))
    assert compiled.validate([{"text": "a"}]) == []


def test_what_is_invalid_is_worded_by_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Issues are the same whether the library is installed or not."""
    value = [{"text": 1}, {}]
    with_it = SchemaRegistry().validate(value, TOKENS)
    monkeypatch.setattr(_fast, "_library", lambda: None)
    without = SchemaRegistry()
    assert without.compile(TOKENS)._holds is None
    assert with_it == without.validate(value, TOKENS) != []


def doubling(levels: int) -> dict[str, Any]:
    """A chain of two equal alternatives: two to the power of *levels* ways to look at a value."""
    defs: dict[str, Any] = {
        f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(levels)
    }
    return {"$ref": "#/$defs/a0", "$defs": {**defs, f"a{levels}": {"type": "string"}}}


def test_alternatives_that_multiply_are_left_to_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has a budget; the quick one would run for ever."""
    monkeypatch.setattr("nxkernel.schemas._reference.MAX_CHECKS", 10_000)
    assert judge(doubling(10))("x")
    assert not judge(doubling(28))("x")
    assert SchemaRegistry().validate(1, doubling(25))[0].code == "limit"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"child": {"$ref": "#"}}},
        {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}},
        {"multipleOf": 3},
        {"properties": {"a": {"anyOf": [{"multipleOf": 3}]}}},
    ],
)
def test_some_schemas_have_no_quick_judge(schema: Any) -> None:
    """One that refers to itself, and one with arithmetic that the two do differently."""
    assert judge(schema) is None


def test_a_loop_that_is_never_reached_does_no_harm() -> None:
    """Only what is applied to a value counts."""
    unused = {"a": {"items": {"$ref": "#/$defs/a"}}}
    assert judge({"type": "string", "$defs": unused})("x")


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        deep(MAX_DEPTH + 1),
        deep(100_000),
        10**400,
        float("nan"),
        float("-inf"),
        {1: 2},
        [{"a": {None: 1}}],
    ],
    ids=["deep", "very deep", "huge", "nan", "infinite", "integer key", "nested key"],
)
def test_hostile_values_do_not_reach_it(value: Any) -> None:
    """What the slow search finds in the way, the quick one finds as well."""
    assert shape_of(value) is None
    assert obstacle(value) is not None
    assert not judge({})(value)


@pytest.mark.parametrize("value", [b"b", (1,), {1}, object(), True, None, "x", 1, 0.5, [], {}])
def test_only_types_of_json_are_plain(value: Any) -> None:
    """Exact types: what is no JSON is left to the reference."""
    plain = type(value) in (bool, type(None), str, int, float, list, dict)
    assert (shape_of(value) is not None) is plain


def test_values_are_counted_through_all_levels() -> None:
    """The count is what the work of a schema is reckoned by."""
    for value, parts in (({"a": [1, 2.5, {"b": None}], "c": "x"}, 7), (deep(MAX_DEPTH), 101)):
        shape = shape_of(value)
        assert shape is not None
        assert shape.parts == parts


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("\ud800", "is text with a lone surrogate"),
        ({"\udfff": 1}, "has a key with a lone surrogate"),
    ],
)
def test_a_lone_surrogate_is_no_text(value: Any, message: str) -> None:
    """It has no UTF-8 form, so neither judge looks at it."""
    assert not judge({})(value)
    (issue,) = SchemaRegistry().validate(value, {})
    assert (issue.code, issue.message) == ("limit", message)


@pytest.mark.parametrize("kind", ["references", "properties"])
def test_what_the_reference_might_not_reach_has_no_quick_judge(kind: str) -> None:
    """Both would differ there; one step less, and the reference reaches it from anywhere."""
    deepest, deeper = (tower(kind, height) for height in (MAX_HEIGHT, MAX_HEIGHT + 1))
    assert judge(deepest[0])(deepest[1])
    assert judge(deeper[0]) is None

    def from_a_deep_stack(frames: int) -> Any:
        if frames:
            return from_a_deep_stack(frames - 1)
        return SchemaRegistry().compile(deepest[0])._issues(deepest[1])

    assert from_a_deep_stack(700) == []


def tower(kind: str, height: int) -> tuple[Any, Any]:
    """A schema of *height* schemas within each other, and a value that reaches the last."""
    value: Any = "x"
    if kind == "references":
        defs: dict[str, Any] = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(height - 2)}
        return {"$ref": "#/$defs/a0", "$defs": {**defs, f"a{height - 2}": {"type": "string"}}}, "x"
    defs = {f"p{n}": {"properties": {"a": {"$ref": f"#/$defs/p{n + 1}"}}} for n in range(height)}
    steps = (height - 2) // 2
    defs[f"p{steps}"] = {"type": "string"} if height % 2 == 0 else {"not": {"type": "null"}}
    for _ in range(steps):
        value = {"a": value}
    return {
        "$ref": "#/$defs/p0",
        "$defs": {k: v for k, v in defs.items() if int(k[1:]) <= steps},
    }, value


@pytest.mark.parametrize(
    ("pattern", "text", "holds"),
    [
        ("^a$", "a\n", False),
        ("^.$", "\u2028", False),
        ("^[^a]$", "\n", True),
        (r"^\d$", "٣", False),
        (r"^\w$", "é", False),
        (r"^\s$", "\ufeff", True),
        ("^(ab|c){2,3}$", "abcab", True),
        (r"\$x", "a$x", True),
    ],
)
def test_patterns_mean_the_same_to_both(pattern: str, text: str, holds: bool) -> None:
    """Both engines are given explicit classes, so neither adds a meaning of its own."""
    schema = {"pattern": pattern}
    assert judge(schema)(text) is holds
    assert (SchemaRegistry().compile(schema)._issues(text) == []) is holds
