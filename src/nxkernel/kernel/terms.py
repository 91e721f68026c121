"""What the calls of one kernel go by, and the parts of its desk that are made of that alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from nxkernel._clock import Clock
from nxkernel.dispatch.drivers import Bell
from nxkernel.dispatch.spin import Look
from nxkernel.dispatch.stack import Middleware, PluginFacts, Stack
from nxkernel.errors import PluginDisabled
from nxkernel.hookspecs import HookSpec
from nxkernel.host.builtin import Builtins
from nxkernel.host.inproc import Resident
from nxkernel.kernel.annotations import Annotations
from nxkernel.kernel.answers import Answers
from nxkernel.kernel.deliveries import Deliveries
from nxkernel.kernel.drafts import Drafts
from nxkernel.kernel.history import Remembered
from nxkernel.kernel.hookcalls import Nests
from nxkernel.kernel.intake import Intake
from nxkernel.kernel.registry import Registry
from nxkernel.settings import Hosting
from nxkernel.types import Call, Level, PluginId, RunId

__all__ = ["Terms"]


def _blocking(_: int, block: Callable[[], Any]) -> Any:
    return block()


def _never(_: int, _block: Callable[[], Any]) -> bool:
    return False


@attrs.frozen(eq=False, kw_only=True)
class Terms:
    """What one desk goes by. Its mappings are views: they follow what becomes of the plugins."""

    run_id: RunId
    specs: Mapping[str, HookSpec]
    registry: Registry
    middleware: Sequence[Middleware]
    builtins: Builtins
    #: Who of the providers is a builtin.
    builtin_ids: frozenset[PluginId]
    #: Of the editions that new calls go to.
    facts: Mapping[PluginId, PluginFacts]
    #: Seconds that a manifest gives its own calls, and how deep it lets them nest.
    timeouts: Mapping[PluginId, float]
    depths: Mapping[PluginId, int]
    #: Why an edition of a plugin does not run, or None.
    disabled: Callable[[PluginId, int], PluginDisabled | None]
    hosting: Hosting
    clock: Clock
    #: The level of what runs in workers.
    level: Level
    #: Plugins of the in-process allowlist, once they are loaded.
    residents: Mapping[PluginId, Resident] = attrs.Factory(dict)
    #: The historic calls of earlier desks.
    history: Sequence[Remembered] = ()
    #: Told of a call that goes to another edition of its plugin than new calls do.
    late: Callable[[Call], None] = lambda call: None
    #: What an edition is known to be, where ``facts`` has a newer one.
    facts_of: Callable[[PluginId, int], PluginFacts | None] | None = None
    #: What seals answers; without evidence none holds.
    answers: Answers = attrs.Factory(Answers)
    #: What the gates of the kernel's workers are rung by.
    bell: Bell = attrs.Factory(Bell)
    #: How calls of a hook wait, in a thread and in an event loop: as a rule until there is an
    #: answer, and not at all.
    look_of: Callable[[str], Look] = lambda hook: _blocking
    glance_of: Callable[[str], Look] = lambda hook: _never

    def intake(self, annotations: Annotations, nests: Nests) -> Intake:
        """Return what makes hook calls of what is asked."""
        return Intake(
            specs=self.specs,
            hosting=self.hosting,
            depths=self.depths,
            annotations=annotations,
            nests=nests,
        )

    def drafts(self) -> Drafts:
        """Return what writes the calls of single providers down."""
        return Drafts(
            run_id=self.run_id,
            builtin_ids=self.builtin_ids,
            residents=self.residents.keys(),
            timeouts=self.timeouts,
            hosting=self.hosting,
            clock=self.clock,
            level=self.level,
        )

    def deliveries(self, annotations: Annotations, nests: Nests) -> Deliveries:
        """Return what makes these calls."""
        return Deliveries(
            specs=self.specs,
            stack=Stack(self.middleware),
            builtins=self.builtins,
            builtin_ids=self.builtin_ids,
            residents=self.residents,
            facts=self.facts,
            facts_of=self.facts_of,
            depths=self.depths,
            disabled=self.disabled,
            late=self.late,
            annotations=annotations,
            nests=nests,
        )
