"""Imports a plugin from its verified copy and finds its hookimpls as pluggy would."""

from __future__ import annotations

import functools
import importlib
import inspect
import random
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import attrs
import pluggy

from nxkernel._values import hints_of
from nxkernel._wire import Impl, Setup
from nxkernel.errors import PluginDisabled
from nxkernel.worker.context import PluginContext

__all__ = ["Loaded", "LoadedImpl", "load"]


@attrs.frozen
class LoadedImpl:
    """One hookimpl, ready to be called."""

    facts: Impl
    function: Callable[..., Any]
    #: Annotations of its arguments.
    hints: Mapping[str, Any]


@attrs.frozen
class Loaded:
    """A plugin in its worker."""

    #: By attribute name.
    impls: Mapping[str, LoadedImpl]


def load(setup: Setup, context: PluginContext) -> Loaded:
    """Import the plugin's object, construct it if it is a class, and list its hookimpls.

    Raises:
        PluginDisabled: when the entrypoint names nothing.
        BaseException: whatever the plugin's own code raises.
    """
    sys.path[:0] = [setup.code_dir]
    sys.argv[:] = [setup.plugin]
    # Seeded before the plugin's first import: many libraries draw at import time.
    random.seed(setup.import_seed)
    plugin = _construct(_resolve(setup.entrypoint), context)
    return Loaded(impls=_hookimpls(setup.project, plugin))


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


def _construct(target: Any, context: PluginContext) -> Any:
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


def _hookimpls(project: str, plugin: Any) -> dict[str, LoadedImpl]:
    manager = pluggy.PluginManager(project)
    manager.register(plugin, "plugin")
    registered = [
        (caller.name, impl)
        for caller in manager.get_hookcallers(plugin) or ()
        for impl in caller.get_hookimpls()
    ]
    found = {}
    for attribute in sorted(dir(plugin)):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is None:
            continue
        hook = options.get("specname") or attribute
        function = getattr(plugin, attribute)
        match = next(i for name, i in registered if name == hook and i.function == function)
        _check_wrapper(attribute, match)
        found[attribute] = _loaded(attribute, hook, match)
    return found


def _check_wrapper(attribute: str, impl: pluggy.HookImpl) -> None:
    """What pluggy checks of a wrapper once it knows the hookspec, which only the host does."""
    wraps = impl.wrapper or impl.hookwrapper
    if wraps and not inspect.isgeneratorfunction(impl.function):
        raise PluginDisabled(
            f"hookimpl {attribute!r} is a wrapper, but its function has no yield",
            code="plugin.start",
        )


def _loaded(attribute: str, hook: str, impl: pluggy.HookImpl) -> LoadedImpl:
    return LoadedImpl(
        facts=Impl(
            impl=attribute,
            hook=hook,
            args=tuple(impl.argnames),
            kwargs=tuple(impl.kwargnames),
            wrapper=bool(impl.wrapper),
            hookwrapper=bool(impl.hookwrapper),
            tryfirst=bool(impl.tryfirst),
            trylast=bool(impl.trylast),
            optionalhook=bool(impl.optionalhook),
        ),
        function=impl.function,
        hints=hints_of(impl.function),
    )
