"""One state of a plugin's files as it runs, beside the one that new calls go to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from nxkernel.host.keeper import Keeper
from nxkernel.kernel.members import Member
from nxkernel.types import ImplFacts, PluginId

__all__ = ["Edition"]


@attrs.define(eq=False, kw_only=True)
class Edition:
    """An edition beside the one that new calls go to: on trial, or finishing its last calls."""

    member: Member
    #: None for one that never ran.
    keeper: Keeper | None
    #: Called once, with what its first worker implements; raises PluginDisabled to refuse it.
    on_arrival: Callable[[Sequence[ImplFacts]], None] = lambda impls: None
    #: What it implements, or None before its first worker has said so.
    impls: tuple[ImplFacts, ...] | None = None
    #: How many historic calls its worker has been told of.
    heard: int = 0

    @property
    def key(self) -> tuple[PluginId, int]:
        """What tells it from all others."""
        return self.member.id, self.member.edition

    def accept(self, impls: Sequence[ImplFacts]) -> None:
        """Take the word of its first worker.

        Raises:
            PluginDisabled: when the kernel or its stack will not have it.
        """
        self.on_arrival(impls)
        self.impls = tuple(impls)
