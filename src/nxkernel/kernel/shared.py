"""Modules of the application that its plugins may import for their types.

Only the modules that ``Kernel(api=)`` names are there for a worker, and as verified copies like a
plugin's own code: naming ``screenmem.api`` opens neither the rest of ``screenmem`` nor the folder
that it lies in. Parent packages are namespaces in the copy; their ``__init__`` would import what
is not there.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

from nxkernel._temporary import temporary
from nxkernel.errors import KernelConfigError
from nxkernel.plugins.codestore import CodeStore

__all__ = ["share"]


def share(modules: Sequence[str], store: CodeStore) -> Path | None:
    """Return a folder from which exactly *modules* can be imported, or None for no modules.

    Raises:
        KernelConfigError: for a module that does not exist or has no source file.
        PluginDisabled: for links or devices in a package.
    """
    if not modules:
        return None
    with temporary("api") as folder:
        for module in sorted(set(modules)):
            _stage(module, folder)
        return store.admit(folder).path


def _stage(module: str, folder: Path) -> None:
    source = _source(module)
    target = folder.joinpath(*module.split("."))
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.name == "__init__.py":
        # Links are kept as links: the store refuses them with their name.
        shutil.copytree(source.parent, target, symlinks=True)
    else:
        shutil.copyfile(source, target.with_name(target.name + ".py"), follow_symlinks=False)


def _source(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    origin = spec.origin if spec is not None else None
    if origin is None or not origin.endswith(".py"):
        raise KernelConfigError(
            f"api={module!r}: no such module with a source file; "
            "name a module that this application can import"
        )
    return Path(origin)
