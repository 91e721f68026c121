"""Facts are bounded, in one order, and hold no values of calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nxkernel.audit.facts import error_details, text_of


def test_text_is_the_same_for_every_order() -> None:
    """Keys are sorted and nothing depends on where they were set first."""
    assert text_of({"b": 1, "a": [1.5, None, True]}) == '{"a":[1.5,null,true],"b":1}'
    assert text_of({"b", "a"}) == '["a","b"]'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), '"nan"'),
        (float("inf"), '"inf"'),
        (b"bytes", '"<bytes>"'),
        (object(), '"<object>"'),
        ("\udcff", '"\\udcff"'),
        ({1: 2}, '{"1":2}'),
    ],
)
def test_what_json_lacks_is_replaced(value: Any, text: str) -> None:
    """No fact stops an audit row, and no row holds an address."""
    assert text_of(value) == text


def test_facts_are_bounded() -> None:
    """A plugin cannot fill the log with the details of one error."""
    huge: dict[str, Any] = {str(i): ["x" * 10_000] * 1000 for i in range(1000)}
    assert len(text_of(huge)) < 64 * 64 * 600
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert text_of(deep) == "[" * 6 + '"<list>"' + "]" * 6


def test_details_keep_facts_and_name_what_they_leave_out() -> None:
    """Known facts are on record; of everything else only that it was there."""
    text = error_details({"signal": "SIGKILL", "value": "geheim", "instance": [1]})
    assert text is not None
    assert json.loads(text) == {"signal": "SIGKILL", "left_out": ["instance", "value"]}


def test_the_path_of_an_os_error_is_left_out() -> None:
    """The file that a plugin was asked to open is an argument; a place in a value is none."""
    text = error_details({"errno": "ENOENT", "path": "/home/someone/diary"})
    assert text == '{"errno":"ENOENT","left_out":["path"]}'
    assert error_details({"path": "frame.meta[3]"}) == '{"path":"frame.meta[3]"}'


def test_no_details_are_no_text() -> None:
    """An error without details has NULL, not an empty object."""
    assert error_details({}) is None
