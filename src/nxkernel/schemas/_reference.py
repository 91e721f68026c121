"""jsonschema, the reference validator, made strict and bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.validators import extend
from referencing import Registry

__all__ = ["BudgetSpent", "budget", "metaschema", "reference"]

#: Most keywords that one validation may evaluate: alternatives within alternatives multiply.
MAX_CHECKS = 1_000_000
_spent = threading.local()

Check = Callable[[Any, Any, Any, Any], Any]


class BudgetSpent(Exception):
    """The validation took more than :data:`MAX_CHECKS` steps."""


def budget() -> None:
    """Begin the count of one validation in this thread."""
    _spent.left = MAX_CHECKS


def _counted(check: Check) -> Check:
    def run(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _spent.left -= 1
        if _spent.left < 0:
            raise BudgetSpent
        return check(validator, value, instance, schema)

    return run


def _is(*types: type) -> Callable[[TypeChecker, Any], bool]:
    # Exact types: a bool is no integer and a tuple no array; the wire has no subclasses.
    return lambda _, value: type(value) in types


def _is_number(_: TypeChecker, value: Any) -> bool:
    return type(value) is int or (type(value) is float and value - value == 0)


def _is_integer(_: TypeChecker, value: Any) -> bool:
    # 1.0 is an integer by JSON Schema 2020-12, section 6.1.1.
    return type(value) is int or (type(value) is float and value.is_integer())


_IS: dict[str, Any] = {
    "array": _is(list),
    "boolean": _is(bool),
    "integer": _is_integer,
    "null": _is(type(None)),
    "number": _is_number,
    "object": _is(dict),
    "string": _is(str),
}


def _unique(_: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # The library compares every pair of items that cannot be sorted.
    asked = wanted is True and type(instance) is list
    if asked and len({_identity(item) for item in instance}) != len(instance):
        yield ValidationError("items repeat")


def _identity(value: Any) -> Any:
    """Equal exactly for values that are equal in JSON: 1 and 1.0, but not 1 and true."""
    if type(value) is list:
        return ("array", *map(_identity, value))
    if type(value) is dict:
        return ("object", frozenset((key, _identity(item)) for key, item in value.items()))
    return (type(value) is bool, value)


def _names(validator: Any, names: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # The library gives a key's error the place of the object; this one gives it the key's.
    if type(instance) is dict:
        for key in instance:
            yield from validator.descend(instance=key, schema=names, path=key)


_CHECKS: dict[str, Check] = dict(Draft202012Validator.VALIDATORS)
_CHECKS |= {"uniqueItems": _unique, "propertyNames": _names}
_extend: Any = extend
_Validator = _extend(
    Draft202012Validator,
    validators={keyword: _counted(check) for keyword, check in _CHECKS.items()},
    type_checker=TypeChecker(_IS),
)


def reference(schema: Any) -> Any:
    """Return a validator for *schema* that can fetch nothing: its registry is empty."""
    return _Validator(schema, registry=Registry())


def metaschema() -> Any:
    """Return a validator of schemas; the meta-schemas are part of the library."""
    return _Validator(Draft202012Validator.META_SCHEMA)
