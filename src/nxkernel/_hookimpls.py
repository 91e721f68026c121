"""The hookimpls of an object as pluggy finds them: a plugin in a worker, a builtin in the host."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pluggy

from nxkernel._values import hints_of, needs_structuring
from nxkernel.errors import PluginDisabled
from nxkernel.types import HookName, ImplFacts

__all__ = ["FoundImpl", "find_hookimpls"]


@attrs.frozen
class FoundImpl:
    """One hookimpl, ready to be called."""

    facts: ImplFacts
    function: Callable[..., Any]
    #: Annotations of its arguments and, under ``return``, of its result.
    hints: Mapping[str, Any]
    #: The names of its arguments, or None if the annotation of any of them asks for more than plain
    #: values.
    taken: frozenset[str] | None = attrs.field(init=False)
    #: The annotation of its result, or ``Any``.
    returns: Any = attrs.field(init=False)
    #: Whether that asks for nothing more than plain values.
    plain: bool = attrs.field(init=False)

    @taken.default
    def _taken(self) -> frozenset[str] | None:
        names = frozenset((*self.facts.args, *self.facts.kwargs))
        return None if any(map(needs_structuring, map(self.hints.get, names))) else names

    @returns.default
    def _returns(self) -> Any:
        return self.hints.get("return", Any)

    @plain.default
    def _plain(self) -> bool:
        return not needs_structuring(self.returns)


def find_hookimpls(project: str, plugin: Any) -> dict[str, FoundImpl]:
    """Return the hookimpls of *plugin* by the name of their attribute, sorted.

    Raises:
        PluginDisabled: for a wrapper whose function has no yield. pluggy finds that too, but only
            once it knows the hookspec.
    """
    manager = _Manager(project)
    manager.register(plugin, "plugin")
    registered = {
        (caller.name, impl.function): impl
        for caller in manager.get_hookcallers(plugin) or ()
        for impl in caller.get_hookimpls()
    }
    found = {}
    for attribute, options in sorted(manager.marked.items()):
        hook = options.get("specname") or attribute
        impl = registered[hook, getattr(plugin, attribute)]
        found[attribute] = _found(attribute, hook, impl)
    return found


class _Manager(pluggy.PluginManager):
    """Notes what it finds, and does not look where nothing can be.

    Most names of an object are Python's own, and to look behind one costs more than anything else
    that is done for a plugin at its start. A hookimpl cannot have such a name: its proxy's would be
    called by Python.
    """

    def __init__(self, project: str) -> None:
        super().__init__(project)
        self.marked: dict[str, Mapping[str, Any]] = {}

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """Return the options of the hookimpl *name*, or None if it is none."""
        if name.startswith("__"):
            return None
        options = super().parse_hookimpl_opts(plugin, name)
        if options is not None:
            self.marked[name] = options
        return options


def _found(attribute: str, hook: str, impl: pluggy.HookImpl) -> FoundImpl:
    facts = ImplFacts(
        impl=attribute,
        hook=HookName(hook),
        args=tuple(impl.argnames),
        kwargs=tuple(impl.kwargnames),
        wrapper=bool(impl.wrapper),
        hookwrapper=bool(impl.hookwrapper),
        tryfirst=bool(impl.tryfirst),
        trylast=bool(impl.trylast),
        optionalhook=bool(impl.optionalhook),
    )
    if facts.wraps and not inspect.isgeneratorfunction(impl.function):
        raise PluginDisabled(
            f"hookimpl {attribute!r} is a wrapper, but its function has no yield",
            code="plugin.start",
        )
    return FoundImpl(facts, impl.function, hints_of(impl.function))
