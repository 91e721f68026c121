"""What pickle and copy make of the public face: values cross, and what lives here says so.

Values leave a process in the application's hands, not on our wire: with Dask, in a pool of
processes, into a cache. Most frozen values do that by themselves. Not so those with a read-only
mapping, which Python cannot pickle, and which is the default of a field so that making such a value
costs nothing: they say here what they are made of, when they are asked and no sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

import attrs

__all__ = ["Portable", "Rooted"]


class Portable:
    """A frozen attrs value, of which some mappings may be read-only views.

    A copy has views in the same places. It is made by the class itself, so that a pickle of a
    version with fewer fields gets the defaults of the others.
    """

    # The road not taken is ``copyreg``: it would teach the application's pickles something as well.

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        cls: Any = type(self)
        fields = {each.alias: getattr(self, each.name) for each in attrs.fields(cls)}
        views = [name for name, value in fields.items() if isinstance(value, MappingProxyType)]
        return _made, (cls, fields | {name: dict(fields[name]) for name in views}, views)


def _made(cls: type, fields: Mapping[str, Any], views: list[str]) -> Any:
    return cls(**{**fields, **{name: MappingProxyType(fields[name]) for name in views}})


class Rooted:
    """What cannot leave its process: it holds workers, locks, files or secrets.

    Left to itself pickle would say which lock it met deep within, and a copy would share them.
    """

    __slots__ = ()
    #: What to do instead: an order, with which a sentence ends.
    _instead: ClassVar[str]

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"{name} cannot be copied or pickled: it belongs to this process; "
            f"instead, {self._instead}"
        )
