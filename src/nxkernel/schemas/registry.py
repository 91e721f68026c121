"""Schemas, compiled once and applied many times."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import attrs
from jsonschema import ValidationError

from nxkernel import _canonical
from nxkernel.errors import SchemaInvalid
from nxkernel.schemas._reference import BudgetSpent, budget, metaschema, reference
from nxkernel.schemas.defaults import with_defaults
from nxkernel.schemas.instance import obstacle
from nxkernel.schemas.issues import MAX_ISSUES, SchemaIssue, issues_of
from nxkernel.schemas.patterns import to_python
from nxkernel.schemas.profile import LIST, MAP, ONE, plain, pointer, profile

__all__ = ["CompiledSchema", "SchemaRegistry"]

DOMAIN = b"nx.schema.v1\0"
#: Most errors of the library that are looked at before the first twenty are taken.
MAX_ERRORS = 1000
#: Most compiled schemas that one registry keeps.
MAX_KEPT = 1024
#: Keywords whose `false` the library reports well.
CLOSING = frozenset({"additionalProperties", "unevaluatedItems", "unevaluatedProperties"})

_META = metaschema()


@attrs.frozen(eq=False)
class CompiledSchema:
    """A schema that was checked, ready to validate; threads may share it."""

    #: The schema as plain values.
    schema: Any
    #: Digest of its canonical bytes.
    digest: str
    _patterns: Mapping[str, str]
    _validator: Any

    def validate(self, instance: Any) -> list[SchemaIssue]:
        """Return what is wrong with *instance*, sorted, at most twenty issues; [] is valid.

        *instance* is made of plain values: None, bool, int, float, str, list, dict. Other types
        pass where the schema says nothing, and are no type of JSON Schema's.
        """
        found = obstacle(instance)
        if found:
            return [_limit(pointer(found[0]), found[1])]
        budget()
        try:
            errors = list(islice(self._validator.iter_errors(instance), MAX_ERRORS))
        except BudgetSpent:
            return [_limit("", "takes more steps to check than are allowed")]
        except RecursionError:
            return [_limit("", "is nested deeper than can be checked")]
        return sorted(set(issues_of(errors, self._patterns)))[:MAX_ISSUES]

    def defaults(self, value: Any) -> Any:
        """Return *value* with the schema's defaults for every key that was left out."""
        return with_defaults(self.schema, value)


def _limit(path: str, reason: str) -> SchemaIssue:
    return SchemaIssue(
        instance_path=path, keyword="limit", schema_path="", code="limit", message=reason
    )


class SchemaRegistry:
    """Compiles schemas and keeps them by the digest of their content.

    Accepted is a closed profile of JSON Schema 2020-12: no references that leave the document, no
    unknown keywords, no pattern that can be made to run for ever. ``format`` is an annotation.
    """

    def __init__(self) -> None:
        self._kept: dict[str, CompiledSchema] = {}

    def compile(self, schema: Any, *, name: str = "") -> CompiledSchema:
        """Check *schema* and return it ready for use; *name* says whose it is in errors.

        Raises:
            SchemaInvalid: malformed or outside the profile; the message has the place.
        """
        try:
            return self._compiled(plain(schema))
        except SchemaInvalid as error:
            if not name:
                raise
            details = {**error.details, "schema": name}
            raise SchemaInvalid(f"{name}{error.message}", details=details) from None

    def validate(self, instance: Any, schema: Any) -> list[SchemaIssue]:
        """Return what is wrong with *instance* under *schema*; [] is valid.

        Raises:
            SchemaInvalid: as :meth:`compile`.
        """
        return self.compile(schema).validate(instance)

    def defaults(self, schema: Any, value: Any) -> Any:
        """Return *value* with the defaults of *schema* for every key that was left out.

        Raises:
            SchemaInvalid: as :meth:`compile`.
        """
        return self.compile(schema).defaults(value)

    def _compiled(self, schema: Any) -> CompiledSchema:
        digest = _digest(schema)
        kept = self._kept.get(digest)
        if kept is None:
            kept = _compile(schema, digest)
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[digest] = kept
        return kept


def _digest(schema: Any) -> str:
    found = obstacle(schema)
    if found:
        raise SchemaInvalid(f"#{pointer(found[0])}: {found[1]}")
    try:
        return _canonical.digest(_canonical.encode(schema), DOMAIN)
    except _canonical.NotCanonical as error:
        raise SchemaInvalid(f"#: not made of JSON values: {error}") from None


def _compile(schema: Any, digest: str) -> CompiledSchema:
    profiled = profile(schema)
    _check_meta(schema)
    return CompiledSchema(schema, digest, profiled.patterns, reference(_executable(schema)))


def _check_meta(schema: Any) -> None:
    budget()
    errors: list[ValidationError] = list(islice(_META.iter_errors(schema), MAX_ERRORS))
    issues = sorted(set(issues_of(errors, {})))
    if issues:
        first = issues[0]
        place = "#" + first.instance_path
        raise SchemaInvalid(f"{place}: {first.message}", details={"pointer": place})


def _executable(schema: Any) -> Any:
    """Copy *schema* as the library shall run it: keys sorted, patterns in Python's syntax."""
    if schema is False:
        return {"not": {}}  # the library loses the place of an error under `false`
    if schema is True:
        return {}
    copy: dict[str, Any] = {}
    for keyword in sorted(schema):
        copy[keyword] = _executed(keyword, schema[keyword])
    # Without a base address, local references need no registry.
    copy.pop("$id", None)
    copy.pop("$schema", None)
    return copy


def _executed(keyword: str, value: Any) -> Any:
    if value is False and keyword in CLOSING:
        return value
    if keyword == "pattern":
        return to_python(value)
    if keyword in ONE:
        return _executable(value)
    if keyword in LIST:
        return [_executable(item) for item in value]
    if keyword in MAP:
        by_pattern = keyword == "patternProperties"
        return {_name(key, by_pattern): _executable(value[key]) for key in sorted(value)}
    return value


def _name(key: str, is_pattern: bool) -> str:
    return to_python(key) if is_pattern else key
