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

from nxkernel._canonical import NotCanonical, decode, digest, encode
from nxkernel._values import NotLiftable, hints_of, lift, lower
from nxkernel._wrappers import arriving, enter, leave
from nxkernel.errors import CallRejected, KernelConfigError, NxError
from nxkernel.host.replies import passed_on
from nxkernel.types import EMPTY, Call, HookName, ImplFacts, Outcome, PluginId

__all__ = ["Builtins"]


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
            value, token = self._run(impl, call, arrived)
            payload = encode(lower(value, impl.hints.get("return", type(value)), "result"))
        except (CallRejected, NotCanonical) as error:
            return Outcome.failed(call, "contract.output", str(error), "plugin")
        except NotLiftable as error:
            return Outcome.failed(call, "provider.not_applicable", str(error), "host")
        except Exception as error:
            return passed_on(call) if error is arrived else _raised(call, error)
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

    def _run(self, impl: _Impl, call: Call, arrived: NxError | None) -> tuple[Any, int]:
        if call.phase == "teardown":
            wrapper = self._suspended.pop(call.token[1] if call.token else 0)
            inner = None if arrived else decode(call.payload)
            return leave(wrapper, inner, arrived, old_style=impl.facts.hookwrapper), 0
        given = decode(call.payload)
        names = [*impl.facts.args, *(k for k in impl.facts.kwargs if k in given)]
        value = impl.function(**{n: lift(given[n], impl.hints.get(n, Any)) for n in names})
        if call.phase == "setup":
            token = next(self._tokens)
            self._suspended[token] = enter(value)
            return None, token
        return (_run_coroutine(value) if inspect.iscoroutine(value) else value), 0


def _run_coroutine(coroutine: Any) -> Any:
    """Run an ``async def`` builtin to its end, also when the caller is in an event loop."""
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return asyncio.run(coroutine)
    finally:
        asyncio._set_running_loop(outer)


def _raised(call: Call, error: Exception) -> Outcome:
    frames = traceback.extract_tb(error.__traceback__)[1:]
    details = {"frames": [f"{f.name}:{f.lineno}" for f in frames]}
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    return Outcome.failed(call, "plugin.raised", text, "plugin", details=details)


def _hookimpls(project: str, plugin: Any) -> list[_Impl]:
    if not [n for n in dir(plugin) if hasattr(getattr(plugin, n, None), project + "_impl")]:
        raise KernelConfigError(f"builtins: {type(plugin).__name__} has no hookimpl of {project!r}")
    manager = pluggy.PluginManager(project)
    manager.register(plugin, "builtin")
    return [
        _Impl(_facts(caller.name, impl), impl.function, hints_of(impl.function))
        for caller in sorted(manager.get_hookcallers(plugin) or (), key=lambda c: c.name)
        for impl in caller.get_hookimpls()
    ]


def _facts(hook: str, impl: pluggy.HookImpl) -> ImplFacts:
    return ImplFacts(
        impl=impl.function.__name__,
        hook=HookName(hook),
        args=tuple(impl.argnames),
        kwargs=tuple(impl.kwargnames),
        wrapper=bool(impl.wrapper),
        hookwrapper=bool(impl.hookwrapper),
        tryfirst=bool(impl.tryfirst),
        trylast=bool(impl.trylast),
        optionalhook=bool(impl.optionalhook),
    )
