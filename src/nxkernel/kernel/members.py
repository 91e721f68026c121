"""One plugin of a kernel: what was found, and whether it may run."""

from __future__ import annotations

import attrs

from nxkernel.dispatch.stack import PluginFacts
from nxkernel.errors import NxError, PluginDisabled
from nxkernel.kernel.homes import Home
from nxkernel.plugins.codestore import Admitted
from nxkernel.plugins.discovery import Candidate
from nxkernel.plugins.layers import Sealed
from nxkernel.plugins.manifest import HookEntry, Manifest
from nxkernel.settings import Limits
from nxkernel.types import ImplFacts, PluginId

__all__ = ["Member", "as_disabled", "broken", "declared", "same_bytes"]


@attrs.define
class Member:
    """A plugin that was found, and whether it may run."""

    id: PluginId
    priority: int
    #: What its manifest says it implements; arguments are not known yet.
    declared: tuple[ImplFacts, ...]
    facts: PluginFacts
    limits: Limits
    manifest: Manifest | None = None
    admitted: Admitted | None = None
    #: Its effective settings, for its worker.
    settings: Sealed = attrs.field(factory=lambda: Sealed({}))
    #: What could give a secret among them away.
    words: Sealed = attrs.field(factory=lambda: Sealed([]))
    #: Where its code runs, once it was found.
    home: Home | None = None
    #: Why it does not run, or None.
    error: PluginDisabled | None = None
    #: What it was made of.
    candidate: Candidate | None = None

    @property
    def edition(self) -> int:
        """Counts the plugin's reloads, from 1."""
        return self.facts.edition

    @property
    def in_process(self) -> bool:
        """Whether it runs in the host's own process."""
        return self.facts.level == "none"

    @property
    def fresh(self) -> bool:
        """Whether each of its calls gets a process of its own."""
        return self.manifest is not None and self.manifest.state == "fresh" and not self.in_process

    @property
    def entries(self) -> tuple[HookEntry, ...]:
        """Its manifest's ``hooks``, with what they leave open."""
        return self.manifest.hooks if self.manifest is not None else ()


def broken(candidate: Candidate, limits: Limits) -> Member:
    """Return a member that does not run, because its manifest could not be read."""
    plugin = candidate.id
    reason = candidate.error or PluginDisabled(f"{plugin}: no manifest", plugin=plugin)
    return Member(
        id=plugin,
        priority=0,
        declared=(),
        facts=PluginFacts(id=plugin, version="", code_digest=""),
        limits=limits,
        error=as_disabled(plugin, reason),
        candidate=candidate,
    )


def same_bytes(manifest: Manifest, admitted: Admitted) -> None:
    """The manifest that was judged must be the one in the copy that runs."""
    copied = {file.path: file.sha256 for file in admitted.files}
    for path, judged in sorted(manifest.read.items()):
        if copied.get(path) != judged:
            raise PluginDisabled(
                f"plugin {manifest.id!r}: {path} changed while it was being admitted; try again",
                code="lock.mismatch",
                plugin=manifest.id,
            )


def declared(manifest: Manifest) -> tuple[ImplFacts, ...]:
    """Return what a manifest says of the hookimpls; arguments may be missing."""
    return tuple(
        ImplFacts(
            impl=entry.impl or entry.hook,
            hook=entry.hook,
            args=entry.args or (),
            wrapper=bool(entry.wrapper),
            tryfirst=bool(entry.tryfirst),
            trylast=bool(entry.trylast),
            optionalhook=bool(entry.optional),
        )
        for entry in manifest.hooks
    )


def as_disabled(plugin: PluginId, error: NxError) -> PluginDisabled:
    """Return *error* as the reason why *plugin* does not run, with its code."""
    if isinstance(error, PluginDisabled):
        return error
    return PluginDisabled(error.message, code=error.code, plugin=plugin, details=error.details)
