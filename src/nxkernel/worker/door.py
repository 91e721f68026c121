"""The door: two sets of libraries in one process, the runtime's and the plugin's.

A worker speaks to its host through a few third-party libraries (msgspec, attrs, cattrs, pluggy),
and its plugin may have the same ones in other versions. So before a plugin with an environment of
its own is imported, everything that is no part of the standard library, nor of nxkernel, is set
aside: it leaves ``sys.modules``, and the plugin's own copies are imported in its place. The code
that was imported before keeps the objects that it refers to.

What is left are imports that run later, inside of a function. For them, modules of the runtime are
executed with builtins of their own, whose ``__import__`` is the door's: what was set aside is found
there, by the runtime and by nobody else. The plugin's modules have Python's own ``__import__``, at
its full speed.

Standard library only: this is loaded before anything else of nxkernel.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["Door", "open_door"]

_PACKAGE = "nxkernel"
#: Top-level names that stay where they are.
_SHARED = frozenset({*sys.stdlib_module_names, "__main__", _PACKAGE})


class Door:
    """Finds and loads the modules of the runtime, and keeps those that were set aside."""

    def __init__(self, package: Path) -> None:
        """*package* is nxkernel's own folder, which need not be on ``sys.path``."""
        self._package = package
        self._aside: dict[str, ModuleType] = {}
        self._tops: frozenset[str] = frozenset()
        self._import = builtins.__import__
        self._builtins = {**vars(builtins), "__import__": self._import_for_runtime}
        #: ``sys.path`` of the standard library alone.
        self.library = tuple(sys.path)

    # -- loading (the protocol of ``sys.meta_path``) -------------------------------------------

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of the runtime; None for every other one."""
        top = fullname.partition(".")[0]
        if fullname == _PACKAGE:
            return self._own_package()
        if top == _PACKAGE or (not self.is_apart and top not in _SHARED):
            return self._through(PathFinder.find_spec(fullname, path, target))
        return None

    def _own_package(self) -> ModuleSpec | None:
        return self._through(
            importlib.util.spec_from_file_location(
                _PACKAGE,
                self._package / "__init__.py",
                submodule_search_locations=[str(self._package)],
            )
        )

    def _through(self, spec: ModuleSpec | None) -> ModuleSpec | None:
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self._builtins)
        return spec

    # -- setting aside ---------------------------------------------------------------------------

    @property
    def is_apart(self) -> bool:
        """Whether the runtime's libraries were set aside."""
        return bool(self._tops)

    def set_aside(self) -> None:
        """Take the runtime's libraries out of the plugin's sight, for good."""
        names = [name for name in sys.modules if name.partition(".")[0] not in _SHARED]
        self._aside = {name: sys.modules.pop(name) for name in names}
        self._tops = frozenset(name.partition(".")[0] for name in names)
        sys.path[:] = self.library
        sys.path_importer_cache.clear()

    def _import_for_runtime(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Import as ``__import__`` does, and find what was set aside."""
        full = importlib.util.resolve_name("." * level + name, _package_of(globals))
        top = full.partition(".")[0]
        if top not in self._tops:
            return self._import(name, globals, locals, fromlist or (), level)
        module = self._kept(full)
        if not fromlist:
            return self._kept(top)
        for each in fromlist:
            if not hasattr(module, each) and f"{full}.{each}" in self._aside:
                setattr(module, each, self._aside[f"{full}.{each}"])
        return module

    def _kept(self, full: str) -> ModuleType:
        try:
            return self._aside[full]
        except KeyError:
            # Its files may not be read any more; what may be needed is imported by the zygote.
            raise ModuleNotFoundError(
                f"{full!r} was not imported before the runtime was set aside", name=full
            ) from None


def _package_of(globals: Mapping[str, Any] | None) -> str | None:
    package = (globals or {}).get("__package__")
    return package if isinstance(package, str) else None


class _Loader(SourceFileLoader):
    """Executes a module with builtins of its own; functions keep those that they were made with."""

    def __init__(self, fullname: str, path: str, own: Mapping[str, Any]) -> None:
        super().__init__(fullname, path)
        self._own = own

    def exec_module(self, module: ModuleType) -> None:
        """Execute *module*."""
        module.__dict__["__builtins__"] = self._own
        super().exec_module(module)


def open_door(package: Path) -> Door:
    """Have every module of the runtime that is imported from now on come through a door."""
    door = Door(package)
    sys.meta_path.insert(0, door)
    return door
