"""The reference page of values says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from nxkernel._plain import Refused, plain
from nxkernel._structure import MAX_LEVELS
from nxkernel._values import lower
from nxkernel.errors import CallRejected
from nxkernel.middleware.contracts import as_json

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "values.md").read_text(
    encoding="utf-8"
)
EXAMPLES = re.findall(r"^(\S.*): (set cannot.*|a naive.*|expected.*)$", PAGE, re.MULTILINE)


def test_the_messages_are_real() -> None:
    """The first refusal that the page shows is the one that the code gives."""
    value = {"meta": [0, 1, 2, {1}]}
    with pytest.raises(CallRejected) as caught:
        lower(value, Any, "frame")
    assert tuple(caught.value.message.split(": ", 1)) in EXAMPLES


def test_the_limits_are_real() -> None:
    """Both depths stand on the page as they are in the code."""
    value: Any = []
    for _ in range(200):
        value = [value]
    with pytest.raises(Refused, match="200 levels"):
        plain(value)
    assert "nest to 200 levels" in PAGE
    assert f"nest to {MAX_LEVELS} of them" in PAGE


def test_the_description_of_bytes_is_real() -> None:
    """What a contract sees of bytes stands on the page as it is."""
    assert str(as_json(bytes(1024))).replace("'", '"') in PAGE
