"""Frozen values made from others, for the path of every call.

A frozen attrs class with thirty fields takes two bytecodes and a lookup of each field's descriptor
to fill, and ``attrs.evolve`` asks the class for its fields besides. A class that keeps its fields
in a dict (``slots=False``) can be given all of them at once, copied by the interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

__all__ = ["altered", "filled"]

T = TypeVar("T")
_new = object.__new__
#: The only way past a frozen class's own ``__setattr__``.
_put = object.__setattr__
#: Classes that were found fit for this.
_plain: set[type] = set()


def altered(value: T, /, **changes: Any) -> T:
    """Return *value*, of a frozen attrs class with ``slots=False``, with *changes*.

    Raises:
        TypeError: when the class checks or converts its fields, or has slots.
        KeyError: when there is no such field.
    """
    cls = type(value)
    if cls not in _plain:
        _admit(cls)
    before = value.__dict__
    fields = {**before, **changes}
    if len(fields) != len(before):
        raise KeyError(sorted(changes.keys() - before.keys())[0])
    made = _new(cls)
    _put(made, "__dict__", fields)
    return made


def filled(cls: type[T], fields: Mapping[str, Any]) -> T:
    """Return a value of *cls* whose fields are *fields*, every one of them; the dict is its own.

    Nothing is checked: the fields come from a value of that class that was made properly, a
    template, and from whoever changes some of them.
    """
    made = _new(cls)
    _put(made, "__dict__", fields)
    return made


def _admit(cls: type) -> None:
    if any(each.validator or each.converter for each in attrs.fields(cls)):
        raise TypeError(f"{cls.__name__} checks its fields: use attrs.evolve")
    if "__slots__" in vars(cls):
        raise TypeError(f"{cls.__name__} has slots: use attrs.evolve")
    _plain.add(cls)
