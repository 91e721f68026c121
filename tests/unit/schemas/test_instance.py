"""What no schema is asked about."""

from __future__ import annotations

import pytest

from nxkernel.schemas.instance import json_type, obstacle


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "integer"),
        (1.0, "number"),
        ("", "string"),
        ([], "array"),
        ({}, "object"),
        (b"", "bytes"),
        ((), "tuple"),
    ],
)
def test_types_have_the_names_of_json(value: object, name: str) -> None:
    """Where JSON has no name, Python's is used."""
    assert json_type(value) == name


def test_the_first_obstacle_in_reading_order_is_reported() -> None:
    """By sorted key and then by index, whatever the order of the dict."""
    assert obstacle({"b": float("nan"), "a": [1, 2**64]}) == (
        ("a", 1),
        "is an integer of more than 64 bits",
    )


def test_the_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of small values is refused by its size."""
    monkeypatch.setattr("nxkernel.schemas.instance.MAX_NODES", 10)
    assert obstacle([0] * 9) is None
    assert obstacle([0] * 10) == ((), "holds more than 10 values")
