"""Adding, reloading and removing plugins while calls are made.

A new edition of a plugin starts beside the old one, and is tried: handshake, hookimpls, the stack's
consent, historic calls. Then new hook calls go by a new order, all at once; those under way end by
the order that they began with. When the last of them is over, the old worker is stopped. Until the
switch nobody has noticed anything, so a trial that fails is taken back and the old edition stays.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from nxkernel import _forks
from nxkernel.dispatch.effects import Effects, Gate
from nxkernel.dispatch.stack import PluginFacts
from nxkernel.errors import CallRejected, ManifestInvalid, NxError, PluginDisabled
from nxkernel.kernel.editions import Edition
from nxkernel.kernel.members import Member
from nxkernel.kernel.parts import Parts
from nxkernel.kernel.registry import Entry
from nxkernel.plugins.discovery import Candidate
from nxkernel.types import ImplFacts, PluginId

__all__ = ["Changes", "refuse_inside"]


class Changes:
    """Changes the plugins of a running kernel, one change at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        _forks.register(self)

    def abandon(self) -> None:
        """In a forked child: no thread that could hold the lock is there."""
        self._lock = threading.Lock()

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Add all of *candidates*, or none.

        Raises:
            NxError: why one of them cannot run; nothing has changed then.
        """
        with self._lock:
            tried: list[Edition] = []
            try:
                for candidate in candidates:
                    tried.append(self._try("add", candidate, 1, candidate.id))
                    self._install(tried[-1])
                self._switch(tried)
            except BaseException:
                for edition in reversed(tried):
                    self._parts.roster.discard(edition.member.id)
                    self._parts.plant.demote(edition.member.id)
                    self._take_back(edition)
                raise
            for edition in tried:
                self._report("plugin.added", edition.member)
            self._settle(tried, [])

    def reload(self, plugin: PluginId, candidate: Candidate) -> None:
        """Put what *candidate* found in the place of *plugin*.

        Raises:
            NxError: why that cannot run; the old edition stays as it was.
        """
        with self._lock:
            member = self._parts.roster.members[plugin]
            new = self._try("reload", candidate, member.edition + 1, plugin)
            old = self._old(member)
            try:
                self._install(new, old)
                self._switch([new])
            except BaseException:
                self._reinstall(old, new)
                self._take_back(new)
                raise
            self._report("plugin.reloaded", new.member, before=member.facts.code_digest)
            self._settle([new], [old])

    def remove(self, plugin: PluginId) -> None:
        """Send *plugin* no new calls, wait for those under way, and end it.

        Raises:
            PluginDisabled: when another plugin could not run without it.
        """
        parts = self._parts
        with self._lock:
            parts.roster.check_without(plugin)
            _refuse_resident(parts.roster.members[plugin])
            old = self._old(parts.roster.members[plugin])
            parts.others[old.key] = old
            parts.plant.demote(plugin)
            parts.registry.unregister(plugin)
            parts.roster.discard(plugin)
            self._report("plugin.removed", old.member)
            self._settle([], [old])

    # -- the trial -------------------------------------------------------------------------

    def _try(self, action: str, candidate: Candidate, edition: int, plugin: PluginId) -> Edition:
        """Start a worker of the new edition, have it accepted, and replay what it has missed."""
        try:
            if candidate.manifest is not None and candidate.id != plugin:
                raise ManifestInvalid(
                    f"the manifest of {plugin!r} now has the id {candidate.id!r}; "
                    "remove the one and add the other",
                    plugin=plugin,
                )
            member = self._parts.roster.examine(candidate, edition)
            _refuse_resident(member)
            trial = self._aside(member)
            problem = self._parts.drive(self._bring_up(trial))
            if problem is not None:
                self._take_back(trial)
                raise problem
        except NxError as error:
            data = {"action": action, "edition": edition, "code": error.code}
            self._parts.report("plugin.rejected", plugin, data)
            raise
        return trial

    def _aside(self, member: Member) -> Edition:
        parts = self._parts
        keeper = parts.plant.put_aside(parts.places.of(member))
        trial = Edition(member=member, keeper=keeper)
        trial.on_arrival = lambda impls: self._arrived(trial, impls)
        parts.others[trial.key] = trial
        return trial

    def _bring_up(self, trial: Edition) -> Effects[NxError | None]:
        transport, keeper = self._parts.desk.transport, trial.keeper
        assert transport is not None
        assert keeper is not None
        return (yield from transport.bring_up(keeper))

    def _arrived(self, trial: Edition, impls: Sequence[ImplFacts]) -> None:
        """Hold the new edition against the hooks, then ask the stack, innermost first."""
        self._parts.registry.verify(trial.member.id, impls)
        introduced: list[Any] = []
        try:
            for each in reversed(self._parts.given.middleware):
                listener = getattr(each, "plugin_added", None)
                if listener is not None:
                    listener(trial.member.facts)
                introduced.append(each)
        except BaseException:
            for each in introduced:
                _forget(each, trial.member.facts)
            raise

    def _take_back(self, trial: Edition) -> None:
        """Undo a trial: its worker ends, and the stack forgets it."""
        parts = self._parts
        parts.plant.dismiss(*trial.key)
        parts.others.pop(trial.key, None)
        if trial.impls is not None:
            parts.tell("plugin_removed", trial.member.facts)

    # -- the switch ------------------------------------------------------------------------

    def _old(self, member: Member) -> Edition:
        keeper = self._parts.plant.keepers.get(member.id)
        return Edition(member=member, keeper=keeper, impls=self._parts.registry.impls(member.id))

    def _install(self, new: Edition, old: Edition | None = None) -> None:
        """Make *new* the plugin's own edition; whoever still asks for *old* finds it too."""
        parts = self._parts
        if old is not None:
            parts.others[old.key] = old
        parts.roster.install(new.member)
        parts.plant.promote(*new.key)
        parts.others.pop(new.key, None)

    def _reinstall(self, old: Edition, new: Edition) -> None:
        parts = self._parts
        if old.key not in parts.others:
            return  # It was never put aside.
        parts.others[new.key] = new
        parts.roster.install(old.member)
        if old.keeper is not None:
            parts.plant.promote(*old.key)
        else:
            parts.plant.demote(new.member.id)
        parts.others.pop(old.key, None)
        with suppress(NxError):
            parts.tell("plugin_switched", old.member.facts)

    def _switch(self, editions: Sequence[Edition]) -> None:
        """Put the new editions on record, then send them every hook call that begins."""
        parts = self._parts
        for each in editions:
            parts.tell("plugin_switched", each.member.facts)
        entries = {
            each.member.id: Entry(
                each.member.id, each.member.priority, each.impls or (), each.member.edition
            )
            for each in editions
        }
        parts.registry.change(entries)
        for each in editions:
            parts.impl_cache.put(each.member.facts.code_digest, each.impls or ())

    # -- afterwards ------------------------------------------------------------------------

    def _settle(self, new: Sequence[Edition], old: Sequence[Edition]) -> None:
        """Wait for the calls of the old order; then end what only they knew of."""
        parts = self._parts
        parts.drive(self._last_calls())
        for each in new:
            parts.drive(self._catch_up(each))
        for each in old:
            parts.plant.dismiss(*each.key)
            parts.others.pop(each.key, None)
            parts.tell("plugin_removed", each.member.facts)

    def _last_calls(self) -> Effects[None]:
        clock, wait = self._parts.given.run.clock, self._parts.given.hosting.drain_s
        yield Gate(self._parts.registry.is_quiet, clock.monotonic() + wait)

    def _catch_up(self, edition: Edition) -> Effects[None]:
        """Replay historic calls that the old order made between the trial and now."""
        plugin, number = edition.key
        yield from self._parts.desk.replays.catch_up(
            plugin, number, edition.impls or (), edition.heard
        )

    def _report(self, kind: str, member: Member, **more: Any) -> None:
        facts = member.facts
        data = {
            "edition": facts.edition,
            "version": facts.version,
            "code_digest": facts.code_digest,
            **more,
        }
        self._parts.report(kind, member.id, data)


def _refuse_resident(member: Member) -> None:
    """A plugin in the host's own process cannot be taken out of it in one piece."""
    if member.in_process:
        raise PluginDisabled(
            f"plugin {member.id!r} runs in the host's process, which has to start again for it",
            plugin=member.id,
        )


def _forget(middleware: Any, facts: PluginFacts) -> None:
    listener = getattr(middleware, "plugin_removed", None)
    if listener is not None:
        with suppress(NxError):
            listener(facts)


def refuse_inside(parts: Parts, what: str) -> None:
    """Raise CallRejected in a thread that has calls of its own under way: it would wait for them.

    Those of an event loop's thread are its tasks'.
    """
    if parts.traffic.here:
        raise CallRejected(
            f"kernel.{what}() in the middle of this thread's own calls would wait for them; "
            f"make it in another thread: await asyncio.to_thread(kernel.{what}, ...)"
        )
