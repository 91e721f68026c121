"""The plugins of the in-process allowlist: what they are made of, and how long they stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from nxkernel import _locks
from nxkernel._remote import with_remote
from nxkernel._trail import Trail, headline
from nxkernel.dispatch.effects import Effects
from nxkernel.errors import NxError, PluginDisabled
from nxkernel.host.builtin import Builtins
from nxkernel.host.conversation import Brokers
from nxkernel.host.imports import PrivateImports
from nxkernel.host.inproc import Resident
from nxkernel.host.slot import Slot
from nxkernel.kernel.allowlist import Residence
from nxkernel.kernel.members import Member
from nxkernel.kernel.roster import Roster
from nxkernel.types import ImplFacts, PluginId
from nxkernel.worker.context import PluginContext
from nxkernel.worker.loader import construct

__all__ = ["Residents"]

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")


class Kernel(Brokers, Protocol):
    """What residents need of the kernel."""

    def accept(self, plugin: PluginId, edition: int, impls: Sequence[ImplFacts]) -> None:
        """Check what a plugin implements.

        Raises:
            PluginDisabled: when it disagrees with the manifest.
        """


class Residents:
    """Loads plugins into this process, and takes them away again."""

    def __init__(
        self, project: str, roster: Roster, ring: Callable[[], None], kernel: Kernel
    ) -> None:
        self._project = project
        self._roster = roster
        self._ring = ring
        self._kernel = kernel
        #: Those that are loaded, or tried to be.
        self.living: dict[PluginId, Resident] = {}

    def start(self, member: Member) -> Effects[NxError | None]:
        """Load *member*; returns why it does not run."""
        residence = self._roster.launches.residence(member)
        imports = PrivateImports(residence.code_dir)
        scrub = _scrubber(residence, imports)
        resident = self.living[member.id] = Resident(
            member.id,
            slot=Slot(_locks.lock(), self._ring),
            ring=self._ring,
            broker=self._kernel,
            load=lambda resident: self._load(resident, residence, imports, scrub),
            unload=imports.unload,
            scrub=scrub,
            import_seed=residence.import_seed,
        )
        error = yield from resident.start()
        if error is None:
            try:
                self._kernel.accept(member.id, member.edition, resident.impls())
                return None
            except PluginDisabled as refusal:
                error = refusal
        self.living.pop(member.id).close()
        return error if isinstance(error, PluginDisabled) else _not_loaded(member.id, error, scrub)

    def _load(
        self,
        resident: Resident,
        residence: Residence,
        imports: PrivateImports,
        scrub: Callable[[str], str],
    ) -> Builtins:
        context = PluginContext(
            plugin_id=resident.plugin,
            settings=residence.settings,
            run_dir=str(residence.run_dir),
            started_ns=residence.run_started_ns,
            kernel=resident,
        )
        plugin = construct(imports.load(residence.entrypoint), context)
        return Builtins(self._project, {resident.plugin: plugin}, scrub)

    def retire(self) -> None:
        """Let no call in any more; those under way end with ``lost_by`` set."""
        for resident in self.living.values():
            resident.retire()

    def close(self) -> None:
        """End every thread and take all modules away."""
        for resident in self.living.values():
            resident.close()


def _scrubber(residence: Residence, imports: PrivateImports) -> Callable[[str], str]:
    """Return what makes texts those that a worker would have told."""
    code, run = str(Path(residence.code_dir)), str(residence.run_dir)

    def scrub(text: str) -> str:
        text = text.replace(code, "{plugin_dir}").replace(run, "{run_dir}")
        text = residence.masking.text(text)
        text = _ADDRESS.sub("0x…", text.replace(f"{imports.root}.", ""))
        return text.encode("utf-8", "replace").decode("utf-8")

    return scrub


def _not_loaded(
    plugin: PluginId, error: BaseException, scrub: Callable[[str], str]
) -> PluginDisabled:
    tree = Trail(scrub).of(error)
    disabled = PluginDisabled(
        f"plugin {plugin!r} could not be loaded: {headline(error, scrub)}",
        code="plugin.start",
        plugin=plugin,
        details={"exception": tree["exception"], "traceback": tree},
    )
    return with_remote(disabled, disabled.details)
