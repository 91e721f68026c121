"""Which places of a value are secret: what its schema marks ``writeOnly``, however it says so.

A place is secret when any schema that may have a say in it carries the mark: through references,
in either branch of an alternative, whether or not that branch holds. To mask too much is a
nuisance; to mask too little is a leak that an append-only log keeps for ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nxkernel.schemas._copies import mapped
from nxkernel.schemas.applied import Subschema, below, here

__all__ = ["MASK", "Secrets"]

#: What stands in the place of a secret, whatever that is.
MASK = "********"
#: Keywords that quote values of the schema's author; one of them may be the secret.
_QUOTES = frozenset({"const", "default", "enum", "examples"})


class Secrets:
    """The secret places of the values of one schema, which is inside the profile."""

    def __init__(self, schema: Any) -> None:
        self._root = schema
        #: Whether there can be any.
        self.any = _marks(schema)

    def reached(self, path: Sequence[str | int]) -> int | None:
        """Return how many parts of *path* lead to the secret that it enters, or None."""
        if not self.any:
            return None
        schemas = here(self._root, [self._root])
        for length, part in enumerate(path):
            if self._secret(schemas):
                return length
            schemas = here(self._root, below(schemas, part))
        return len(path) if self._secret(schemas) else None

    def masked(self, value: Any) -> Any:
        """Return *value* with :data:`MASK` for each secret: for all that it holds, keys included.

        *value* is plain and of bounded depth, as :func:`~nxkernel.schemas.instance.obstacle` says.
        """
        return self._masked([self._root], value) if self.any else value

    def words(self, value: Any) -> list[str]:
        """Return what could give a secret of *value* away: its texts, keys and numbers, sorted."""
        return sorted(set(self._words([self._root], value))) if self.any else []

    def schema(self) -> Any:
        """Return the schema as it may be shown: one with secrets quotes no value."""
        return mapped(self._root, _unquoted) if self.any else self._root

    def _masked(self, schemas: Iterable[Any], value: Any) -> Any:
        applied = here(self._root, schemas)
        if not applied:
            return value
        if self._secret(applied):
            return MASK
        if isinstance(value, dict):
            return {key: self._masked(below(applied, key), value[key]) for key in value}
        if isinstance(value, list):
            return [self._masked(below(applied, i), item) for i, item in enumerate(value)]
        return value

    def _words(self, schemas: Iterable[Any], value: Any) -> Iterator[str]:
        applied = here(self._root, schemas)
        if self._secret(applied):
            yield from _scalars(value)
        elif isinstance(value, dict):
            for key in value:
                yield from self._words(below(applied, key), value[key])
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._words(below(applied, index), item)

    def _secret(self, applied: Iterable[Subschema]) -> bool:
        for schema in applied:
            # A secret key cannot be masked by itself: its neighbours would tell which it was.
            names = here(self._root, [schema.get("propertyNames")])
            if any(each.get("writeOnly") is True for each in (schema, *names)):
                return True
            if _marks(schema.get("contentSchema")):
                return True
        return False


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _scalars(item)
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield json.dumps(value)


def _marks(value: Any) -> bool:
    """Whether ``writeOnly`` stands anywhere in *value*; a constant that reads so counts too."""
    if isinstance(value, Mapping):
        return value.get("writeOnly") is True or any(map(_marks, value.values()))
    return isinstance(value, list) and any(map(_marks, value))


def _unquoted(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: MASK if key in _QUOTES else value for key, value in schema.items()}
