"""What is wrong with a value, in words of ours: the same bytes for the same cause.

The library's messages quote the value, and their text changes between versions. These name types
and the schema's own constants, and never what the value holds: it may be private.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import attrs
from jsonschema import ValidationError

from nxkernel.schemas.instance import json_type
from nxkernel.schemas.profile import MAX_SHOWN, pointer, shortened
from nxkernel.schemas.secrets import Secrets

__all__ = ["MAX_ISSUES", "SchemaIssue", "issues_of", "leading", "shown"]

#: Most issues that one validation reports.
MAX_ISSUES = 20
_OF_A_SECRET = {
    "const": "is not the value that the schema allows",
    "enum": "is none of the values that the schema allows",
    "pattern": "is not text of the form that the schema asks for",
}
#: Most names of a schema among which one that is near is looked for.
MAX_NAMES = 200

CODES = {
    "additionalProperties": "unknown_key",
    "const": "not_allowed",
    "dependentRequired": "missing",
    "enum": "not_allowed",
    "exclusiveMaximum": "out_of_range",
    "exclusiveMinimum": "out_of_range",
    "false": "not_allowed",
    "maxContains": "wrong_size",
    "maxItems": "wrong_size",
    "maxLength": "wrong_size",
    "maxProperties": "wrong_size",
    "maximum": "out_of_range",
    "minContains": "wrong_size",
    "minItems": "wrong_size",
    "minLength": "wrong_size",
    "minProperties": "wrong_size",
    "minimum": "out_of_range",
    "multipleOf": "out_of_range",
    "pattern": "wrong_form",
    "required": "missing",
    "type": "wrong_type",
    "unevaluatedItems": "wrong_size",
    "unevaluatedProperties": "unknown_key",
    "uniqueItems": "repeated",
}


@attrs.frozen(kw_only=True, order=True)
class SchemaIssue:
    """One thing that is wrong with a value.

    ``instance_path`` and ``schema_path`` are JSON Pointers (RFC 6901); ``""`` is the whole value.
    """

    instance_path: str
    keyword: str
    schema_path: str
    #: A short stable word: ``missing``, ``wrong_type``, ``unknown_key`` ...
    code: str
    #: What was expected; holds nothing of the value but the names of types.
    message: str

    @property
    def where(self) -> str:
        """The place as people write it: ``hooks[0].impl``."""
        parts = self.instance_path.split("/")[1:]
        named = [f"[{p}]" if p.isascii() and p.isdigit() else f".{_unescape(p)}" for p in parts]
        return "".join(named).removeprefix(".")

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


def leading(issues: list[SchemaIssue]) -> SchemaIssue:
    """Return the issue to begin with: a misspelt key explains a missing one, else the first."""
    misspelt = [i for i in issues if i.code == "unknown_key" and "did you mean" in i.message]
    return (misspelt or issues)[0]


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def issues_of(
    errors: Iterable[ValidationError], patterns: Mapping[str, str], secrets: Secrets
) -> list[SchemaIssue]:
    """Return the issues behind the library's *errors*, sorted, at most :data:`MAX_ISSUES`.

    *patterns* leads back to the schema's own. Of what is in one of *secrets*, no key is named and
    no constant that it might be.
    """
    found = sorted(set(_all(errors, patterns, secrets)))
    # A hint takes longer than all the rest, so only what is shown gets one.
    return list(dict.fromkeys(each.issue() for each in found[:MAX_ISSUES]))


@attrs.frozen(order=True)
class _Found:
    """An issue, and what its message goes on with once it is known that it will be shown."""

    draft: SchemaIssue
    unknown: bool = False
    #: The key that is not known, and those that are.
    key: str = ""
    names: tuple[str, ...] = ()

    def issue(self) -> SchemaIssue:
        if not self.unknown:
            return self.draft
        near = get_close_matches(self.key[:MAX_SHOWN], self.names[:MAX_NAMES], 1)
        hint = f"did you mean {_show(near[0])}?" if near else f"known: {_known(self.names)}"
        return attrs.evolve(self.draft, message=f"{self.draft.message}; {hint}")


def _all(
    errors: Iterable[ValidationError], patterns: Mapping[str, str], secrets: Secrets
) -> Iterator[_Found]:
    for error in errors:
        relevant = _relevant(error)
        if relevant is not None:
            yield from _all(relevant, patterns, secrets)
        else:
            yield from _issues(error, patterns, secrets)


def _relevant(error: ValidationError) -> list[ValidationError] | None:
    """The errors of the one alternative that was meant, by its type, or None."""
    if error.validator not in ("anyOf", "oneOf") or not error.context:
        return None
    branches: dict[Any, list[ValidationError]] = {}
    for child in error.context:
        branches.setdefault(child.relative_schema_path[0], []).append(child)
    meant = [errors for errors in branches.values() if not any(map(_other_type, errors))]
    return meant[0] if len(meant) == 1 and len(branches) > 1 else None


def _other_type(error: ValidationError) -> bool:
    """Whether an alternative is about another type than the value has."""
    values: Any = {"enum": error.validator_value, "const": [error.validator_value]}
    constants = values.get(error.validator, [error.instance])
    other = all(json_type(value) != json_type(error.instance) for value in constants)
    return not error.relative_path and (error.validator == "type" or other)


def _issues(error: Any, patterns: Mapping[str, str], secrets: Secrets) -> Iterator[_Found]:
    keyword = str(error.validator)
    place = tuple(patterns.get(str(part), part) for part in error.absolute_schema_path)
    if keyword == "not" and error.validator_value == {}:
        keyword, place = "false", place[:-1]  # `false` is compiled as {"not": {}}
    names = _names(error.schema) if keyword == "additionalProperties" else None
    for key, message in _messages(keyword, error, patterns):
        if "propertyNames" in place:
            message = f"as a key: {message}"
        path = (*error.absolute_path, *key)
        if (length := secrets.reached(path)) is not None:
            message = _discreet(keyword, message, inside=length < len(path))
            path = path[:length]
        draft = SchemaIssue(
            instance_path=shown(path),
            keyword=keyword,
            schema_path=pointer(place),
            code=CODES.get(keyword, "no_match"),
            message=message,
        )
        if names is None or length is not None:
            yield _Found(draft)
        else:
            yield _Found(draft, True, str(key[0]), names)


def _names(schema: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(schema.get("properties", {})))


def _discreet(keyword: str, message: str, *, inside: bool) -> str:
    """What may be said of a secret: neither what is in it nor which values it is not."""
    if inside:
        return "what is in this secret is not what its schema asks for"
    return _OF_A_SECRET.get(keyword, message)


def shown(path: Iterable[str | int]) -> str:
    """Return *path* as a JSON Pointer with its long keys cut."""
    return pointer(tuple(map(shortened, path)))


Key = tuple[str | int, ...]


def _messages(keyword: str, error: Any, patterns: Mapping[str, str]) -> Iterator[tuple[Key, str]]:
    """Yield what to say, each with the place below the error's own."""
    if keyword in _MANY:
        yield from _MANY[keyword](error)
    elif keyword == "pattern":
        yield (), f"expected text that matches {patterns.get(error.validator_value, '')}"
    elif keyword in _ONE:
        yield (), _ONE[keyword](error.validator_value, error)
    else:
        yield (), f"does not satisfy {keyword!r}"


def _show(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def _choice(values: Iterable[str]) -> str:
    shown = list(values)
    if len(shown) > 12:
        return f"one of {len(shown)} values"
    return f"one of {', '.join(shown)}" if len(shown) > 1 else "".join(shown)


def _type(value: Any, error: Any) -> str:
    names = [value] if isinstance(value, str) else value
    return f"expected {' or '.join(names)}, got {json_type(error.instance)}"


def _none_of(value: Any, error: Any) -> str:
    if error.validator == "oneOf" and not error.context:
        return f"matches more than one of {len(value)} alternatives"
    wrong = [e for e in error.context if e.validator == "type" and not e.relative_path]
    types = sorted({e.validator_value for e in wrong if isinstance(e.validator_value, str)})
    hint = f": expected {' or '.join(types)}, got {json_type(error.instance)}" if types else ""
    return f"matches none of {len(value)} alternatives{hint}"


def _plural(count: Any, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


_ONE: dict[str, Callable[[Any, Any], str]] = {
    "anyOf": _none_of,
    "const": lambda value, _: f"expected {_show(value)}",
    "contains": lambda *_: "expected an item that matches 'contains'",
    "enum": lambda value, _: f"expected {_choice(map(_show, value))}",
    "exclusiveMaximum": lambda value, _: f"expected less than {value}",
    "exclusiveMinimum": lambda value, _: f"expected more than {value}",
    "false": lambda *_: "nothing is allowed here",
    "maxContains": lambda *_: "expected fewer items that match 'contains'",
    "maxItems": lambda value, _: f"expected at most {_plural(value, 'item')}",
    "maxLength": lambda value, _: f"expected at most {_plural(value, 'character')}",
    "maxProperties": lambda value, _: f"expected at most {_plural(value, 'key')}",
    "maximum": lambda value, _: f"expected at most {value}",
    "minContains": lambda *_: "expected more items that match 'contains'",
    "minItems": lambda value, _: f"expected at least {_plural(value, 'item')}",
    "minLength": lambda value, _: f"expected at least {_plural(value, 'character')}",
    "minProperties": lambda value, _: f"expected at least {_plural(value, 'key')}",
    "minimum": lambda value, _: f"expected at least {value}",
    "multipleOf": lambda value, _: f"expected a multiple of {value}",
    "not": lambda *_: "matches what 'not' excludes",
    "oneOf": _none_of,
    "type": _type,
    "unevaluatedItems": lambda *_: "holds items that no part of the schema describes",
    "unevaluatedProperties": lambda *_: "holds keys that no part of the schema describes",
    "uniqueItems": lambda *_: "expected items that differ from each other",
}


def _missing(error: Any) -> Iterator[tuple[Key, str]]:
    for key in _first(set(error.validator_value) - set(error.instance)):
        yield (), f"missing key {_show(key)}"


def _missing_beside(error: Any) -> Iterator[tuple[Key, str]]:
    for key, needed in sorted(error.validator_value.items()):
        for name in _first(set(needed) - set(error.instance)) if key in error.instance else ():
            yield (), f"missing key {_show(name)}, needed beside {_show(key)}"


def _unknown(error: Any) -> Iterator[tuple[Key, str]]:
    schema: Mapping[str, Any] = error.schema
    patterns = [re.compile(p) for p in schema.get("patternProperties", {})]
    keys = error.instance.keys() - schema.get("properties", {}).keys()
    for key in _first(key for key in keys if not any(p.search(key) for p in patterns)):
        yield (key,), "unknown key"


def _first(keys: Iterable[str]) -> list[str]:
    """The keys that come first among their issues; more of them than that are never shown."""
    return heapq.nsmallest(MAX_ISSUES, keys, key=lambda key: (shown((key,)), _show(key)))


def _known(names: tuple[str, ...]) -> str:
    return ", ".join(names) if 0 < len(names) <= 12 else f"{len(names)} other keys"


_MANY: dict[str, Callable[[Any], Iterator[tuple[Key, str]]]] = {
    "additionalProperties": _unknown,
    "dependentRequired": _missing_beside,
    "required": _missing,
}
