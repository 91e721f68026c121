"""Who gave each setting that is in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from nxkernel.plugins.layers import Layer
from nxkernel.schemas.profile import pointer
from nxkernel.schemas.secrets import MASK, Secrets
from nxkernel.settings import Setting, Source

__all__ = ["Provenance"]

Path = tuple[str, ...]


class Provenance:
    """What each layer gave, the strongest last; what none gave is a default of the schema."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._givers = [_Giver(layer, _places(layer)) for layer in reversed(layers)]

    def entries(self, shown: Any, secrets: Secrets) -> tuple[Setting, ...]:
        """Return a setting for each value of *shown* that is no table with keys in it, by path.

        *shown* is masked already: a table that is a secret is one setting.
        """
        found = [self._entry(path, value, secrets) for path, value in _leaves(shown)]
        return tuple(sorted(found, key=lambda each: each.path))

    def _entry(self, path: Path, value: Any, secrets: Secrets) -> Setting:
        source, origin = self.of(pointer(path))
        secret = value == MASK and secrets.reached(path) is not None
        return Setting(path=pointer(path), value=value, source=source, origin=origin, secret=secret)

    def blame(self, place: str, values: Any) -> str:
        """Return a remark on who gave the value at *place*, if that was not the application's code.

        *values* are the settings in force; what is not there, and what has several parts, was given
        by nobody in particular.
        """
        if place not in {pointer(path) for path, _ in _leaves(values)}:
            return ""
        source, origin = self.of(place)
        if source in ("schema", "manifest"):
            return f" (from the {source}'s default)"
        return f" (from {origin})" if origin else ""

    def of(self, place: str) -> tuple[Source, str]:
        """Return who gave the setting at *place*, and the name of the file or the variable."""
        for giver in self._givers:
            if place in giver.places:
                return giver.layer.source, giver.origin(place)
        return "schema", ""


@attrs.frozen
class _Giver:
    layer: Layer
    #: Where it gave something, and every table around these places.
    places: frozenset[str]

    def origin(self, place: str) -> str:
        named = self.layer.origin
        if isinstance(named, str):
            return named
        # A variable may give a table of which this is a part; a part, where this is a masked table.
        about = [each for each in sorted(named) if _within(place, each) or _within(each, place)]
        return named[about[-1]] if about else ""


def _within(place: str, table: str) -> bool:
    return f"{place}/".startswith(f"{table}/")


def _places(layer: Layer) -> frozenset[str]:
    paths = [path for path, _ in _leaves(layer.values.reveal())]
    return frozenset(pointer(path[:length]) for path in paths for length in _lengths(path))


def _lengths(path: Path) -> range:
    return range(1, len(path) + 1)


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping) and value:
        for key in value:
            yield from _leaves(value[key], (*path, key))
    elif path:
        yield path, value
