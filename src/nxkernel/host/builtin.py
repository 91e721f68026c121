"""The embedder's own implementations, called in the host process at level ``host``.

Values take the same way as to a worker: lowered, encoded, decoded, lifted. So a builtin sees what
a plugin would see, and cannot share a mutable argument with its caller.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from time import perf_counter_ns, thread_time_ns
from typing import Any

import attrs

from nxkernel._canonical import NotCanonical, decode, digest, surveyed
from nxkernel._hookimpls import FoundImpl, find_hookimpls
from nxkernel._iterators import NoStream, source_of
from nxkernel._tally import counting
from nxkernel._trail import Trail, headline
from nxkernel._values import NotLiftable, item_hint, lift, packed
from nxkernel._wrappers import arriving, enter, forsake, leave
from nxkernel.errors import CallRejected, KernelConfigError, NxError, PluginDisabled
from nxkernel.host.replies import passed_on
from nxkernel.host.sources import Source
from nxkernel.types import Call, ImplFacts, Outcome, PluginId, Timing, Usage

__all__ = ["Builtins", "raised"]

_log = logging.getLogger("nxkernel.host")


class Builtins:
    """The objects of ``Kernel(builtins=)`` and their suspended wrappers."""

    def __init__(
        self, project: str, objects: Mapping[str, Any], scrub: Callable[[str], str] = str
    ) -> None:
        self._scrub = scrub
        self._impls = {
            (PluginId(name), impl.facts.impl): impl
            for name in sorted(objects)
            for impl in _hookimpls(project, name, objects[name])
        }
        self._suspended: dict[int, Generator[Any, Any, Any]] = {}
        self._tokens = itertools.count(1)

    def impls(self, plugin: PluginId) -> tuple[ImplFacts, ...]:
        """Return what the object registered as *plugin* implements."""
        return tuple(i.facts for (owner, _), i in self._impls.items() if owner == plugin)

    def call(self, call: Call) -> Outcome:
        """Make *call* here and now; its processor time is that of this thread."""
        began_ns, began_cpu_ns = perf_counter_ns(), thread_time_ns()
        with counting() as tally:
            outcome = self._make(call)
        read, written = tally.rows or (None, None)
        cpu_us = (thread_time_ns() - began_cpu_ns) // 1000
        used = Usage(cpu_us=cpu_us, rows_read=read, rows_written=written)
        timing = Timing(plugin_us=(perf_counter_ns() - began_ns) // 1000, used=used)
        return attrs.evolve(outcome, timing=timing)

    def _make(self, call: Call) -> Outcome:
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
            return passed_on(call) if error is arrived else raised(call, error, self._scrub)
        hint = impl.returns if call.phase == "call" else Any
        outcome = _crossed(call, value, hint)
        return attrs.evolve(outcome, annotations={"token": (0, token)}) if token else outcome

    def source(self, call: Call) -> Source:
        """Return the stream of *call*; nothing of it runs yet."""
        impl = self._impls[call.plugin, call.impl]
        hint = item_hint(impl.returns)

        def make() -> Generator[Any, Any, Any] | None:
            value, _ = self._run(impl, call, _arguments(impl, call), None)
            return None if value is None else source_of(value)

        return Source(
            call=call,
            make=make,
            crossed=lambda value: _crossed(call, value, hint),
            raised=lambda error: self._failed(call, error),
        )

    def _failed(self, call: Call, error: BaseException) -> Outcome:
        if isinstance(error, NotLiftable):
            return Outcome.failed(call, "provider.not_applicable", str(error), "host")
        if isinstance(error, NoStream):
            return Outcome.failed(call, "contract.output", str(error), "plugin")
        return raised(call, error, self._scrub)

    def forsake(self, call: Call) -> None:
        """End the wrapper that *call* would have left: it is not made."""
        wrapper = self._suspended.pop(call.token[1] if call.token else 0, None)
        try:
            if wrapper is not None and not forsake(wrapper):
                _log.error("%s: %s yields instead of ending", call.plugin, call.impl)
        except Exception:
            _log.exception("%s: %s failed while it ended", call.plugin, call.impl)

    def _run(
        self, impl: FoundImpl, call: Call, arguments: Mapping[str, Any], arrived: NxError | None
    ) -> tuple[Any, int]:
        if call.phase == "teardown":
            wrapper = self._suspended.pop(call.token[1] if call.token else 0)
            inner = None if arrived else decode(call.payload, call.blobs)
            return leave(wrapper, inner, arrived, old_style=impl.facts.hookwrapper), 0
        value = impl.function(**arguments)
        if call.phase == "setup":
            token = next(self._tokens)
            self._suspended[token] = enter(value)
            return None, token
        return (_run_coroutine(value) if inspect.iscoroutine(value) else value), 0


def _crossed(call: Call, value: Any, hint: Any) -> Outcome:
    """The outcome of a value, or of an item, as it would have crossed."""
    try:
        payload, blobs = packed(value, type(value) if hint is Any else hint, "result")
    except (CallRejected, NotCanonical) as error:
        return Outcome.failed(call, "contract.output", _words(error), "plugin")
    shape = surveyed(payload, blobs)
    return Outcome(
        plugin=call.plugin,
        impl=call.impl,
        hook=call.hook,
        call_id=call.call_id,
        value=shape.value,
        shape=shape,
        output_digest=digest(payload),
        output_bytes=len(payload),
    )


def _arguments(impl: FoundImpl, call: Call) -> dict[str, Any]:
    given = decode(call.payload, call.blobs)
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


def raised(call: Call, error: BaseException, scrub: Callable[[str], str] = str) -> Outcome:
    """Return the outcome of a *call* whose code in this process raised *error*.

    *scrub* makes a text the same on every machine.
    """
    tree = Trail(scrub).of(error)
    frames = [f"{frame['function']}:{frame['line']}" for frame in tree["frames"]]
    details = {"frames": frames, "traceback": tree}
    text = headline(error, scrub)
    return Outcome.failed(call, "plugin.raised", text, "plugin", details=details)


def _words(error: CallRejected | NotCanonical) -> str:
    return error.message if isinstance(error, CallRejected) else str(error)


def _hookimpls(project: str, name: str, plugin: Any) -> Iterable[FoundImpl]:
    try:
        found = find_hookimpls(project, plugin)
    except PluginDisabled as error:
        raise KernelConfigError(f"builtins[{name!r}]: {error.message}") from None
    if not found:
        raise KernelConfigError(f"builtins[{name!r}] has no hookimpl of {project!r}")
    return found.values()
