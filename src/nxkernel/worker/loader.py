"""Imports a plugin from its verified copy and finds its hookimpls as pluggy would."""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import random
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from nxkernel._hookimpls import FoundImpl, find_hookimpls
from nxkernel._iterators import is_awaited
from nxkernel._wire import Setup
from nxkernel.errors import PluginDisabled
from nxkernel.types import EMPTY
from nxkernel.worker.compiled import import_compiled
from nxkernel.worker.context import PluginContext
from nxkernel.worker.environment import enter

__all__ = ["construct", "load"]


def load(
    setup: Setup, context: PluginContext, fresh: Mapping[str, bytes] = EMPTY
) -> Mapping[str, FoundImpl]:
    """Import the plugin's object, construct it if it is a class, and return its hookimpls.

    *fresh*: byte code that was compiled just now, by source.

    Raises:
        PluginDisabled: when the entrypoint names nothing.
        BaseException: whatever the plugin's own code raises.
    """
    import_compiled(setup.code_dir, setup.bytecode, fresh)
    if setup.environment is not None:
        enter(setup.environment, setup.fence.read)
    # An installed plugin's own package first: its full name must not lead to where it is installed.
    home = [os.path.join(setup.code_dir, *setup.inside.split("/"))] if setup.inside else []
    sys.path[:0] = [folder for folder in (*home, setup.code_dir, setup.api_dir) if folder]
    sys.argv[:] = [setup.plugin]
    # Seeded before the plugin's first import: many libraries draw at import time.
    random.seed(setup.import_seed)
    plugin = construct(_resolve(setup.entrypoint), context)
    found = find_hookimpls(setup.project, plugin)
    if any(is_awaited(impl.function) for impl in found.values()):
        # What few plugins need is not in the zygote; but a start shall pay for it, and no call.
        importlib.import_module("asyncio")
    return found


def _resolve(entrypoint: str) -> Any:
    module, _, path = entrypoint.partition(":")
    target: Any = importlib.import_module(module)
    if not path:
        return target
    try:
        return functools.reduce(getattr, path.split("."), target)
    except AttributeError:
        raise PluginDisabled(
            f"entrypoint {entrypoint!r}: module {module!r} has no {path!r}", code="plugin.start"
        ) from None


def construct(target: Any, context: PluginContext) -> Any:
    """A module or an instance is used as it is; a class is called, with the context if it may."""
    if isinstance(target, ModuleType) or not inspect.isclass(target):
        return target
    cls: Any = target
    if cls.__init__ is object.__init__:
        # Asking inspect for the signature of a builtin costs milliseconds of every start.
        return cls()
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    takes_one = any(
        p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) for p in parameters
    )
    return cls(context) if takes_one else cls()
