"""Remote tracebacks as text: any data of a worker gives one, and it is bounded and harmless."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nxkernel._remote import RemoteTraceback, render, with_remote
from nxkernel.errors import PluginFailed

KEYS = ["exception", "text", "frames", "notes", "cause", "context", "group", "left_out", "file"]
LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats()
LIES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=40,
)


@given(st.dictionaries(st.sampled_from(KEYS), LIES))
def test_whatever_a_worker_tells_is_text(tree: dict[str, Any]) -> None:
    """Wrong types, missing keys and control characters are no error and steer no terminal."""
    text = render(tree)
    assert all(c == "\n" or c.isprintable() for c in text)


def test_a_tree_without_end_is_cut() -> None:
    """Neither depth nor width of what a worker tells bounds what is printed: we do."""
    tree: dict[str, Any] = {"exception": "E", "notes": ["n\n" * 10**5] * 10**3}
    for _ in range(90):
        tree = {"exception": "E", "text": "x" * 10**5, "cause": tree, "group": [tree] * 3}
    assert len(render(tree)) < 64 * 205 * 2200


def test_python_has_the_same_form() -> None:
    """Where Python can tell it, it reads as Python tells it."""
    frame = {"file": "{plugin_dir}/plugin.py", "line": 3, "function": "act", "source": "1 / 0"}
    tree = {
        "exception": "builtins.ZeroDivisionError",
        "text": "division by zero",
        "frames": [frame],
    }
    assert render(tree) == (
        "Traceback (most recent call last):\n"
        '  File "{plugin_dir}/plugin.py", line 3, in act\n'
        "    1 / 0\n"
        "ZeroDivisionError: division by zero"
    )


def test_only_a_tree_becomes_a_cause() -> None:
    """Errors without a traceback, or with something else in its place, have none."""
    for details in ({}, {"traceback": "text"}, {"traceback": None}):
        assert with_remote(PluginFailed("it failed"), details).__cause__ is None
    error = with_remote(PluginFailed("it failed"), {"traceback": {"exception": "E"}})
    assert isinstance(error.__cause__, RemoteTraceback)
    assert str(error.__cause__) == '\n"""\nE\n"""'
    assert str(error) == "[plugin.raised] it failed"
