"""Who provides which hook, and in which order: pluggy's registry over proxies.

pluggy registers, verifies and orders; the calls themselves are made by the executor. So a proxy is
a real function with the hookimpl's own argument names, because pluggy reads those from its code,
and nothing ever runs it.
"""

from __future__ import annotations

import builtins
import types
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pluggy

from nxkernel.dispatch.executor import Provider
from nxkernel.errors import PluginDisabled
from nxkernel.hookspecs import HookSpec
from nxkernel.types import ImplFacts, PluginId

__all__ = ["Registry"]


@attrs.frozen
class _Entry:
    plugin: PluginId
    priority: int
    impls: tuple[ImplFacts, ...]


class Registry:
    """The hookimpls of all plugins."""

    def __init__(self, project: str, specs: Mapping[str, HookSpec]) -> None:
        self._project = project
        self._specs = specs
        self._entries: dict[PluginId, _Entry] = {}
        self._order: dict[str, tuple[Provider, ...]] = {}

    def register(self, plugin: PluginId, priority: int, impls: Sequence[ImplFacts]) -> None:
        """Register the hookimpls of *plugin*, after pluggy has verified them.

        Raises:
            PluginDisabled: when pluggy refuses one, or it implements a hook that does not exist.
        """
        self._verify(plugin, impls)
        self._entries[plugin] = _Entry(plugin, priority, tuple(impls))
        self._order.clear()

    def _verify(self, plugin: PluginId, impls: Sequence[ImplFacts]) -> None:
        for facts in impls:
            if facts.hook not in self._specs and not facts.optionalhook:
                known = ", ".join(sorted(self._specs))
                raise _refused(plugin, f"hook {facts.hook!r} does not exist; known: {known}")
            self._verify_arguments(plugin, facts)
        trial = pluggy.PluginManager(self._project)
        offered = sorted({facts.hook for facts in impls} & self._specs.keys())
        if offered:
            trial.add_hookspecs(_holder([self._specs[name] for name in offered]))
        try:
            trial.register(_proxies(self._project, plugin, impls), plugin)
        except pluggy.PluginValidationError as error:
            raise _refused(plugin, str(error).replace("\n", " ")) from None

    def _verify_arguments(self, plugin: PluginId, facts: ImplFacts) -> None:
        """pluggy checks this too, but its message lists a set, whose order may vary."""
        spec = self._specs.get(facts.hook)
        if spec is not None and (unknown := sorted(set(facts.args) - set(spec.args))):
            raise _refused(
                plugin,
                f"hookimpl {facts.impl!r} wants {unknown[0]!r}, which hook {facts.hook!r} does not"
                f" give; its arguments are: {', '.join(spec.args) or 'none'}",
            )

    def register_declared(
        self, plugin: PluginId, priority: int, declared: Sequence[ImplFacts]
    ) -> None:
        """Register what a plugin that does not run would have provided.

        So that each of its hooks has an outcome that says why, instead of one provider less.
        """
        known = [facts for facts in declared if facts.hook in self._specs]
        self._entries[plugin] = _Entry(plugin, priority, tuple(known))
        self._order.clear()

    def impls(self, plugin: PluginId) -> tuple[ImplFacts, ...]:
        """Return what *plugin* implements."""
        entry = self._entries.get(plugin)
        return entry.impls if entry else ()

    def providers(self, hook: str) -> tuple[Provider, ...]:
        """Return the providers of *hook* in calling order.

        pluggy calls the last registered first, so plugins are registered in descending
        (priority, id): among equals they are called in ascending order.
        """
        if not self._order:
            self._arrange()
        return self._order.get(hook, ())

    def _arrange(self) -> None:
        manager = pluggy.PluginManager(self._project)
        manager.add_hookspecs(_holder([self._specs[name] for name in sorted(self._specs)]))
        entries = sorted(self._entries.values(), key=lambda e: (e.priority, e.plugin), reverse=True)
        for entry in entries:
            manager.register(_proxies(self._project, entry.plugin, entry.impls), entry.plugin)
        self._order = {name: self._ordered(manager, name) for name in sorted(self._specs)}

    def _ordered(self, manager: pluggy.PluginManager, hook: str) -> tuple[Provider, ...]:
        found = reversed(getattr(manager.hook, hook).get_hookimpls())
        return tuple(
            Provider(PluginId(impl.plugin_name), self._facts(impl.plugin_name, impl.function))
            for impl in found
        )

    def _facts(self, plugin: str, function: Any) -> ImplFacts:
        name = function.__name__
        return next(f for f in self._entries[PluginId(plugin)].impls if f.impl == name)


def _refused(plugin: PluginId, reason: str) -> PluginDisabled:
    return PluginDisabled(f"plugin {plugin!r}: {reason}", code="plugin.handshake", plugin=plugin)


def _holder(specs: Sequence[HookSpec]) -> Any:
    return _object("specs", {spec.name: spec.function for spec in specs})


def _proxies(project: str, plugin: str, impls: Sequence[ImplFacts]) -> Any:
    return _object(plugin, {facts.impl: _proxy(project, facts) for facts in impls})


def _object(name: str, functions: Mapping[str, Any]) -> Any:
    """An object with these functions and, for pluggy's search of hooks, nothing else.

    pluggy looks at every name of ``dir()``, which costs more than all the rest of registering.
    """
    body: dict[str, Any] = {each: staticmethod(f) for each, f in functions.items()}
    names = sorted(functions)
    return type(name, (), {**body, "__dir__": lambda _: names})()


def _plain() -> Any:
    raise RuntimeError("a proxy is called through the kernel")


def _wrapper() -> Any:
    yield


def _proxy(project: str, facts: ImplFacts) -> types.FunctionType:
    """A function with the hookimpl's signature and pluggy's mark."""
    names = (*facts.args, *facts.kwargs)
    template = _wrapper if facts.wraps else _plain
    code = template.__code__.replace(
        co_argcount=len(names),
        co_nlocals=len(names),
        co_varnames=names,
        co_name=facts.impl,
        co_qualname=facts.impl,
    )
    defaults = (None,) * len(facts.kwargs)
    function = types.FunctionType(code, {"__builtins__": builtins}, facts.impl, defaults)
    options = {
        "wrapper": facts.wrapper,
        "hookwrapper": facts.hookwrapper,
        "optionalhook": facts.optionalhook,
        "tryfirst": facts.tryfirst,
        "trylast": facts.trylast,
        "specname": facts.hook if facts.hook != facts.impl else None,
    }
    setattr(function, project + "_impl", options)
    return function
