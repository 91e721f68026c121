"""Who provides which hook, and in which order: pluggy's registry over proxies.

pluggy registers, verifies and orders; the calls themselves are made by the executor. So a proxy is
a real function with the hookimpl's own argument names, because pluggy reads those from its code,
and nothing ever runs it.
"""

from __future__ import annotations

import builtins
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pluggy

from nxkernel import _forks, _locks
from nxkernel.dispatch.executor import Provider
from nxkernel.errors import PluginDisabled
from nxkernel.hookspecs import HookSpec
from nxkernel.types import ImplFacts, PluginId

__all__ = ["Entry", "Order", "Registry"]


@attrs.frozen
class Entry:
    """What one edition of a plugin implements."""

    plugin: PluginId
    priority: int
    impls: tuple[ImplFacts, ...]
    edition: int = 1


@attrs.define(eq=False)
class Order:
    """Who provides what at one moment, and how many hook calls go by it."""

    _providers: Mapping[str, tuple[Provider, ...]]
    #: As many as there are calls: to add and to delete is one step each, whoever else does it, and
    #: neither is a call, after which an interrupt may strike.
    entered: list[None] = attrs.Factory(list)

    @property
    def calls(self) -> int:
        """How many hook calls go by it."""
        return len(self.entered)

    def of(self, hook: str) -> tuple[Provider, ...]:
        """Return the providers of *hook* in calling order."""
        return self._providers.get(hook, ())


class Registry:
    """The hookimpls of all plugins. Thread-safe.

    A hook call goes by one order from its first provider to its last, also when the registry
    changes meanwhile: that is what ``enter`` and ``leave`` are for. Once the last call has left
    the orders from before a change, nobody knows what was there before.
    """

    def __init__(
        self,
        project: str,
        specs: Mapping[str, HookSpec],
        ring: Callable[[], None] = lambda: None,
        failing: Callable[[PluginId], int] = lambda _: 0,
    ) -> None:
        """*ring* is called when the last call has left an order that is not in force any more.

        *failing*: where plugins of the same priority stand, those with a smaller number first; it
        says the same for as long as a plugin has the same code.
        """
        self._failing = failing
        self._project = project
        self._specs = specs
        self._ring = ring
        self._entries: dict[PluginId, Entry] = {}
        #: The order in force, or None after a change.
        self._order: Order | None = None
        self._older: list[Order] = []
        self._lock = _locks.lock()
        #: Held by who changes the entries, which takes longer than a call may have to wait.
        self._changing = _locks.lock()
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: no thread that could hold the locks is there."""
        self._lock, self._changing = _locks.lock(), _locks.lock()

    def register(
        self, plugin: PluginId, priority: int, impls: Sequence[ImplFacts], edition: int = 1
    ) -> None:
        """Register the hookimpls of *plugin*, after pluggy has verified them.

        Raises:
            PluginDisabled: when pluggy refuses one, or it implements a hook that does not exist.
        """
        self.verify(plugin, impls)
        self.change({plugin: Entry(plugin, priority, tuple(impls), edition)})

    def unregister(self, plugin: PluginId) -> None:
        """Forget *plugin*, for calls that begin from now on."""
        self.change({plugin: None})

    def change(self, entries: Mapping[PluginId, Entry | None]) -> None:
        """Put these in the place of what their plugins had, None for nothing, all at once."""
        with self._changing:
            after = {**self._entries, **entries}
            self._entries = {name: entry for name, entry in after.items() if entry is not None}
            if self._order is None:
                return  # While a kernel boots: one order for all, when the first is asked for.
            fresh = self._arranged()
            with self._lock:
                before, self._order = self._order, fresh
                self._older = [each for each in (*self._older, before) if each.calls]

    def enter(self) -> Order:
        """Return the order in force, for a call that leaves it when it is over."""
        while True:
            order = self._order
            if order is None:
                self._arrange()
                continue
            entered = order.entered
            entered += (None,)
            if order is self._order:
                return order
            self.leave(order)  # A change came in between, and may not have seen this call.

    def leave(self, order: Order) -> None:
        """The call that entered *order* is over."""
        del order.entered[-1]
        self.left(order)

    def left(self, order: Order) -> None:
        """The call that entered *order* has taken itself out of it."""
        if order is not self._order and not order.entered:
            self._ring()

    def is_quiet(self) -> bool:
        """Whether no call goes by an order that is not in force any more."""
        with self._lock:
            self._older = [each for each in self._older if each.calls]
            return not self._older

    def verify(self, plugin: PluginId, impls: Sequence[ImplFacts]) -> None:
        """Raise PluginDisabled unless pluggy takes these hookimpls for the project's hooks."""
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
        if spec is not None and spec.options.stream and facts.wraps:
            raise _refused(
                plugin,
                f"hookimpl {facts.impl!r} is a wrapper, and hook {facts.hook!r} streams: there is "
                "no result that it could stand around",
            )
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
        self.change({plugin: Entry(plugin, priority, tuple(known))})

    def impls(self, plugin: PluginId) -> tuple[ImplFacts, ...]:
        """Return what *plugin* implements."""
        entry = self._entries.get(plugin)
        return entry.impls if entry else ()

    def providers(self, hook: str) -> tuple[Provider, ...]:
        """Return the providers of *hook* in calling order.

        pluggy calls the last registered first, so plugins are registered in descending
        (priority, failures, id): among equals they are called in ascending order.
        """
        order = self._order or self._arrange()
        return order.of(hook)

    def _arrange(self) -> Order:
        with self._changing:
            # Asked again: another thread may have been faster.
            if self._order is None:
                self._order = self._arranged()
            return self._order

    def _arranged(self) -> Order:
        manager = pluggy.PluginManager(self._project)
        manager.add_hookspecs(_holder([self._specs[name] for name in sorted(self._specs)]))
        entries = sorted(self._entries.values(), key=self._rank, reverse=True)
        for entry in entries:
            manager.register(_proxies(self._project, entry.plugin, entry.impls), entry.plugin)
        return Order({name: self._ordered(manager, name) for name in sorted(self._specs)})

    def _rank(self, entry: Entry) -> tuple[int, int, str]:
        """What the order follows from, and nothing else."""
        return entry.priority, self._failing(entry.plugin), entry.plugin

    def _ordered(self, manager: pluggy.PluginManager, hook: str) -> tuple[Provider, ...]:
        found = reversed(getattr(manager.hook, hook).get_hookimpls())
        return tuple(self._provider(impl.plugin_name, impl.function) for impl in found)

    def _provider(self, plugin: str, function: Any) -> Provider:
        entry = self._entries[PluginId(plugin)]
        facts = next(f for f in entry.impls if f.impl == function.__name__)
        return Provider(entry.plugin, facts, entry.edition)


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
