"""The kernel: what an application composes, enters and calls."""

from __future__ import annotations

import os
import statistics
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from nxkernel.dispatch.drivers import run_async, run_blocking
from nxkernel.dispatch.effects import Effects, Gate
from nxkernel.dispatch.executor import Provider
from nxkernel.dispatch.stack import Event, Middleware
from nxkernel.errors import CallRejected, KernelConfigError, KernelNotRunning, PluginDisabled
from nxkernel.hookspecs import collect_specs
from nxkernel.host.builtin import Builtins
from nxkernel.host.transport import Brokered
from nxkernel.kernel.boot import Boot
from nxkernel.kernel.callers import Caller, CapabilityCaller, HookRelay
from nxkernel.kernel.desk import CallOptions, Desk, PluginStats
from nxkernel.kernel.fallbacks import with_plain_fallback
from nxkernel.kernel.impls import ImplCache, agree
from nxkernel.kernel.plant import Plant
from nxkernel.kernel.registry import Registry
from nxkernel.kernel.roster import Roster
from nxkernel.kernel.traffic import Traffic
from nxkernel.kernel.views import Explanation, PluginView, ProviderView
from nxkernel.plugins.discovery import Candidate
from nxkernel.run import Run
from nxkernel.settings import Grant, Hosting, Sandbox
from nxkernel.types import Call, HookResult, ImplFacts, PluginId

__all__ = ["Kernel"]

_MISSING: Any = object()
#: Seconds that calls of other threads have to end when the kernel is closed.
_LAST_CALLS_S = 2.0
_RESERVED = frozenset({PluginId("host"), PluginId("nxkernel.probe")})


class Kernel:
    """Runs an application's plugins, each in its own confined process.

    Args:
        project: the pluggy project name of the markers.
        specs: modules and capability classes with hookspecs.
        run: from :meth:`nxkernel.Run.create`.
        plugins: candidates from :func:`nxkernel.discover`.
        middleware: the stack, outermost first; ``nx.standard_stack(run)``. Leaving it out is an
            error, ``[]`` isolates, brokers by ``requires``, and nothing else.
        sandbox: the level that is demanded; ``confined`` unless said otherwise.
        hosting: process matters.
        grants: what the application allows, by plugin id.
        lock: path of ``nxkernel.lock``: only what it names may run, with the grants it records.
        settings: the application's settings, by plugin id.
        paths: values for the path templates (``media_dir`` ...).
        builtins: the embedder's own implementations by id; they run in the host process.
        required: ids without which the boot fails.
        api: the application's modules that plugins may import for their types; nothing else of
            the application is there for them.
        api_version: version of the application's own plugin API, for ``compat.api`` in manifests.

    Raises:
        KernelConfigError: when the parts do not fit together.
    """

    def __init__(
        self,
        project: str,
        *,
        specs: Iterable[Any],
        run: Run,
        plugins: Sequence[Candidate] = (),
        middleware: Sequence[Middleware] = _MISSING,
        sandbox: Sandbox | None = None,
        hosting: Hosting | None = None,
        grants: Mapping[str, Grant] | None = None,
        lock: Path | str | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        paths: Mapping[str, Path | str] | None = None,
        builtins: Mapping[str, Any] | None = None,
        required: Iterable[str] = (),
        api: Sequence[str] = (),
        api_version: str | None = None,
    ) -> None:
        if middleware is _MISSING:
            raise KernelConfigError(
                "middleware= is missing: pass nx.standard_stack(run), or [] to isolate only"
            )
        self.run = run
        self.project = project
        self._sandbox = sandbox or Sandbox()
        self._hosting = hosting or Hosting()
        self._middleware = tuple(middleware)
        self._specs = {
            name: with_plain_fallback(spec) for name, spec in collect_specs(project, specs).items()
        }
        self._builtins = Builtins(project, builtins or {})
        self._builtin_ids = frozenset(PluginId(name) for name in builtins or {})
        self._required = frozenset(required)
        self._roster = Roster(
            run=run,
            level=self._sandbox.level,
            hosting=self._hosting,
            candidates=plugins,
            grants=grants,
            lock=Path(lock) if lock is not None else None,
            settings=settings or {},
            paths=paths or {},
            # `host` is what policy rules call the application; no plugin may pass for it.
            taken=self._builtin_ids | _RESERVED,
            api=api,
            api_version=api_version,
        )
        self._state = "new"
        self._registry = Registry(project, self._specs)
        self._plant = Plant(self._hosting, self._sandbox.level, run.clock)
        self._traffic = Traffic(self._plant.bell.ring)
        self._desk = self._make_desk()

    def _make_desk(self) -> Desk:
        return Desk(
            run_id=self.run.id,
            specs=self._specs,
            registry=self._registry,
            middleware=self._middleware,
            builtins=self._builtins,
            builtin_ids=self._builtin_ids,
            facts=self._roster.facts,
            timeouts=self._roster.timeouts,
            disabled=self._disabled,
            hosting=self._hosting,
            clock=self.run.clock,
            level=self._sandbox.level,
        )

    # -- boot and close --------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Boot. Plugins that cannot run are disabled; what concerns all of them stops it.

        Raises:
            SandboxUnavailable: the demanded level cannot be had.
            PluginDisabled: a required plugin cannot run.
            AuditError: the audit cannot be written.
        """
        if self._state != "new":
            raise KernelNotRunning(f"the kernel is {self._state}; build a new one")
        self._state = "booting"
        try:
            self._boot()
        except BaseException:
            self._shut("failed to boot")
            raise
        self._state = "running"
        return self

    def _boot(self) -> None:
        boot = Boot(
            project=self.project,
            run=self.run,
            sandbox=self._sandbox,
            hosting=self._hosting,
            specs=self._specs,
            middleware=self._middleware,
            builtins=self._builtins,
            builtin_ids=self._builtin_ids,
            roster=self._roster,
            plant=self._plant,
            registry=self._registry,
            callbacks=self,
            tell=self._tell,
            report=self._report,
        )
        boot.enlist()
        boot.open_stack()
        transport = self._desk.transport = boot.start()
        boot.learn(transport)
        boot.require(self._required, self._disabled)
        _live.add(self)

    def _tell(self, method: str, *arguments: Any) -> None:
        for each in self._middleware:
            listener = getattr(each, method, None)
            if listener is not None:
                listener(*arguments)

    def _report(self, kind: str, plugin: str, data: Mapping[str, Any]) -> None:
        if self._state in ("booting", "running"):
            self._tell("event", Event(kind=kind, plugin=plugin, data=data))

    def __exit__(self, *exc_info: object) -> None:
        """Stop every worker, write the run's end."""
        self.close()

    def close(self) -> None:
        """End the kernel; safe to call twice."""
        if self._state == "running":
            self._shut("closed")

    def _shut(self, state: str) -> None:
        self._state = state
        _live.discard(self)
        with ExitStack() as steps:
            # Backwards: each step is taken whatever becomes of those before it.
            steps.callback(self._write_checkpoint)
            for each in reversed(self._middleware):
                steps.callback(each.close)
            steps.callback(self._plant.stop)
            self._plant.retire()
            self._drive(self._last_calls())

    def _last_calls(self) -> Effects[None]:
        """Wait until calls of other threads have their outcomes, and the stack has seen them.

        Not for ever: one may be under way further up in this very thread or event loop.
        """
        yield Gate(lambda: not self._traffic.calls, self.run.clock.monotonic() + _LAST_CALLS_S)

    def _write_checkpoint(self) -> None:
        """Put the audit's head beside the run: without it, a cut-off tail cannot be seen."""
        checkpoint = self.run.audit_log.checkpoint
        if checkpoint is not None:
            (self.run.dir / "audit.checkpoint").write_text(checkpoint.text())
        self.run.audit_log.close()

    # -- what the transport asks ------------------------------------------------------------

    def brokered(
        self, parent: Call, hook: str, payload: bytes, deadline: float
    ) -> Effects[Brokered]:
        """Make the call that a worker asks for."""
        return self._desk.brokered(parent, hook, payload, deadline)

    def accept(self, plugin: PluginId, impls: Sequence[ImplFacts]) -> None:
        """Check what a new worker says it implements.

        Raises:
            PluginDisabled: when it disagrees with its manifest, or with its last worker.
        """
        member = self._roster.members[plugin]
        agree(plugin, member.declared, impls, member.entries)
        known = self._registry.impls(plugin)
        if not known:
            self._registry.register(plugin, member.priority, impls)
        elif known != tuple(impls):
            # What was known may come from an earlier boot: the next one shall know better.
            cache = ImplCache(self.run.data_dir / "cache" / "impls", self.project)
            cache.put(member.facts.code_digest, impls)
            raise PluginDisabled(
                f"plugin {plugin!r} offers other hookimpls than when it was first started",
                code="plugin.handshake",
                plugin=plugin,
            )

    def history(self, plugin: PluginId) -> Effects[None]:
        """Replay historic calls into a new worker."""
        return self._desk.replay(plugin)

    # -- calls -----------------------------------------------------------------------------

    @property
    def hook(self) -> HookRelay:
        """The hooks by name, called as pluggy calls them; failures raise ``HookFailed``."""
        return HookRelay(self, CallOptions())

    def call(self, hook: str | Callable[..., Any], /, **arguments: Any) -> HookResult:
        """Call *hook*, a name or the hookspec itself, and return value and outcomes.

        Never raises for a plugin's fault.

        Raises:
            CallRejected: an argument cannot cross, or a name is wrong.
            KernelNotRunning: outside ``with kernel:``.
        """
        return self.options().call(hook, **arguments)

    async def acall(self, hook: str | Callable[..., Any], /, **arguments: Any) -> HookResult:
        """Call *hook* as :meth:`call` does, without blocking the event loop."""
        return await self.options().acall(hook, **arguments)

    def options(
        self,
        *,
        timeout: float | None = None,
        key: Any = None,
        only: Iterable[str] | None = None,
    ) -> Caller:
        """Return a caller with options.

        Args:
            timeout: seconds for each provider.
            key: the logical call id, from which the call's seed derives: an int, a str, bytes,
                or a tuple of them.
            only: ask these plugins only.
        """
        names = None if only is None else frozenset(only)
        if names is not None and (unknown := sorted(names - self._everybody())):
            raise CallRejected(f"options(only=): no plugin {unknown[0]!r}")
        if timeout is not None and not timeout > 0:
            raise CallRejected("options(timeout=) must be more than 0 seconds")
        parts = key if isinstance(key, tuple) else () if key is None else (key,)
        if wrong := [part for part in parts if type(part) not in (int, str, bytes)]:
            raise CallRejected(
                f"options(key=) is made of int, str and bytes, not {type(wrong[0]).__name__}"
            )
        return Caller(self, CallOptions(timeout=timeout, key=key, only=names))

    def capability(self, name: str) -> CapabilityCaller:
        """Return the hooks of capability *name*, by method name.

        Raises:
            CallRejected: when no hookspec class declares it.
        """
        methods = {
            spec.method: spec.name
            for spec in self._specs.values()
            if spec.capability == name and spec.method
        }
        if not methods:
            known = sorted({s.capability for s in self._specs.values() if s.capability})
            raise CallRejected(
                f"no capability {name!r}; declared: {', '.join(known) or 'none'}",
                code="call.unknown_hook",
            )
        return CapabilityCaller(self, methods)

    def hook_name(self, hook: str | Callable[..., Any]) -> str:
        """Return the name of a hook that is given by name or by its hookspec."""
        if isinstance(hook, str):
            return self._desk.spec(hook).name
        for spec in self._specs.values():
            if spec.function is hook:
                return spec.name
        name = getattr(hook, "__qualname__", type(hook).__name__)
        raise CallRejected(f"{name} is no hookspec of this kernel", code="call.unknown_hook")

    def drive(self, hook: str, arguments: Mapping[str, Any], options: CallOptions) -> HookResult:
        """Make one call in this thread."""
        with self._traffic:
            self._check_running()
            result: HookResult = self._drive(self._desk.hook_call(hook, arguments, options))
            return result

    async def adrive(
        self, hook: str, arguments: Mapping[str, Any], options: CallOptions
    ) -> HookResult:
        """Make one call in this event loop."""
        with self._traffic:
            self._check_running()
            generator = self._desk.hook_call(hook, arguments, options)
            result: HookResult = await run_async(generator, self.run.clock, self._plant.bell)
            return result

    def drive_historic(
        self,
        hook: str,
        arguments: Mapping[str, Any],
        callback: Callable[[Any], None] | None,
    ) -> HookResult:
        """Make one historic call in this thread."""
        with self._traffic:
            self._check_running()
            result: HookResult = self._drive(self._desk.historic_call(hook, arguments, callback))
            return result

    def _drive(self, generator: Any) -> Any:
        return run_blocking(generator, self.run.clock, self._plant.bell)

    def _check_running(self) -> None:
        if self._state != "running":
            hint = {
                "new": "make the call inside `with kernel:`",
                "forked": "this process was forked from the kernel's; build a kernel here",
            }.get(self._state, "build a new one")
            raise KernelNotRunning(f"the kernel is {self._state}: {hint}")

    # -- looking at it ---------------------------------------------------------------------

    def explain(self, hook: str | Callable[..., Any]) -> Explanation:
        """Return who provides *hook*, in which order and why, and the stack around each."""
        spec = self._desk.spec(self.hook_name(hook))
        mode = "first answer" if spec.firstresult else "all at once"
        return Explanation(
            hook=spec.name,
            mode="historic, all at once" if spec.historic else mode,
            providers=tuple(self._explained(p) for p in self._registry.providers(spec.name)),
            stack=tuple(each.name for each in self._middleware),
            level=self._sandbox.level,
        )

    def _explained(self, provider: Provider) -> ProviderView:
        facts = provider.facts
        member = self._roster.members.get(provider.plugin)
        reasons = [n for n in ("tryfirst", "trylast") if getattr(facts, n)]
        reasons.append(f"priority {member.priority if member else 0}, then by id")
        error = self._disabled(provider.plugin)
        return ProviderView(
            plugin=provider.plugin,
            impl=facts.impl,
            kind="wrapper" if facts.wraps else "plain",
            reason=", ".join(reasons),
            disabled=error.code if error else None,
        )

    @property
    def plugins(self) -> Mapping[str, PluginView]:
        """Every plugin by id, as it stands now."""
        return {name: self._view(name) for name in sorted(self._roster.members)}

    def health(self) -> Mapping[str, str]:
        """Return the state of every plugin."""
        return {name: view.state for name, view in self.plugins.items()}

    def _view(self, plugin: PluginId) -> PluginView:
        member = self._roster.members[plugin]
        keeper = self._plant.keepers.get(plugin)
        stats = self._desk.stats.get(plugin, PluginStats())
        error = self._disabled(plugin)
        samples = list(stats.plugin_us)
        return PluginView(
            id=plugin,
            version=member.facts.version,
            state="disabled"
            if error
            else keeper.state(self.run.clock.monotonic())
            if keeper
            else "",
            level=self._sandbox.level,
            error=error,
            calls=stats.calls,
            errors=stats.errors,
            p50_us=int(statistics.median(samples)) if samples else None,
            start_ms=keeper.start_us / 1000 if keeper and keeper.starts else None,
            starts=keeper.starts if keeper else 0,
            pid=keeper.pid if keeper else None,
            witnessed=dict(keeper.witnessed) if keeper else {},
            log=keeper.log.text if keeper else str,
        )

    def _disabled(self, plugin: PluginId) -> PluginDisabled | None:
        member = self._roster.members.get(plugin)
        if member is not None and member.error is not None:
            return member.error
        keeper = self._plant.keepers.get(plugin)
        return keeper.disabled if keeper is not None else None

    def _everybody(self) -> set[str]:
        return {*self._roster.members, *self._builtin_ids}

    def _abandon(self) -> None:
        self._state = "forked"
        self._plant.abandon()


#: Kernels that are running, for the moment when their process is forked.
_live: weakref.WeakSet[Kernel] = weakref.WeakSet()


def _abandon_all() -> None:
    """In a forked child: its parent's kernels, workers and databases are not its own."""
    for kernel in list(_live):
        kernel._abandon()
    _live.clear()


os.register_at_fork(after_in_child=_abandon_all)
