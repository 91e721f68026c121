"""Compiles a plugin's sources before its first line runs, and imports what was compiled.

Everything else is the import system's own: the paths in tracebacks, the order of finders, what is
done with a file of another interpreter's. No byte code is found by any other way: a plugin's own
``.pyc`` files are no part of its verified copy, and none is looked for.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from typing import Any

__all__ = ["SUFFIX", "compile_ahead", "import_compiled"]

#: How a file of byte code ends, by agreement with the host.
SUFFIX = ".bytecode"
#: The host has hashed the source: its time is nothing to check (PEP 552).
_UNCHECKED = (1).to_bytes(4, "little")


def compile_ahead(
    code_dir: str, sources: Sequence[str], tell: Callable[[str, bytes], None]
) -> dict[str, bytes]:
    """Compile *sources* in their order, and *tell* of each; ``b""`` is one that does not compile.

    What does not compile need not be wrong: it may never be imported. If it is, that says why.
    """
    compiled = {}
    for path in sources:
        data = _compiled(os.path.join(code_dir, *path.split("/")))
        if data:
            compiled[path] = data
        tell(path, data)
    return compiled


def _compiled(source: str) -> bytes:
    try:
        with open(source, "rb") as file:
            data = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = SourceFileLoader("", source).source_to_code(data, source)
        return b"".join(
            (
                importlib.util.MAGIC_NUMBER,
                _UNCHECKED,
                importlib.util.source_hash(data),
                marshal.dumps(code),
            )
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError, OSError):
        return b""


def import_compiled(code_dir: str, place: str, fresh: Mapping[str, bytes]) -> None:
    """Have what lies in *code_dir* imported from the byte code in *place*, or from *fresh* ones."""

    loader: Any = partial(_Loader, code_dir, place, fresh)
    find = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES), (loader, list(SOURCE_SUFFIXES))
    )

    def hook(path: str) -> object:
        if path != code_dir and not path.startswith(code_dir + os.sep):
            raise ImportError("only what lies in the verified copy", path=path)
        return find(path)

    sys.path_hooks.insert(0, hook)  # type: ignore[arg-type]


class _Loader(SourceFileLoader):
    """A loader of sources whose byte code lies elsewhere."""

    def __init__(
        self, code_dir: str, place: str, fresh: Mapping[str, bytes], fullname: str, path: str
    ) -> None:
        super().__init__(fullname, path)
        self._code_dir, self._place, self._fresh = code_dir, place, fresh

    def get_data(self, path: str) -> bytes:
        """Return the bytes of *path*; what the import system takes for its cache is ours."""
        if path == self.path or not path.endswith(".pyc"):
            return super().get_data(path)
        source = os.path.relpath(self.path, self._code_dir).replace(os.sep, "/")
        if source in self._fresh:
            return self._fresh[source]
        if not self._place:
            raise FileNotFoundError(path)
        return super().get_data(os.path.join(self._place, source + SUFFIX))
