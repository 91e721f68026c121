"""The embedder's own implementations, called in the host process at level ``host``.

Values take the same way as to a worker: lowered, encoded, decoded, lifted. So a builtin sees what
a plugin would see, and cannot share a mutable argument with its caller.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import traceback
from collections.abc import Generator, Mapping
from typing import Any

import attrs
import pluggy

from nxkernel import _wrappers
from nxkernel._canonical import NotCanonical, decode, digest, encode
from nxkernel._values import NotLiftable, hints_of, lift, lower
from nxkernel._wrappers import arriving, enter, leave
from nxkernel.errors import CallRejected, KernelConfigError, NxError
from nxkernel.host.replies import passed_on
from nxkernel.types import EMPTY, Call, HookName, ImplFacts, Outcome, PluginId

__all__ = ["Builtins"]

#: Files whose frames say nothing about a builtin's failure.
_OURS = {__file__, _wrappers.__file__}


@attrs.frozen
class _Impl:
    facts: ImplFacts
    function: Any
    hints: Mapping[str, Any]


class Builtins:
    """The objects of ``Kernel(builtins=)`` and their suspended wrappers."""

    def __init__(self, project: str, objects: Mapping[str, Any]) -> None:
        self._impls = {
            (PluginId(name), impl.facts.impl): impl
            for name in sorted(objects)
            for impl in _hookimpls(project, objects[name])
        }
        self._suspended: dict[int, Generator[Any, Any, Any]] = {}
        self._tokens = itertools.count(1)

    def impls(self, plugin: PluginId) -> tuple[ImplFacts, ...]:
        """Return what the object registered as *plugin* implements."""
        return tuple(i.facts for (owner, _), i in self._impls.items() if owner == plugin)

    def call(self, call: Call) -> Outcome:
        """Make *call* here and now."""
        impl = self._impls[call.plugin, call.impl]
        inner = call.inner_error
        arrived = arriving(inner.code, inner.message) if inner else None
        try:
            arguments = {} if call.phase == "teardown" else _arguments(impl, call)
        except NotLiftable as error:
            return Outcome.failed(call, "provider.not_applicable", str(error), "host")
        try:
            value, token = self._run(impl, call, arguments, arrived)
        except Exception as error:
            return passed_on(call) if error is arrived else _raised(call, error)
        hint = impl.hints.get("return", Any) if call.phase == "call" else Any
        try:
            payload = encode(lower(value, type(value) if hint is Any else hint, "result"))
        except (CallRejected, NotCanonical) as error:
            return Outcome.failed(call, "contract.output", _words(error), "plugin")
        return Outcome(
            plugin=call.plugin,
            impl=call.impl,
            hook=call.hook,
            call_id=call.call_id,
            value=decode(payload),
            output_digest=digest(payload),
            output_bytes=len(payload),
            annotations={"token": (0, token)} if token else EMPTY,
        )

    def _run(
        self, impl: _Impl, call: Call, arguments: Mapping[str, Any], arrived: NxError | None
    ) -> tuple[Any, int]:
        if call.phase == "teardown":
            wrapper = self._suspended.pop(call.token[1] if call.token else 0)
            inner = None if arrived else decode(call.payload)
            return leave(wrapper, inner, arrived, old_style=impl.facts.hookwrapper), 0
        value = impl.function(**arguments)
        if call.phase == "setup":
            token = next(self._tokens)
            self._suspended[token] = enter(value)
            return None, token
        return (_run_coroutine(value) if inspect.iscoroutine(value) else value), 0


def _arguments(impl: _Impl, call: Call) -> dict[str, Any]:
    given = decode(call.payload)
    names = [*impl.facts.args, *(k for k in impl.facts.kwargs if k in given)]
    return {name: lift(given[name], impl.hints.get(name, Any)) for name in names}


def _run_coroutine(coroutine: Any) -> Any:
    """Run an ``async def`` builtin to its end, also when the caller is in an event loop."""
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return asyncio.run(coroutine)
    finally:
        asyncio._set_running_loop(outer)


def _raised(call: Call, error: Exception) -> Outcome:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename not in _OURS]
    details = {"frames": [f"{f.name}:{f.lineno}" for f in frames]}
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    return Outcome.failed(call, "plugin.raised", text, "plugin", details=details)


def _words(error: CallRejected | NotCanonical) -> str:
    return error.message if isinstance(error, CallRejected) else str(error)


def _hookimpls(project: str, plugin: Any) -> list[_Impl]:
    """Find the hookimpls as pluggy does, under the names of their attributes, as a worker does."""
    manager = pluggy.PluginManager(project)
    manager.register(plugin, "builtin")
    by_function = {
        (caller.name, impl.function): impl
        for caller in manager.get_hookcallers(plugin) or ()
        for impl in caller.get_hookimpls()
    }
    found = []
    for attribute in sorted(dir(plugin)):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is not None:
            hook = options.get("specname") or attribute
            impl = by_function[hook, getattr(plugin, attribute)]
            _check_wrapper(attribute, impl)
            found.append(
                _Impl(_facts(attribute, hook, impl), impl.function, hints_of(impl.function))
            )
    if not found:
        raise KernelConfigError(f"builtins: {type(plugin).__name__} has no hookimpl of {project!r}")
    return found


def _check_wrapper(attribute: str, impl: pluggy.HookImpl) -> None:
    wraps = impl.wrapper or impl.hookwrapper
    if wraps and not inspect.isgeneratorfunction(impl.function):
        raise KernelConfigError(
            f"builtins: hookimpl {attribute!r} is a wrapper, but its function has no yield"
        )


def _facts(attribute: str, hook: str, impl: pluggy.HookImpl) -> ImplFacts:
    return ImplFacts(
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
