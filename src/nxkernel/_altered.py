"""A frozen value with some fields changed, for the path of every call.

``attrs.evolve`` asks the class for its fields and calls its ``__init__`` with each by name. With
the thirty fields of a call that takes three times as long as to copy them one by one, which is what
this writes a function for, once for each class, as attrs does for ``__init__``. A loop over the
fields takes almost twice as long as the function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

__all__ = ["altered"]

T = TypeVar("T")
_Copier = Callable[[Any, dict[str, Any]], Any]
_copiers: dict[type, _Copier] = {}


def altered(value: T, /, **changes: Any) -> T:
    """Return *value*, of a frozen slotted attrs class, with *changes*.

    Raises:
        TypeError: when the class checks or converts its fields.
        KeyError: when there is no such field.
    """
    cls = type(value)
    copier = _copiers.get(cls)
    if copier is None:
        copier = _copiers[cls] = _made(cls)
    made: T = copier(value, changes)
    return made


def _made(cls: type) -> _Copier:
    fields = attrs.fields(cls)
    if any(each.validator or each.converter for each in fields):
        raise TypeError(f"{cls.__name__} checks its fields: use attrs.evolve")
    setters = {each.name: getattr(cls, each.name).__set__ for each in fields}
    lines = [
        "def copier(value, changes):",
        "    made = new(cls)",
        *(f"    set_{name}(made, value.{name})" for name in setters),
        "    for name, each in changes.items():",
        "        setters[name](made, each)",
        "    return made",
    ]
    names: dict[str, Any] = {"cls": cls, "new": object.__new__, "setters": setters}
    names |= {f"set_{name}": setter for name, setter in setters.items()}
    exec("\n".join(lines), names)
    copier: _Copier = names["copier"]
    return copier
