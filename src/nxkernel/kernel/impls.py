"""What a plugin implements: what its manifest says, what its worker says, what was learned."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import attrs
import msgspec

from nxkernel.errors import PluginDisabled
from nxkernel.host.replies import is_possible
from nxkernel.plugins.manifest import HookEntry
from nxkernel.types import ImplFacts, PluginId

__all__ = ["ImplCache", "agree"]

#: Most hookimpls of one plugin: each of them multiplies what a fan-out costs everybody.
MAX_IMPLS = 256


def agree(
    plugin: PluginId,
    declared: Sequence[ImplFacts],
    found: Sequence[ImplFacts],
    entries: Sequence[HookEntry] = (),
) -> None:
    """Hold what was found against what the manifest declares.

    *entries* are the manifest's ``hooks``: what a table says of a hookimpl must be true of one.

    Raises:
        PluginDisabled: when a hook is missing or is not declared, a table is wrong, or there are
            too many hookimpls.
    """
    if len(found) > MAX_IMPLS:
        raise PluginDisabled(
            f"plugin {plugin!r}: it has {len(found)} hookimpls; the limit is {MAX_IMPLS}",
            code="plugin.handshake",
            plugin=plugin,
        )
    said = {facts.hook for facts in declared}
    does = {facts.hook for facts in found}
    problems = [f"the manifest names {h!r}, the code does not implement it" for h in said - does]
    problems += [f"the code implements {h!r}, the manifest does not name it" for h in does - said]
    problems += [_contradiction(entry) for entry in entries if not _true_of(entry, found)]
    if problems:
        raise PluginDisabled(
            f"plugin {plugin!r}: {sorted(problems)[0]}; make `hooks` agree with the code",
            code="plugin.handshake",
            plugin=plugin,
            details={"declared": sorted(said), "found": sorted(does)},
        )


def _true_of(entry: HookEntry, found: Sequence[ImplFacts]) -> bool:
    """Whether one of the hookimpls is as *entry* says; None is what it leaves open."""
    return any(
        facts.hook == entry.hook
        and entry.impl in (None, facts.impl)
        and entry.wrapper in (None, facts.wraps)
        and entry.tryfirst in (None, facts.tryfirst)
        and entry.trylast in (None, facts.trylast)
        and entry.optional in (None, facts.optionalhook)
        and entry.args in (None, (*facts.args, *facts.kwargs))
        for facts in found
    )


def _contradiction(entry: HookEntry) -> str:
    said = attrs.asdict(entry, filter=lambda field, value: value is not None)
    words = ", ".join(f"{name} = {said[name]!r}" for name in sorted(said) if name != "hook")
    return f"the manifest says of {entry.hook!r} that {words or 'it is there'}; the code differs"


class _Entry(msgspec.Struct):
    project: str
    code_digest: str
    impls: list[ImplFacts]


class ImplCache:
    """What was learned from probes, by code digest: plugins with a known code start lazily.

    A wrong entry does little harm: the handshake of the first worker must agree with it, and an
    entry that did not is replaced.
    """

    def __init__(self, folder: Path, project: str) -> None:
        self._folder = folder
        self._project = project

    def get(self, code_digest: str) -> tuple[ImplFacts, ...] | None:
        """Return what is known of this code, or None."""
        try:
            entry = msgspec.json.decode(self._path(code_digest).read_bytes(), type=_Entry)
        except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        if entry.project != self._project or entry.code_digest != code_digest:
            return None
        if not all(map(is_possible, entry.impls)):
            return None
        return tuple(sorted(entry.impls, key=lambda facts: facts.impl))

    def put(self, code_digest: str, impls: Sequence[ImplFacts]) -> None:
        """Remember; a cache that cannot be written is no error."""
        path = self._path(code_digest)
        if self.get(code_digest) == tuple(impls):
            return
        entry = _Entry(self._project, code_digest, list(impls))
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(entry)))
            temporary.replace(path)
        except OSError:
            return

    def _path(self, code_digest: str) -> Path:
        return self._folder / f"{self._project}-{code_digest.removeprefix('sha256:')}.json"
