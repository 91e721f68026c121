"""Libraries that a plugin imports later: guarded as soon as they are there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["install"]

Guard = Callable[[ModuleType], None]


def install(guards: Mapping[str, Guard]) -> None:
    """Call the guard of each module named, now if it is there, else once it was imported."""
    waiting = {}
    for name in sorted(guards):
        if name in sys.modules:
            guards[name](sys.modules[name])
        else:
            waiting[name] = guards[name]
    sys.meta_path.insert(0, _Finder(waiting))


class _Finder:
    """Finds a module as the other finders do, and has its loader call the guard at the end."""

    def __init__(self, waiting: dict[str, Guard]) -> None:
        self._waiting = waiting

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find what somebody waits for; None for every other module."""
        guard = self._waiting.get(fullname)
        if guard is None:
            return None
        for finder in sys.meta_path:
            found = None if finder is self else finder.find_spec(fullname, path, target)
            if found is not None:
                return _through(found, guard)
        return None


def _through(spec: ModuleSpec, guard: Guard) -> ModuleSpec:
    loader: Any = spec.loader
    if loader is not None:
        spec.loader = _Loader(loader, guard)  # type: ignore[assignment]
    return spec


class _Loader:
    """Loads as *loader* does; the module never sees that it was not alone."""

    def __init__(self, loader: Any, guard: Guard) -> None:
        self._loader, self._guard = loader, guard

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module as the loader does."""
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, then guard it."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._guard(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
