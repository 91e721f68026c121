"""The kernel: what an application composes, enters and calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from nxkernel._pickling import Rooted
from nxkernel.dispatch.stack import Middleware
from nxkernel.errors import CallRejected, KernelConfigError
from nxkernel.hookspecs import collect_specs
from nxkernel.kernel.asking import PLAIN, asked_with, check_ids, ids_of
from nxkernel.kernel.callers import Caller, CapabilityCaller, HookRelay
from nxkernel.kernel.composition import Composition
from nxkernel.kernel.fallbacks import with_plain_fallback
from nxkernel.kernel.health import Health
from nxkernel.kernel.lifetime import Lifetime
from nxkernel.kernel.members import Member
from nxkernel.kernel.overview import Overview
from nxkernel.kernel.parts import Parts
from nxkernel.kernel.switchboard import Switchboard
from nxkernel.kernel.views import Explanation, PluginView
from nxkernel.middleware.contracts import Contracts
from nxkernel.pipeline import Library
from nxkernel.plugins.discovery import Candidate, discover, look_again
from nxkernel.plugins.layers import Settings
from nxkernel.run import Run
from nxkernel.settings import Grant, Hosting, PluginSettings, Sandbox
from nxkernel.types import HookResult, PluginId

__all__ = ["Kernel"]

_MISSING: Any = object()


class Kernel(Rooted):
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
        settings: the application's settings, by plugin id, or an :class:`nxkernel.Settings` that
            reads a file and the environment too.
        paths: values for the path templates (``media_dir`` ...).
        builtins: the embedder's own implementations by id; they run in the host process.
        required: ids without which the boot fails.
        api: the application's modules that plugins may import for their types; nothing else of
            the application is there for them.
        api_version: version of the application's own plugin API, for ``compat.api`` in manifests.
        evidence: where the citations of answers are looked up; needed when a hook returns answers.

    Raises:
        KernelConfigError: when the parts do not fit together.
    """

    _instead = "build one there, over a run of its own, and pass on what calls return"

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
        settings: Settings | Mapping[str, Mapping[str, Any]] | None = None,
        paths: Mapping[str, Path | str] | None = None,
        builtins: Mapping[str, Any] | None = None,
        required: Iterable[str] = (),
        api: Sequence[str] = (),
        api_version: str | None = None,
        evidence: Library | None = None,
    ) -> None:
        # At once: the frames of what goes wrong from here on shall not hold a secret.
        settings = Settings.of(settings)
        if middleware is _MISSING:
            raise KernelConfigError(
                "middleware= is missing: pass nx.standard_stack(run), or [] to isolate only"
            )
        given = Composition(
            project=project,
            run=run,
            specs={
                name: with_plain_fallback(spec)
                for name, spec in collect_specs(project, specs).items()
            },
            middleware=tuple(middleware),
            candidates=tuple(plugins),
            sandbox=sandbox or Sandbox(),
            hosting=hosting or Hosting(),
            grants=grants,
            lock=Path(lock) if lock is not None else None,
            settings=settings,
            paths=paths or {},
            builtins=dict(builtins or {}),
            required=frozenset(required),
            api=tuple(api),
            api_version=api_version,
            evidence=evidence,
        )
        self._lifetime = Lifetime(given)
        self._switchboard = Switchboard(self._lifetime)
        self._relay = HookRelay(self._switchboard, PLAIN)

    @property
    def project(self) -> str:
        """The pluggy project name of the markers."""
        return self._lifetime.given.project

    @property
    def inproc(self) -> Mapping[str, str]:
        """Plugins that run in this process, where nothing holds them, each with the reason."""
        return dict(self._lifetime.given.hosting.inproc_allowlist)

    @property
    def hosting(self) -> Hosting:
        """Process matters, as they were given."""
        return self._lifetime.given.hosting

    @property
    def sandbox(self) -> Sandbox:
        """The level that is demanded."""
        return self._lifetime.given.sandbox

    @property
    def evidence(self) -> Library | None:
        """Where the citations of answers are looked up."""
        return self._lifetime.given.evidence

    @property
    def run(self) -> Run:
        """The run that its calls are recorded in."""
        return self._lifetime.given.run

    @property
    def _parts(self) -> Parts:
        return self._lifetime.parts

    # -- boot and close --------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Boot. Plugins that cannot run are disabled; what concerns all of them stops it.

        In a process that was forked from the kernel's, it boots anew; so does the first call.

        Raises:
            SandboxUnavailable: the demanded level cannot be had.
            PluginDisabled: a required plugin cannot run.
            AuditError: the audit cannot be written.
        """
        self._lifetime.begin()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop every worker, write the run's end."""
        self.close()

    def close(self) -> None:
        """End the kernel; safe to call twice, and in a forked child that never used it."""
        self._lifetime.end()

    # -- changes ---------------------------------------------------------------------------

    def add(self, plugin: Candidate | Path | str | Sequence[Candidate]) -> tuple[str, ...]:
        """Add plugins while the kernel runs, and return their ids.

        *plugin* is what :func:`nxkernel.discover` takes or returns: the path of a plugin or of a
        folder of plugins, a candidate, or several. Each is admitted and started as at boot, and
        gets historic calls; then all of them take part in the calls that begin from then on.

        Raises:
            NxError: why one of them cannot run; then none of them was added.
            CallRejected: in the middle of a call of this thread.
        """
        candidates = _candidates(plugin)
        with self._lifetime.change("add") as changes:
            changes.add(candidates)
        return tuple(candidate.id for candidate in candidates)

    def reload(self, plugin: str) -> None:
        """Load *plugin* anew from its folder while the kernel runs.

        A worker of the new files is started beside the old one and tried. Calls that begin from
        then on go to it, with the new manifest's hooks, settings and grants; those under way end on
        the old one, which then is stopped. A plugin that was disabled gets another chance.

        Raises:
            NxError: why the new files cannot run; the old worker goes on and has missed no call.
            CallRejected: no such plugin, or in the middle of a call of this thread.
        """
        with self._lifetime.change("reload") as changes:
            member = self._member(plugin)
            changes.reload(member.id, _found_again(member))

    def remove(self, plugin: str) -> None:
        """Remove *plugin* while the kernel runs, after its calls under way.

        Raises:
            PluginDisabled: another plugin could not run without it.
            CallRejected: no such plugin, or in the middle of a call of this thread.
        """
        with self._lifetime.change("remove") as changes:
            changes.remove(self._member(plugin).id)

    def _member(self, plugin: str) -> Member:
        member = self._parts.roster.members.get(PluginId(plugin))
        if member is None:
            known = ", ".join(sorted(self._parts.roster.members)) or "none"
            raise CallRejected(f"no plugin {plugin!r}; there are: {known}")
        return member

    # -- calls -----------------------------------------------------------------------------

    @property
    def hook(self) -> HookRelay:
        """The hooks by name, called as pluggy calls them; failures raise ``HookFailed``."""
        return self._relay

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
        names = None if only is None else ids_of(only)
        if names is not None:
            check_ids(names, self._lifetime.present().everybody())
        return Caller(self._switchboard, asked_with(timeout=timeout, key=key, only=names))

    def capability(self, name: str) -> CapabilityCaller:
        """Return the hooks of capability *name*, by method name.

        Raises:
            CallRejected: when no hookspec class declares it.
        """
        specs = self._lifetime.given.specs.values()
        methods = {
            spec.method: spec.name for spec in specs if spec.capability == name and spec.method
        }
        if not methods:
            known = sorted({spec.capability for spec in specs if spec.capability})
            raise CallRejected(
                f"no capability {name!r}; declared: {', '.join(known) or 'none'}",
                code="call.unknown_hook",
            )
        return CapabilityCaller(self._switchboard, methods)

    def release(self, plugin: str) -> bool:
        """Lift a plugin's quarantine and forget its deaths; returns whether it was quarantined.

        Raises:
            CallRejected: when there is no such plugin.
            KernelNotRunning: outside ``with kernel:``.
        """
        self._lifetime.present()
        self._lifetime.check()
        return self._lifetime.look(lambda parts: parts.release(plugin))

    # -- looking at it ---------------------------------------------------------------------

    def contracts(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the JSON Schemas of its hooks: ``{hook: {"input": ..., "output": ...}}``.

        They are those of the stack's ``Contracts``, or what the annotations say without one. A
        side that nobody described is left out.
        """
        found = [each for each in self._lifetime.given.middleware if isinstance(each, Contracts)]
        return (found or [Contracts()])[0].published(self._lifetime.given.specs)

    def explain(self, hook: str | Callable[..., Any], *, cost: bool = False) -> Explanation:
        """Return who provides *hook*, in which order and why, and the stack around each.

        *cost*: also what each layer of its calls has taken, in microseconds: of one call in
        sixteen, the latest ones. Of providers that are asked side by side, the layers' times are
        added up, and the time in one plugin is part of the others' way.
        """
        name = self._switchboard.hook_name(hook)
        return self._lifetime.look(lambda parts: Overview(parts).explain(name, cost=cost))

    def settings(self, plugin: str) -> PluginSettings:
        """Return the settings that *plugin* has, or would have when the kernel is booted.

        Secrets are masked; nothing of the plugin is run.

        Raises:
            PluginDisabled: for a manifest or settings that are wrong.
            CallRejected: when there is no such plugin.
        """
        return Overview(self._parts).settings(plugin)

    @property
    def plugins(self) -> Mapping[str, PluginView]:
        """Every plugin by id, as it stands now."""
        return self._lifetime.look(lambda parts: Overview(parts).plugins())

    def health(self) -> Health:
        """Return how every plugin stands: its worker, its breakers, its last exit."""
        return self._lifetime.look(lambda parts: Overview(parts).health())


def _candidates(plugin: Candidate | Path | str | Sequence[Candidate]) -> list[Candidate]:
    if isinstance(plugin, Candidate):
        return [plugin]
    if isinstance(plugin, str | Path):
        return discover(plugin, entry_points=False)
    return list(plugin)


def _found_again(member: Member) -> Candidate:
    """Look at the plugin's folder again."""
    candidate = member.candidate
    if candidate is None:
        raise CallRejected(f"plugin {member.id!r} has no folder that it could be loaded from")
    return look_again(candidate)
