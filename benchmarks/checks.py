"""A result of a thousand tokens, held to its contract and not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nxkernel as nx
from benchmarks.measure import Row, interleave
from nxkernel._canonical import encode, surveyed

__all__ = ["validation"]

READER = Path(__file__).parent / "others" / "reader"
PIXELS = {"type": "integer", "minimum": 0}
TOKENS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["box", "confidence", "line", "text"],
        "additionalProperties": False,
        "properties": {
            "text": {"type": "string", "minLength": 1},
            "confidence": {"type": "integer", "minimum": 0, "maximum": 10_000},
            "box": {"type": "array", "items": PIXELS, "minItems": 4, "maxItems": 4},
            "line": PIXELS,
        },
    },
}
hookspec = nx.HookspecMarker("bench")


class Specs:
    """The hook of this measurement."""

    @hookspec(firstresult=True)
    def read(self):
        """Return the tokens of a page."""


def validation(rounds: int) -> dict[str, Row]:
    """Time the call with its check and without, and the check by itself."""
    check = nx.SchemaRegistry().compile(TOKENS)
    with _reading(checked=True) as checked, _reading(checked=False) as unchecked:
        shape = surveyed(encode(checked.hook.read()))
        return interleave(
            {
                "1,000 tokens, checked": checked.hook.read,
                "1,000 tokens, not checked": unchecked.hook.read,
                "the check alone, of a decoded value": lambda: _valid(
                    check.validate(shape.value, shape=shape)
                ),
                "the check alone, of a value from elsewhere": lambda: _valid(
                    check.validate(shape.value)
                ),
            },
            rounds=rounds,
            calls=60,
        )


def _valid(issues: list[Any]) -> None:
    assert issues == []


@contextmanager
def _reading(*, checked: bool) -> Iterator[nx.Kernel]:
    """A kernel with the standard stack, where the contract is in force or is not."""
    with tempfile.TemporaryDirectory() as folder:
        run = nx.Run.create(folder, seed=1)
        hooks = {"read": {"output": TOKENS}} if checked else {}
        stack = nx.standard_stack(run, contracts=hooks)
        plugins = nx.discover(READER)
        with nx.Kernel("bench", specs=[Specs], run=run, plugins=plugins, middleware=stack) as made:
            yield made
