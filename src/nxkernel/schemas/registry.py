"""Schemas, compiled once and applied many times."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
from jsonschema import Draft7Validator

from nxkernel import _canonical
from nxkernel._pickling import Rooted
from nxkernel._shape import Shape
from nxkernel.errors import SchemaInvalid
from nxkernel.schemas._executable import executable
from nxkernel.schemas._fast import Holds, fast
from nxkernel.schemas._reference import BudgetSpent, errors_of, metaschema, reference
from nxkernel.schemas._spread import spread
from nxkernel.schemas.contracts import load_contract
from nxkernel.schemas.defaults import with_defaults
from nxkernel.schemas.draft7 import as_given, check_keywords, is_draft7, modern
from nxkernel.schemas.folder import SchemaFolder
from nxkernel.schemas.installed import GROUP, offered
from nxkernel.schemas.instance import obstacle, shape_of
from nxkernel.schemas.issues import SchemaIssue, issues_of, shown
from nxkernel.schemas.joined import Find, joined
from nxkernel.schemas.patterns import to_python
from nxkernel.schemas.profile import MAX_SCHEMA_BYTES, check_size, plain, profile, refused
from nxkernel.schemas.published import bundled
from nxkernel.schemas.secrets import Secrets

__all__ = ["CompiledSchema", "SchemaRegistry", "own", "shared"]

DOMAIN = b"nx.schema.v1\0"
#: Most errors of the library that are looked at before the first twenty are taken.
MAX_ERRORS = 1000
#: Most compiled schemas that one registry keeps.
MAX_KEPT = 1024

_META, _META_7 = metaschema(), metaschema(Draft7Validator)


@attrs.frozen(eq=False)
class CompiledSchema(Rooted):
    """A schema that was checked, ready to validate; threads may share it."""

    _instead = "compile the schema there"

    #: The schema as plain values; what was of draft 7 is written as 2020-12.
    schema: Any
    #: Digest of the canonical bytes of what was given.
    digest: str
    #: Which places of a value are secret.
    secrets: Secrets
    _patterns: Mapping[str, str]
    _validator: Any
    #: Says quickly that a value is valid, or None where jsonschema-rs is not installed.
    _holds: Holds | None
    #: Whether the value of a shape is valid for certain; False says nothing.
    fits: Holds = attrs.field(init=False)

    @fits.default
    def _fits(self) -> Holds:
        return _nothing_is if self._holds is None else self._holds

    def validate(self, instance: Any, *, shape: Shape | None = None) -> list[SchemaIssue]:
        """Return what is wrong with *instance*, sorted, at most twenty issues; [] is valid.

        *instance* is made of plain values: None, bool, int, float, str, list, dict. Other types
        pass where the schema says nothing, and are no type of JSON Schema's. *shape* is what was
        seen of it when it was decoded, if it was, so that nobody has to look through it again.
        """
        return [] if self.holds(instance, shape=shape) else self._issues(instance)

    @property
    def quick(self) -> bool:
        """Whether :meth:`holds` can say yes at all: jsonschema-rs is there and takes the schema."""
        return self._holds is not None

    def holds(self, instance: Any, *, shape: Shape | None = None) -> bool:
        """Whether *instance* is valid for certain, said quickly; False says nothing.

        *shape* is as for :meth:`validate`.
        """
        if self._holds is None:
            return False
        known = shape is not None and shape.value is instance
        seen = shape if known else shape_of(instance)
        return seen is not None and self._holds(seen)

    def _issues(self, instance: Any) -> list[SchemaIssue]:
        """The reference's verdict, and every word that is said of it."""
        found = obstacle(instance)
        if found:
            return [self._obstacle(*found)]
        try:
            errors = errors_of(self._validator, instance, MAX_ERRORS)
        except BudgetSpent:
            return [_limit("", "takes more steps to check than are allowed")]
        except RecursionError:
            return [_limit("", "is nested deeper than can be checked")]
        return issues_of(errors, self._patterns, self.secrets)

    def _obstacle(self, path: tuple[str | int, ...], reason: str) -> SchemaIssue:
        return _limit(shown(path[: self.secrets.reached(path)]), reason)

    def defaults(self, value: Any) -> Any:
        """Return *value* with the schema's defaults for every key that was left out."""
        return with_defaults(self.schema, value)


def _nothing_is(_shape: Shape) -> bool:
    return False


def _limit(path: str, reason: str) -> SchemaIssue:
    return SchemaIssue(
        instance_path=path, keyword="limit", schema_path="", code="limit", message=reason
    )


class SchemaRegistry(Rooted):
    """Compiles schemas and keeps them by the digest of their content.

    Accepted is a closed profile of JSON Schema 2020-12, and of draft 7 where ``$schema`` names it:
    no references but inside the document, to documents that were loaded beside it and to published
    schemas, which are copied into it; no unknown keywords, no pattern that can be made to run for
    ever. ``format`` is an annotation.
    """

    _instead = "compile the schemas there"

    def __init__(self) -> None:
        self._kept: dict[str, CompiledSchema] = {}

    def compile(self, schema: Any, *, name: str = "") -> CompiledSchema:
        """Check *schema* and return it ready for use; *name* says whose it is in errors.

        Raises:
            SchemaInvalid: malformed or outside the profile; the message has the place.
        """
        try:
            given = plain(schema)
            return self._compiled(given if is_draft7(given) else bundled(given))
        except SchemaInvalid as error:
            if not name:
                raise
            details = {**error.details, "schema": name}
            raise SchemaInvalid(f"{name}{error.message}", details=details) from None

    def join(self, name: str, document: Any, find: Find) -> CompiledSchema:
        """Compile *document*, whose place is *name*, with the documents that it refers to.

        *find* returns name and content of the one at a place, or None where there is none.

        Raises:
            SchemaInvalid: as :meth:`compile`, with the file and the place in it.
        """
        whole = joined(name, document, find)
        try:
            return self.compile(whole.schema)
        except SchemaInvalid as error:
            raise whole.placed(error) from None

    def load(self, folder: Path | str) -> dict[str, CompiledSchema]:
        """Compile every ``*.schema.json`` in *folder*, by its path there.

        They may refer to one another, by their paths or by the ``$id`` that they have; to nothing
        else. No link is followed, and nothing is read that is not in the folder.

        Raises:
            SchemaInvalid: for the first that cannot be read or accepted: the file, the place, why.
        """
        schemas = SchemaFolder(Path(folder))
        documents = schemas.all()
        return {name: self.join(name, documents[name], schemas.find) for name in documents}

    def load_installed(self, group: str = GROUP) -> dict[str, CompiledSchema]:
        """Compile the schemas that installed distributions offer, as ``<entry point>/<path>``.

        An entry point of *group* names a folder or a file in a package, ``package:contracts``. The
        package is not imported: none of its code runs here.

        Raises:
            SchemaInvalid: as :meth:`load`, and for an entry point that names nothing.
        """
        found: dict[str, CompiledSchema] = {}
        for entry, folder, file in offered(group):
            try:
                loaded = self._one(folder, file) if file else self.load(folder)
            except SchemaInvalid as error:
                message = f"entry point {entry}: {error.message}"
                raise SchemaInvalid(message, details=error.details) from None
            found |= {f"{entry}/{name}": schema for name, schema in loaded.items()}
        return found

    def _one(self, folder: Path, file: str) -> dict[str, CompiledSchema]:
        schemas = SchemaFolder(folder)
        return {file: self.join(file, schemas.document(file), schemas.find)}

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


@cache
def own(name: str) -> CompiledSchema:
    """Return one of nxkernel's own contracts, ready for use.

    That it is a schema is shown by a test, and not to each process anew: it takes as long as
    reading fifty manifests.
    """
    schema = bundled(plain(load_contract(name)))
    return _compile(schema, _digest(schema), checked=True)


@cache
def shared() -> SchemaRegistry:
    """Return the registry of this process.

    What it keeps is known by its content: who shares it notices nothing but the time saved.
    """
    return SchemaRegistry()


def _digest(schema: Any) -> str:
    found = obstacle(schema)
    if found:
        raise refused(*found)
    try:
        data = _canonical.encode(schema)
    except _canonical.NotCanonical:
        raise refused((), "holds text that is not Unicode") from None
    if len(data) > MAX_SCHEMA_BYTES:
        raise refused((), f"takes more than {MAX_SCHEMA_BYTES >> 20} MiB")
    return _canonical.digest(data, DOMAIN)


def _compile(given: Any, digest: str, *, checked: bool = False) -> CompiledSchema:
    """*checked*: it is known that *given* is a schema."""
    schema = _modernised(given) if is_draft7(given) else given
    try:
        profiled = profile(schema)
    except SchemaInvalid as error:
        raise (as_given(error, given) if is_draft7(given) else error) from None
    if not checked:
        _check_meta(schema, _META)
    run = executable(schema, to_python)
    quick = fast(schema, spread(profiled))
    return CompiledSchema(schema, digest, Secrets(schema), profiled.patterns, reference(run), quick)


def _modernised(schema: Any) -> Any:
    check_size(schema)
    check_keywords(schema)
    _check_meta(schema, _META_7)
    return bundled(modern(schema))


def _check_meta(schema: Any, meta: Any) -> None:
    try:
        errors = errors_of(meta, schema, MAX_ERRORS)
    except BudgetSpent:
        raise refused((), "takes more steps to check than are allowed") from None
    issues = issues_of(errors, {}, Secrets(True))
    if issues:
        first = issues[0]
        place = "#" + first.instance_path
        raise SchemaInvalid(f"{place}: {first.message}", details={"pointer": place})
