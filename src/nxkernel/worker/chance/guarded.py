"""Stand-ins for functions that draw: they look like them, pickle like them, and tell of the caller.

Objects and not Python functions: a function that is put into a class becomes a method and is handed
the instance, which the built-in function that it stands for never was.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from nxkernel.worker.chance.sources import Source
from nxkernel.worker.chance.watch import Watch

__all__ = ["Entropy", "Guarded", "Seeding", "Unless"]


class Guarded:
    """Stands for *original*, which is found as *name* in the module *module*."""

    def __init__(
        self, original: Callable[..., Any], watch: Watch, source: Source, module: str, name: str
    ) -> None:
        functools.update_wrapper(self, original)
        self.__module__, self.__name__, self.__qualname__ = module, name, name
        self._original, self._watch, self._source = original, watch, source

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Tell the watch, and do what the original does."""
        self._watch.met(self._source)
        return self._original(*args, **kwargs)

    def __reduce__(self) -> str:
        """Pickled, and copied, as what a module calls by this name."""
        return self.__qualname__

    def __repr__(self) -> str:
        return repr(self._original)


class Entropy(Guarded):
    """Stands for a function that gives bytes of the operating system, by their number."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Tell the watch; at import in mode strict, give bytes that follow from the seed."""
        if self._watch.met(self._source):
            size = args[0] if args else kwargs["size"]
            return self._watch.reserve(size)
        return self._original(*args, **kwargs)


class Unless(Guarded):
    """Stands for a function that is all right with a certain argument: a seed, a generator."""

    def __init__(self, *args: Any, argument: str, position: int | None = 0) -> None:
        super().__init__(*args)
        self._argument, self._position = argument, position

    def _is_given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        if self._position is not None and len(args) > self._position:
            return args[self._position] is not None
        return kwargs.get(self._argument) is not None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Tell the watch where the argument is missing."""
        if not self._is_given(args, kwargs):
            self._watch.met(self._source)
        return self._original(*args, **kwargs)


class Seeding(Unless):
    """Stands for what seeds a global generator: from then on it may be used in this call."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Note that the generator is seeded, or tell the watch that the seed is missing."""
        if self._is_given(args, kwargs):
            self._watch.seeded.add(self._source.generator)
        else:
            self._watch.seeded.discard(self._source.generator)
            self._watch.met(self._source)
        return self._original(*args, **kwargs)
