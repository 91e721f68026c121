"""Which change of a contract concerns plugins, and which callers."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.schemas.changes import Change, changes

SHORT, LONG = {"type": "string", "maxLength": 5}, {"type": "string", "maxLength": 9}


@pytest.mark.parametrize(
    ("side", "before", "after", "plugins", "callers"),
    [
        ("input", SHORT, LONG, True, False),
        ("input", LONG, SHORT, False, True),
        ("output", SHORT, LONG, False, True),
        ("output", LONG, SHORT, True, False),
        ("input", {"type": "string"}, {"type": "integer"}, True, True),
        ("output", {"type": "string"}, {"type": "string", "title": "said anew"}, False, False),
    ],
)
def test_a_change_breaks_one_side_of_the_hook_or_the_other(
    side: Any, before: Any, after: Any, plugins: bool, callers: bool
) -> None:
    """What plugins take may shrink and what they return may grow; for callers the opposite."""
    (change,) = changes({"read": {side: before}}, {"read": {side: after}})
    assert (change.breaks_plugins is not None, change.breaks_callers is not None) == (
        plugins,
        callers,
    )
    assert change.breaking is (plugins or callers)


def test_the_reason_has_its_place() -> None:
    """Whoever has to look at his code is told where."""
    old = {"read": {"output": {"type": "array", "items": SHORT}}}
    new = {"read": {"output": {"type": "array", "items": LONG}}}
    (change,) = changes(old, new)
    assert change.breaks_callers == "/*: maxLength 5 does not follow"


def test_a_hook_that_went_breaks_everybody_and_a_new_one_nobody() -> None:
    """There is nobody yet who could depend on a new hook."""
    gone, added = changes({"a": {}}, {"b": {"input": SHORT}})
    assert (gone.hook, gone.what, gone.breaking) == ("a", "removed", True)
    assert added == Change(hook="b", side=None, what="added")
    assert not added.breaking


def test_a_side_that_was_open_and_is_described_now() -> None:
    """To leave a side out is to allow anything."""
    (change,) = changes({"a": {}}, {"a": {"output": SHORT}})
    assert change.breaks_plugins is not None
    assert change.breaks_callers is None


def test_no_difference_is_no_change() -> None:
    """Equal contracts are not compared any further."""
    assert changes({"a": {"input": SHORT}}, {"a": {"input": dict(SHORT)}}) == []


def test_one_and_true_are_two_constants() -> None:
    """They are equal to Python alone; nobody who relied on the one is served by the other."""
    (change,) = changes({"h": {"output": {"const": 1}}}, {"h": {"output": {"const": True}}})
    assert change.breaks_plugins is not None
    assert change.breaks_callers is not None
