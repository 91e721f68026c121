"""Whole numbers that an application gives, held to what they may be."""

from __future__ import annotations

from typing import Any

__all__ = ["unfit"]


def unfit(value: Any, least: int, most: int) -> str | None:
    """Say what *value* is, for a message, if it is no int from *least* to *most*; else None."""
    if not isinstance(value, int) or isinstance(value, bool):
        return repr(value)
    if least <= value <= most:
        return None
    # One of thousands of digits cannot be written.
    return repr(value) if abs(value) < 1 << 64 else "a number far from these"
