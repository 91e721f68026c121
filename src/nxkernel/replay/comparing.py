"""Comparing: the first place where two values, or two ends of a call, differ, in words."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

import attrs

from nxkernel._blob import Blob
from nxkernel._canonical import encode
from nxkernel._plain import render

__all__ = ["Difference", "between", "shown"]

#: Characters of a value that are shown.
_SHOWN: Final = 80
_ABSENT: Final = object()

Steps = list[str | int]


@attrs.frozen(kw_only=True)
class Difference:
    """What is not as it was recorded."""

    #: ``value``: both answered; ``error``: both failed; ``outcome``: one of them failed; ``asked``:
    #: the plugin called back otherwise.
    kind: Literal["value", "error", "outcome", "asked"]
    #: For ``value``: the first place that differs, as a JSON path: ``$.items[3]``.
    path: str = ""
    #: What stood there, shortened, and what stands there now.
    then: str
    now: str

    def __str__(self) -> str:
        where = f"at {self.path}: " if self.path else ""
        return f"{where}{self.then} then, {self.now} now"


def between(then: Any, now: Any) -> Difference | None:
    """Return the first difference between two plain values, or None when their bytes are equal.

    Keys of maps are gone through in order, so it does not depend on that of either map.
    """
    found = _first(then, now, [])
    if found is None:
        return None
    steps, one, other = found
    return Difference(kind="value", path=render("$", steps), then=shown(one), now=shown(other))


def _first(then: Any, now: Any, steps: Steps) -> tuple[Steps, Any, Any] | None:
    if isinstance(then, dict) and isinstance(now, dict):
        names: list[Any] = sorted(then.keys() | now.keys())
        pairs = [(name, then.get(name, _ABSENT), now.get(name, _ABSENT)) for name in names]
    elif isinstance(then, list) and isinstance(now, list):
        longest = range(max(len(then), len(now)))
        pairs = [(i, _item(then, i), _item(now, i)) for i in longest]
    else:
        return None if _same(then, now) else (steps, then, now)
    for name, one, other in pairs:
        found = _first(one, other, [*steps, name])
        if found is not None:
            return found
    return None


def _item(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else _ABSENT


def _same(then: Any, now: Any) -> bool:
    """By their bytes: 1 is not 1.0, and 0.0 not -0.0."""
    if then is _ABSENT or now is _ABSENT:
        return then is now
    return encode(then) == encode(now)


def shown(value: Any) -> str:
    """Return *value* as JSON on one line, shortened; what JSON lacks is named."""
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value, default=_named, ensure_ascii=True, sort_keys=True)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _named(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes {value[:16].hex()}"
    return str(value.digest) if isinstance(value, Blob) else repr(value)
