"""What an application composed: the parts and settings of a kernel, before any boot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs

from nxkernel._blob import Blobs
from nxkernel.dispatch.stack import Asked, Middleware
from nxkernel.errors import KernelConfigError
from nxkernel.hookspecs import HookSpec
from nxkernel.kernel.answers import check_evidence
from nxkernel.pipeline import Library
from nxkernel.plugins.discovery import Candidate
from nxkernel.plugins.layers import Settings
from nxkernel.plugins.rules import TEMPLATES
from nxkernel.run import Run
from nxkernel.settings import Grant, Guard, Hosting, Sandbox
from nxkernel.types import Call, PluginId

__all__ = ["Answering", "Composition"]


def _known_templates(_: Any, __: attrs.Attribute[Any], paths: Mapping[str, Any]) -> None:
    """Raise for a path that nothing would ever ask for: its name has a typing error."""
    unknown = sorted(paths.keys() - set(TEMPLATES))
    if unknown:
        raise KernelConfigError(
            f"Kernel(paths=): no template {{{unknown[0]}}}; known: {', '.join(TEMPLATES)}"
        )


class Answering(Protocol):
    """Answers the brokered calls of plugins in the kernel's place."""

    def answer(self, call: Call, hook: str, payload: bytes, blobs: Blobs) -> Asked:
        """Return what the plugin of *call* is told when it calls *hook*; it is only its word."""

    def begin_again(self, lost: Call) -> None:
        """An attempt of *lost* was lost with its worker; the next one asks from the beginning."""


@attrs.frozen(kw_only=True)
class Composition:
    """What ``Kernel(...)`` was given, checked and completed."""

    project: str
    run: Run
    specs: Mapping[str, HookSpec]
    middleware: tuple[Middleware, ...]
    candidates: tuple[Candidate, ...]
    sandbox: Sandbox
    hosting: Hosting
    grants: Mapping[str, Grant] | None
    lock: Path | None
    settings: Settings
    paths: Mapping[str, Path | str] = attrs.field(validator=_known_templates)
    builtins: Mapping[str, Any]
    required: frozenset[str]
    api: tuple[str, ...]
    api_version: str | None
    evidence: Library | None
    #: Who answers what plugins ask in the middle of their calls; None is the kernel itself.
    answering: Answering | None = None

    def __attrs_post_init__(self) -> None:
        check_evidence(self.specs, self.evidence)

    def guard_of(self, plugin: PluginId) -> Guard:
        """What of *plugin*'s randomness is seen: as the stack's first member says that knows."""
        for each in self.middleware:
            ask = getattr(each, "guard_of", None)
            if ask is not None:
                guard: Guard = ask(plugin)
                return guard
        return Guard()

    @property
    def builtin_ids(self) -> frozenset[PluginId]:
        """Ids of the embedder's own implementations."""
        return frozenset(PluginId(name) for name in self.builtins)
