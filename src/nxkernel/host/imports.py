"""Imports a folder's modules into this process under names of their own, and takes them away again.

For in-process hosting alone. The folder is not on ``sys.path``: what a plugin calls ``json`` or
``helper`` must not become the application's, nor the application's the plugin's. Its modules are
found below a root package whose name nobody else has, and each is executed with an ``__import__``
that looks there first. What the standard library and our own runtime are called stays theirs, as in
a worker, which has them loaded before the plugin.

``importlib.import_module("helper")`` in a plugin goes past this, and finds nothing.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import itertools
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from nxkernel.errors import PluginDisabled

__all__ = ["RUNTIME", "PrivateImports"]

#: Top-level names of nxkernel and of what it needs to run.
RUNTIME = frozenset({"attr", "attrs", "cattrs", "msgspec", "nxkernel", "pluggy"})
_numbers = itertools.count(1)


class PrivateImports:
    """The modules of one folder. Thread-safe as far as importing is."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        #: The package below which they are found; also the beginning of their names.
        self.root = f"_nxkernel_inproc_{next(_numbers)}"
        self._builtins = {**vars(builtins), "__import__": self._import}
        self._finder = _Finder(self.root, self._builtins)

    def load(self, entrypoint: str) -> Any:
        """Import and return what ``module:object`` or ``module`` names.

        Raises:
            PluginDisabled: when it names nothing.
            BaseException: whatever the code raises.
        """
        package = ModuleType(self.root)
        package.__path__ = [self._folder]
        sys.modules[self.root] = package
        sys.meta_path.insert(0, self._finder)
        name, _, path = entrypoint.partition(":")
        target: Any = importlib.import_module(f"{self.root}.{name}")
        try:
            return functools.reduce(getattr, path.split("."), target) if path else target
        except AttributeError:
            raise PluginDisabled(
                f"entrypoint {entrypoint!r}: module {name!r} has no {path!r}", code="plugin.start"
            ) from None

    def unload(self) -> None:
        """Forget every module; safe to call twice. Objects that somebody holds live on."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for name in [n for n in sys.modules if n == self.root or n.startswith(f"{self.root}.")]:
            del sys.modules[name]
        below = (self._folder, f"{self._folder}/")
        for path in [p for p in sys.path_importer_cache if p == below[0] or p.startswith(below[1])]:
            del sys.path_importer_cache[path]

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Stand for ``__import__`` in the folder's modules."""
        first = name.partition(".")[0]
        if level or not self._has(first):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = builtins.__import__(f"{self.root}.{name}", globals, locals, fromlist or (), 0)
        # `import a.b` binds a; with a list, the last module is what the names are taken from.
        return found if fromlist else sys.modules[f"{self.root}.{first}"]

    @functools.cache  # noqa: B019 - forgotten with the plugin
    def _has(self, first: str) -> bool:
        if first in sys.stdlib_module_names or first in RUNTIME:
            return False
        return PathFinder.find_spec(f"{self.root}.{first}", [self._folder]) is not None


class _Finder:
    """Finds the modules below one root."""

    def __init__(self, root: str, names: Mapping[str, Any]) -> None:
        self._prefix = f"{root}."
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Do what a finder does; everybody else's names are none of its business."""
        if not fullname.startswith(self._prefix):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader) and spec.origin:
            spec.loader = _Loader(fullname, spec.origin, self._names)
        return spec


class _Loader(SourceFileLoader):
    """Executes a module with the folder's own ``__import__``.

    A worker's door has the like of it in its own file: it is there before the package is.
    """

    def __init__(self, fullname: str, path: str, names: Mapping[str, Any]) -> None:
        super().__init__(fullname, path)
        self._names = names

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module."""
        module.__dict__["__builtins__"] = self._names
        super().exec_module(module)

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write no bytecode: the folder is a verified copy, and stays as it is."""
