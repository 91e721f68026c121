"""jsonschema, the reference validator, made strict and bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.validators import extend
from referencing import Registry

__all__ = ["BudgetSpent", "errors_of", "metaschema", "reference"]

#: Most keywords that one validation may evaluate: alternatives within alternatives multiply, and a
#: reference takes some thirty microseconds. What a keyword walks over counts as well, a sixteenth
#: for each part.
MAX_CHECKS = 250_000
_PARTS = 16
_spent = threading.local()

Check = Callable[[Any, Any, Any, Any], Any]


class BudgetSpent(Exception):
    """The validation took more than :data:`MAX_CHECKS` steps."""


def errors_of(validator: Any, instance: Any, most: int) -> list[ValidationError]:
    """Return the first *most* errors of *instance*.

    Raises:
        BudgetSpent: when they take too long to find.
        RecursionError: when schema and value nest too deeply, which does not depend on the caller.
    """
    try:
        return _found(validator, instance, most)
    except RecursionError:
        # The caller may stand deep in a stack of its own; that of a new thread is empty.
        return _elsewhere(lambda: _found(validator, instance, most))


def _found(validator: Any, instance: Any, most: int) -> list[ValidationError]:
    _spent.left = MAX_CHECKS * _PARTS
    return list(islice(validator.iter_errors(instance), most))


def _elsewhere(search: Callable[[], list[ValidationError]]) -> list[ValidationError]:
    ends: list[Any] = []

    def run() -> None:
        try:
            ends.append(search())
        except (BudgetSpent, RecursionError) as error:
            ends.append(error.with_traceback(None))

    thread = threading.Thread(target=run, name="nxkernel-schema")
    thread.start()
    thread.join()
    found: Any = ends[0]
    if isinstance(found, Exception):
        raise found
    return found  # type: ignore[no-any-return]


def _spend(parts: int) -> None:
    _spent.left -= parts
    if _spent.left < 0:
        raise BudgetSpent


def _counted(keyword: str, check: Check) -> Check:
    walked = _WALKED.get(keyword, lambda *_: 0)

    def run(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _spend(_PARTS + walked(value, instance, schema))
        return check(validator, value, instance, schema)

    return run


def _size(value: Any) -> int:
    return len(value) if type(value) in (dict, list, str) else 0


def _of_instance(_value: Any, instance: Any, _schema: Any) -> int:
    return _size(instance)


def _of_value(value: Any, _instance: Any, _schema: Any) -> int:
    return _size(value)


def _squared(_value: Any, instance: Any, _schema: Any) -> int:
    # The library looks for each key or index in the list of those that were evaluated.
    return _size(instance) * _size(instance) // 64


def _by_pattern(_value: Any, instance: Any, schema: Any) -> int:
    return _size(instance) * (1 + _size(schema.get("patternProperties")))


#: How many parts a keyword walks over by itself, by its value, the instance and what is beside it.
_WALKED: dict[str, Callable[[Any, Any, Any], int]] = {
    "additionalProperties": _by_pattern,
    "contains": _of_instance,
    "dependentRequired": lambda value, *_: sum(map(len, value.values())),
    "dependentSchemas": _of_value,
    "items": _of_instance,
    "pattern": lambda _, instance, __: _size(instance) // 64,
    "patternProperties": _by_pattern,
    "prefixItems": _of_value,
    "properties": _of_value,
    "propertyNames": _of_instance,
    "required": _of_value,
    "unevaluatedItems": _squared,
    "unevaluatedProperties": _squared,
}


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
    _spend(1)
    if type(value) is list:
        return ("array", *map(_identity, value))
    if type(value) is dict:
        return ("object", frozenset((key, _identity(item)) for key, item in value.items()))
    return (type(value) is bool, value)


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are equal in JSON; walks no further than the first difference."""
    _spend(1)
    if type(one) is list and type(other) is list:
        return len(one) == len(other) and all(map(_equal, one, other))
    if type(one) is dict and type(other) is dict:
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return (type(one) is bool) is (type(other) is bool) and one == other


def _const(_: Any, constant: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not _equal(constant, instance):
        yield ValidationError("is another value")


def _enum(_: Any, values: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not any(_equal(value, instance) for value in values):
        yield ValidationError("is none of the values")


def _required(_: Any, names: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # The library gives an error for each name; `issues` reads all of them from one.
    if type(instance) is dict and not all(name in instance for name in names):
        yield ValidationError("keys are missing")


def _beside(_: Any, names: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if type(instance) is dict and not all(
        name in instance for key in names if key in instance for name in names[key]
    ):
        yield ValidationError("keys are missing")


def _names(validator: Any, names: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # The library gives a key's error the place of the object; this one gives it the key's.
    if type(instance) is dict:
        for key in instance:
            yield from validator.descend(instance=key, schema=names, path=key)


_CHECKS: dict[str, Check] = dict(Draft202012Validator.VALIDATORS)
_CHECKS |= {
    "const": _const,
    "dependentRequired": _beside,
    "enum": _enum,
    "propertyNames": _names,
    "required": _required,
    "uniqueItems": _unique,
}
_extend: Any = extend
_Validator = _extend(
    Draft202012Validator,
    validators={keyword: _counted(keyword, check) for keyword, check in _CHECKS.items()},
    type_checker=TypeChecker(_IS),
)


def reference(schema: Any) -> Any:
    """Return a validator for *schema* that can fetch nothing: its registry is empty."""
    return _Validator(schema, registry=Registry())


def metaschema(draft: Any = Draft202012Validator) -> Any:
    """Return a validator of schemas of *draft*; the meta-schemas are part of the library."""
    return _Validator(draft.META_SCHEMA)
