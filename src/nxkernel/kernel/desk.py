"""Makes calls: from a hook's name and arguments, through stack and transport, to its result.

The desk builds the ``Call`` values, runs the executor over the providers, opens and closes the
stack around each invocation, and answers the brokered calls of workers by doing the same again one
level deeper.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from nxkernel import errors
from nxkernel._canonical import NotCanonical, decode, digest, encode
from nxkernel._clock import Clock
from nxkernel._values import NotLiftable, hints_of, lift, lower_arguments
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.executor import Inner, Provider, execute
from nxkernel.dispatch.stack import Middleware, PluginFacts, open_stack
from nxkernel.errors import CallRejected
from nxkernel.hookspecs import HookSpec
from nxkernel.host.builtin import Builtins
from nxkernel.host.transport import UNWIND_S, Brokered, Transport
from nxkernel.kernel.registry import Registry
from nxkernel.settings import Hosting
from nxkernel.types import (
    Call,
    CallError,
    CallId,
    Digest,
    HookName,
    HookResult,
    Level,
    Outcome,
    Phase,
    PluginId,
    RunId,
)

__all__ = ["CallOptions", "Desk", "PluginStats"]

#: Durations kept per plugin for its median.
_SAMPLES = 1000


@attrs.frozen(kw_only=True)
class CallOptions:
    """What the caller may say about one call."""

    #: Seconds for each provider.
    timeout: float | None = None
    #: The logical call id; without it, the digest of the arguments.
    key: Any = None
    #: Ask these plugins only.
    only: frozenset[str] | None = None


@attrs.define
class PluginStats:
    """Counts and times of one plugin's calls."""

    calls: int = 0
    errors: int = 0
    #: Microseconds inside the plugin, the latest calls.
    plugin_us: deque[int] = attrs.Factory(lambda: deque(maxlen=_SAMPLES))


@attrs.define
class _Nest:
    """What one call has asked for so far: ids and ordinals of its brokered calls."""

    ids: itertools.count[int] = attrs.Factory(lambda: itertools.count(1))
    ordinals: Counter[tuple[str, Digest]] = attrs.Factory(Counter)


@attrs.frozen(kw_only=True)
class _HookCall:
    """One hook call: what all of its invocations share."""

    spec: HookSpec
    arguments: Mapping[str, Any]
    payload: bytes
    input_digest: Digest
    key: tuple[Any, ...]
    options: CallOptions
    deadline: float | None
    nest: _Nest
    parent: Call | None = None
    historic: bool = False


@attrs.define
class Desk:
    """Makes the calls of one kernel."""

    run_id: RunId
    specs: Mapping[str, HookSpec]
    registry: Registry
    middleware: Sequence[Middleware]
    builtins: Builtins
    builtin_ids: frozenset[PluginId]
    facts: Mapping[PluginId, PluginFacts]
    #: Seconds that a manifest gives its own calls.
    timeouts: Mapping[PluginId, float]
    #: Why a plugin does not run, or None.
    disabled: Callable[[PluginId], errors.PluginDisabled | None]
    hosting: Hosting
    clock: Clock
    level: Level
    transport: Transport | None = None
    stats: dict[PluginId, PluginStats] = attrs.Factory(dict)
    _top: _Nest = attrs.Factory(_Nest)
    _nests: dict[CallId, _Nest] = attrs.Factory(dict)
    _history: list[tuple[_HookCall, Callable[[Any], None] | None]] = attrs.Factory(list)
    _hints: dict[str, Mapping[str, Any]] = attrs.Factory(dict)
    _lock: threading.Lock = attrs.Factory(threading.Lock)

    # -- for the application -----------------------------------------------------------------

    def spec(self, hook: str) -> HookSpec:
        """Return the spec of *hook*.

        Raises:
            CallRejected: when there is none.
        """
        if hook not in self.specs:
            known = ", ".join(sorted(self.specs))
            raise CallRejected(
                f"no hook {hook!r}; the application offers: {known}",
                code="call.unknown_hook",
                hook=hook,
            )
        return self.specs[hook]

    def hook_call(
        self, hook: str, arguments: Mapping[str, Any], options: CallOptions
    ) -> Effects[HookResult]:
        """Prepare the application's call of *hook*; arguments are checked before it returns."""
        spec = self.spec(hook)
        if spec.historic:
            raise CallRejected(
                f"hook {hook!r} is historic: use kernel.hook.{hook}.call_historic(kwargs=...)",
                hook=hook,
            )
        return self._answer(self._prepare(spec, arguments, options, self._top))

    def _answer(self, call: _HookCall) -> Effects[HookResult]:
        result = yield from self._run(call)
        return self._lifted(call.spec, result)

    def historic_call(
        self,
        hook: str,
        arguments: Mapping[str, Any],
        callback: Callable[[Any], None] | None,
    ) -> Effects[HookResult]:
        """Call all providers of a historic hook, and every worker that starts later."""
        spec = self.spec(hook)
        if not spec.historic:
            raise CallRejected(f"hook {hook!r} is not historic", hook=hook)
        call = self._prepare(spec, arguments, CallOptions(), self._top)
        return self._remember(call, callback)

    def _remember(
        self, call: _HookCall, callback: Callable[[Any], None] | None
    ) -> Effects[HookResult]:
        result = yield from self._answer(call)
        self._history.append((call, callback))
        if callback is not None:
            for value in result.value or ():
                callback(value)
        return result

    def _prepare(
        self, spec: HookSpec, arguments: Mapping[str, Any], options: CallOptions, nest: _Nest
    ) -> _HookCall:
        given = _check_names(spec, arguments)
        lowered = lower_arguments(given, self._hints_of(spec), spec.name)
        return self._assemble(spec, lowered, options, nest)

    def _assemble(
        self,
        spec: HookSpec,
        lowered: Mapping[str, Any],
        options: CallOptions,
        nest: _Nest,
        parent: Call | None = None,
        deadline: float | None = None,
    ) -> _HookCall:
        try:
            payload = encode(lowered)
        except NotCanonical as error:
            raise CallRejected(f"arguments of {spec.name!r}: {error}", hook=spec.name) from None
        if len(payload) > self.hosting.max_frame:
            raise CallRejected(
                f"arguments of {spec.name!r} have {len(payload)} bytes; the limit is "
                f"{self.hosting.max_frame}, see Hosting(max_frame=)",
                hook=spec.name,
            )
        name = digest(payload)
        return _HookCall(
            spec=spec,
            arguments=MappingProxyType(dict(lowered)),
            payload=payload,
            input_digest=name,
            key=_key(options.key, spec.name, name, nest, nested=parent is not None),
            options=options,
            deadline=deadline,
            nest=nest,
            parent=parent,
        )

    def _hints_of(self, spec: HookSpec) -> Mapping[str, Any]:
        hints = self._hints.get(spec.name)
        if hints is None:
            hints = self._hints[spec.name] = hints_of(spec.function)
        return hints

    # -- one hook call -------------------------------------------------------------------

    def _run(self, call: _HookCall) -> Effects[HookResult]:
        providers = self.registry.providers(call.spec.name)
        if call.options.only is not None:
            providers = tuple(p for p in providers if p.plugin in call.options.only)

        def invoke(
            provider: Provider, phase: Phase, inner: Inner | None = None, token: Any = None
        ) -> Effects[Outcome]:
            return self._invoke(self._call(call, provider, phase, inner, token))

        return (yield from execute(call.spec, providers, invoke))

    def _call(
        self, hook: _HookCall, provider: Provider, phase: Phase, inner: Inner | None, token: Any
    ) -> Call:
        parent = hook.parent
        with self._lock:
            number = next(hook.nest.ids)
        shipped = hook.payload if inner is None else encode(inner.value)
        return Call(
            run_id=self.run_id,
            call_id=CallId(f"{parent.call_id}.{number}" if parent else str(number)),
            plugin=provider.plugin,
            impl=provider.facts.impl,
            hook=HookName(hook.spec.name),
            phase=phase,
            arguments=hook.arguments if inner is None else {"result": inner.value},
            payload=shipped,
            input_digest=hook.input_digest if inner is None else digest(shipped),
            deadline=self._deadline(hook, provider.plugin, phase),
            key=(*hook.key, "teardown") if phase == "teardown" else hook.key,
            parent=parent.call_id if parent else None,
            caller=parent.plugin if parent else None,
            depth=parent.depth + 1 if parent else 0,
            level="host" if provider.plugin in self.builtin_ids else self.level,
            historic=hook.historic,
            token=token,
            inner_error=inner.error if inner else None,
            inner_fault=inner.fault if inner else None,
            inner_origin=inner.origin if inner else None,
        )

    def _deadline(self, hook: _HookCall, plugin: PluginId, phase: Phase) -> float:
        """The caller's word counts first, then the hookspec's, the manifest's, the host's.

        A wrapper that was entered gets a little time to leave, however late it is: what it holds
        would never be given back.
        """
        choices = (
            hook.options.timeout,
            hook.spec.options.timeout,
            self.timeouts.get(plugin),
            self.hosting.timeout_s,
        )
        seconds = next(s for s in choices if s is not None)
        now = self.clock.monotonic()
        deadline = now + seconds if hook.deadline is None else min(now + seconds, hook.deadline)
        return max(deadline, now + UNWIND_S) if phase == "teardown" else deadline

    # -- one invocation ------------------------------------------------------------------

    def _invoke(self, call: Call) -> Effects[Outcome]:
        opened = open_stack(self.middleware, call)
        if opened.early is not None:
            return self._counted(opened.early)
        try:
            outcome = yield from self._deliver(opened.call)
        finally:
            self._nests.pop(call.call_id, None)
        return self._counted(opened.close(outcome))

    def _deliver(self, call: Call) -> Effects[Outcome]:
        disabled = self.disabled(call.plugin)
        if disabled is not None:
            return Outcome.failed(call, disabled.code, disabled.message, "plugin")
        if call.caller is not None and not self._requested(call.caller, call.hook):
            return _not_requested(call)
        if call.plugin in self.builtin_ids:
            outcome = self.builtins.call(call)
        else:
            if self.transport is None:
                raise errors.KernelNotRunning("the kernel has no transport")
            outcome = yield from self.transport.exchange(call)
        return self._fits(call, outcome)

    def _requested(self, plugin: PluginId, hook: HookName) -> bool:
        facts = self.facts.get(plugin)
        names = {hook, self.specs[hook].capability or hook}
        return facts is not None and bool(names & set(facts.requires))

    def _fits(self, call: Call, outcome: Outcome) -> Outcome:
        """Hold a provider's value against the hookspec's annotation."""
        hint = self._hints_of(self.specs[call.hook]).get("return", Any)
        if outcome.error is not None or call.phase != "call" or outcome.value is None:
            return outcome
        try:
            lift(outcome.value, hint)
        except NotLiftable as error:
            return Outcome.failed(
                call, "contract.output", f"result does not fit the hookspec: {error}", "plugin"
            )
        return outcome

    def _counted(self, outcome: Outcome) -> Outcome:
        with self._lock:
            stats = self.stats.setdefault(outcome.plugin, PluginStats())
            stats.calls += 1
            stats.errors += outcome.error is not None
            stats.plugin_us.append(outcome.timing.plugin_us)
        return outcome

    def _lifted(self, spec: HookSpec, result: HookResult) -> HookResult:
        """Rebuild what the hookspec's annotation names; plain values stay as they are."""
        hint = self._hints_of(spec).get("return", Any)
        if hint is Any or result.error is not None:
            return result
        if not spec.firstresult and not isinstance(result.value, list):
            return result  # A wrapper may make anything of a fan-out, as under pluggy.
        try:
            if spec.firstresult:
                value = None if result.value is None else lift(result.value, hint)
            else:
                value = [lift(each, hint) for each in result.value]
        except NotLiftable as error:
            text = f"a wrapper made a value that does not fit the hookspec: {error}"
            broken = CallError(code="contract.output", message=text)
            return attrs.evolve(result, value=None, error=broken)
        return attrs.evolve(result, value=value)

    # -- brokered calls ------------------------------------------------------------------

    def brokered(
        self, parent: Call, hook: str, payload: bytes, deadline: float
    ) -> Effects[Brokered]:
        """Make the call that *parent*'s plugin asks for, as part of the same call tree."""
        try:
            call = self._nested(parent, hook, payload, deadline)
        except errors.NxError as error:
            return _brokered_error(error.code, error.message, parent.plugin)
        if not self.registry.providers(hook) and not self._requested(parent.plugin, HookName(hook)):
            denied = _denial(parent.plugin, hook)
            return _brokered_error("policy.denied", denied, parent.plugin)
        result = yield from self._run(call)
        if result.error is not None:
            return _brokered_error(result.error.code, result.error.message, _origin(result, parent))
        return Brokered(payload=encode(result.value))

    def _nested(self, parent: Call, hook: str, payload: bytes, deadline: float) -> _HookCall:
        spec = self.spec(hook)
        if spec.historic:
            raise CallRejected(f"hook {hook!r} is historic; a plugin cannot call it")
        if parent.depth + 1 > self.hosting.max_depth:
            limit = self.hosting.max_depth
            raise errors.PluginFailed(f"calls nest deeper than {limit}", code="call.depth")
        try:
            arguments = decode(payload)
        except NotCanonical as error:
            raise CallRejected(f"arguments of {hook!r}: {error}") from None
        if not isinstance(arguments, dict):
            raise CallRejected(f"arguments of {hook!r} are no map of names")
        nest = self._nests.setdefault(parent.call_id, _Nest())
        # What came over the wire is plain already; lowering it again would only ask for
        # annotations that its sender never saw.
        return self._assemble(
            spec, _check_names(spec, arguments), CallOptions(), nest, parent, deadline
        )

    # -- historic calls --------------------------------------------------------------------

    def replay(self, plugin: PluginId) -> Effects[None]:
        """Make every historic call again in the new worker of *plugin*."""
        for call, callback in list(self._history):
            for provider in self.registry.providers(call.spec.name):
                if provider.plugin != plugin:
                    continue
                again = attrs.evolve(call, historic=True)
                outcome = yield from self._invoke(self._call(again, provider, "call", None, None))
                if callback is not None and outcome.error is None and outcome.value is not None:
                    callback(lift(outcome.value, self._hints_of(call.spec).get("return", Any)))


def _check_names(spec: HookSpec, arguments: Mapping[str, Any]) -> dict[str, Any]:
    given = {**spec.defaults, **arguments}
    unknown = sorted(given.keys() - set(spec.args))
    missing = [name for name in spec.args if name not in given]
    if unknown or missing:
        wrong = (
            f"unknown argument {unknown[0]!r}" if unknown else f"missing argument {missing[0]!r}"
        )
        raise CallRejected(
            f"hook {spec.name!r}: {wrong}; its arguments are: {', '.join(spec.args) or 'none'}",
            hook=spec.name,
        )
    return given


def _key(given: Any, hook: str, name: Digest, nest: _Nest, *, nested: bool) -> tuple[Any, ...]:
    """The logical call id: the caller's, or what the arguments are.

    Equal calls from one parent are told apart by an ordinal; calls of the application are not,
    because their order may be that of threads.
    """
    if given is not None:
        return given if isinstance(given, tuple) else (given,)
    ordinal = 0
    if nested:
        ordinal = nest.ordinals[hook, name]
        nest.ordinals[hook, name] += 1
    return (bytes.fromhex(name.removeprefix("sha256:")), ordinal)


def _denial(plugin: str, hook: str) -> str:
    return (
        f"plugin {plugin!r} called {hook!r}, which its manifest does not request; "
        f'add requires = ["{hook}"] to its manifest and grant it in the application'
    )


def _not_requested(call: Call) -> Outcome:
    text = _denial(call.caller or "", call.hook)
    details = {"effect": "deny", "rule": "manifest-requires", "reason": "not requested"}
    return Outcome.failed(call, "policy.denied", text, "caller", details=details)


def _brokered_error(code: str, message: str, origin: str) -> Brokered:
    return Brokered(error=CallError(code=code, message=message), origin=origin)


def _origin(result: HookResult, parent: Call) -> str:
    for outcome in result.outcomes:
        # Not a provider that failed too and was skipped.
        if outcome.error is not None and outcome.error == result.error:
            return parent.plugin if outcome.fault == "caller" else outcome.origin or outcome.plugin
    return parent.plugin
