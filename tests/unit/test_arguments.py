"""The arguments that the stack may look at: read-only, and what crosses."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel._arguments import Arguments, plain_of
from nxkernel._canonical import encode

GIVEN: dict[str, Any] = {"a": [1, {"b": None}], "c": "x"}


@pytest.mark.parametrize("plain", [None, GIVEN], ids=["decoded", "known"])
def test_they_are_a_mapping(plain: dict[str, Any] | None) -> None:
    """Of what the bytes say, whether somebody has made a dict of it already or not."""
    shown = Arguments(encode(GIVEN), plain)
    assert shown == GIVEN
    assert (list(shown), len(shown), shown["c"], shown.get("d")) == (["a", "c"], 2, "x", None)
    assert repr(shown) == f"Arguments({GIVEN!r})"
    assert plain_of(shown) == GIVEN
    assert plain_of(shown) is plain_of(shown)


def test_they_cannot_be_changed() -> None:
    """A middleware that writes into them meets an error."""
    shown: Any = Arguments(encode(GIVEN))
    with pytest.raises(TypeError):
        shown["a"] = 1
    with pytest.raises(TypeError):
        del shown["a"]
    with pytest.raises(AttributeError):
        shown.a = 1


def test_another_mapping_is_copied() -> None:
    """What a second phase of a wrapper is given is a plain dict."""
    given = {"result": [1]}
    assert plain_of(given) == given
    assert plain_of(given) is not given
