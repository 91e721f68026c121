"""What is said about a value that does not satisfy its schema."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from nxkernel.schemas import SchemaIssue, SchemaRegistry
from nxkernel.schemas.issues import MAX_ISSUES

SECRET = "hunter2-hunter2"
ITEM = {"anyOf": [{"type": "string"}, {"type": "object", "required": ["q"]}]}
CASES: list[tuple[Any, Any, str, str, str]] = [
    ({"type": "string"}, [SECRET], "", "wrong_type", "expected string, got array"),
    ({"type": ["string", "null"]}, True, "", "wrong_type", "expected string or null, got boolean"),
    ({"type": "integer"}, True, "", "wrong_type", "expected integer, got boolean"),
    ({"type": "string"}, b"x", "", "wrong_type", "expected string, got bytes"),
    ({"type": "array"}, (1,), "", "wrong_type", "expected array, got tuple"),
    ({"required": ["a"]}, {}, "", "missing", 'missing key "a"'),
    ({"enum": ["a", 1]}, SECRET, "", "not_allowed", 'expected one of "a", 1'),
    ({"enum": list(range(13))}, SECRET, "", "not_allowed", "expected one of 13 values"),
    ({"const": "a"}, SECRET, "", "not_allowed", 'expected "a"'),
    ({"const": 1}, True, "", "not_allowed", "expected 1"),
    ({"minimum": 1}, 0, "", "out_of_range", "expected at least 1"),
    ({"maximum": 1}, 2, "", "out_of_range", "expected at most 1"),
    ({"exclusiveMinimum": 1}, 1, "", "out_of_range", "expected more than 1"),
    ({"exclusiveMaximum": 1}, 1, "", "out_of_range", "expected less than 1"),
    ({"multipleOf": 2}, 3, "", "out_of_range", "expected a multiple of 2"),
    ({"minLength": 99}, SECRET, "", "wrong_size", "expected at least 99 characters"),
    ({"maxLength": 1}, SECRET, "", "wrong_size", "expected at most 1 character"),
    ({"pattern": "^a$"}, SECRET, "", "wrong_form", "expected text that matches ^a$"),
    ({"minItems": 1}, [], "", "wrong_size", "expected at least 1 item"),
    ({"maxItems": 0}, [SECRET], "", "wrong_size", "expected at most 0 items"),
    ({"uniqueItems": True}, [1, 1.0], "", "repeated", "expected items that differ from each other"),
    ({"contains": {"const": 1}}, [2], "", "no_match", "expected an item that matches 'contains'"),
    ({"minProperties": 1}, {}, "", "wrong_size", "expected at least 1 key"),
    ({"maxProperties": 0}, {"a": 1}, "", "wrong_size", "expected at most 0 keys"),
    ({"not": {"type": "string"}}, SECRET, "", "no_match", "matches what 'not' excludes"),
    ({"properties": {"a": False}}, {"a": 1}, "/a", "not_allowed", "nothing is allowed here"),
    (False, SECRET, "", "not_allowed", "nothing is allowed here"),
    ({"items": {"type": "null"}}, [None, 1], "/1", "wrong_type", "expected null, got integer"),
    ({"items": ITEM}, [{}], "/0", "missing", 'missing key "q"'),
    (
        {"items": ITEM},
        [5],
        "/0",
        "no_match",
        "matches none of 2 alternatives: expected object or string, got integer",
    ),
    ({"oneOf": [{}, True]}, 1, "", "no_match", "matches more than one of 2 alternatives"),
    (
        {"dependentRequired": {"a": ["b"]}},
        {"a": 1},
        "",
        "missing",
        'missing key "b", needed beside "a"',
    ),
    (
        {"propertyNames": {"maxLength": 1}},
        {"ab": 1},
        "/ab",
        "wrong_size",
        "as a key: expected at most 1 character",
    ),
    (
        {"properties": {"hooks": {}}, "additionalProperties": False},
        {"hoks": 1},
        "/hoks",
        "unknown_key",
        'unknown key; did you mean "hooks"?',
    ),
    (
        {"properties": {"a": {}, "b": {}}, "additionalProperties": False},
        {"zzz": 1},
        "/zzz",
        "unknown_key",
        "unknown key; known: a, b",
    ),
    (
        {"properties": {"a": {}}, "unevaluatedProperties": False},
        {"zzz": 1},
        "",
        "unknown_key",
        "holds keys that no part of the schema describes",
    ),
]


@pytest.mark.parametrize(
    ("schema", "value", "path", "code", "message"), CASES, ids=range(len(CASES))
)
def test_each_keyword_has_words_of_its_own(
    schema: Any, value: Any, path: str, code: str, message: str
) -> None:
    """One cause gives one issue, with its place, a stable code and what was expected."""
    (issue,) = SchemaRegistry().validate(value, schema)
    assert (issue.instance_path, issue.code, issue.message) == (path, code, message)
    assert SECRET not in str(issue)


def test_issues_are_sorted_and_capped() -> None:
    """A thousand wrong items give the first twenty issues by place."""
    schema = {"items": {"type": "string"}, "maxItems": 3}
    issues = SchemaRegistry().validate([1] * 5000, schema)
    assert len(issues) == MAX_ISSUES == 20
    assert issues == sorted(issues, key=lambda i: (i.instance_path, i.keyword, i.schema_path))


def test_every_missing_key_is_named_once() -> None:
    """The library names a missing key in its text alone; the issues name each."""
    issues = SchemaRegistry().validate({"b": 1}, {"required": ["c", "a", "b"]})
    assert [issue.message for issue in issues] == ['missing key "a"', 'missing key "c"']


def test_paths_lead_through_patterns_back_to_the_schema_as_it_was_written() -> None:
    """The compiled form of a pattern never shows."""
    schema = {"patternProperties": {r"^x-\d": {"pattern": "^a$"}}}
    (issue,) = SchemaRegistry().validate({"x-1": "b"}, schema)
    assert issue.schema_path == r"/patternProperties/^x-\d/pattern"


@pytest.mark.parametrize(
    ("pointer", "where"),
    [("", ""), ("/a", "a"), ("/hooks/0/impl", "hooks[0].impl"), ("/a~1b/c~0d", "a/b.c~d")],
)
def test_places_are_written_for_people(pointer: str, where: str) -> None:
    """`where` is the pointer as one would type it."""
    issue = SchemaIssue(instance_path=pointer, keyword="", schema_path="", code="", message="m")
    assert issue.where == where
    assert str(issue) == (f"{where}: m" if where else "m")


def test_a_long_key_is_cut() -> None:
    """A key of a megabyte does not fill the log."""
    (issue,) = SchemaRegistry().validate({"k" * 10**6: 1}, {"additionalProperties": False})
    assert len(str(issue)) < 200


PROGRAM = """
from nxkernel.schemas import SchemaRegistry
schema = {"properties": {k: {"type": "string"} for k in "abcdef"}, "required": list("xyz"),
          "additionalProperties": False, "anyOf": [{"minProperties": 9}, {"const": 1}]}
value = {k: 1 for k in "fedcba"} | {k: 1 for k in {"q", "r", "s", "t"}}
print(*SchemaRegistry().validate(value, schema), sep="\\n")
"""


def test_issues_do_not_depend_on_the_hash_seed() -> None:
    """Two interpreters with different hash seeds print the same bytes."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert b"unknown key" in outputs.pop()
