"""What a plugin implements: what its manifest says, what its worker says, what was learned."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import attrs
import msgspec

from nxkernel._wire import Impl
from nxkernel.errors import PluginDisabled
from nxkernel.types import HookName, ImplFacts, PluginId

__all__ = ["ImplCache", "agree", "from_wire"]


def from_wire(impls: Sequence[Impl]) -> tuple[ImplFacts, ...]:
    """Turn a worker's word into facts, sorted by attribute name."""
    facts = [
        ImplFacts(
            impl=each.impl,
            hook=HookName(each.hook),
            args=each.args,
            kwargs=each.kwargs,
            wrapper=each.wrapper,
            hookwrapper=each.hookwrapper,
            tryfirst=each.tryfirst,
            trylast=each.trylast,
            optionalhook=each.optionalhook,
        )
        for each in impls
        if _is_name(each.impl) and all(map(_is_name, (*each.args, *each.kwargs)))
    ]
    return tuple(sorted(facts, key=lambda f: f.impl))


def _is_name(text: str) -> bool:
    return text.isidentifier()


def agree(plugin: PluginId, declared: Sequence[ImplFacts], found: Sequence[ImplFacts]) -> None:
    """Hold what was found against what the manifest declares.

    Raises:
        PluginDisabled: when a hook is missing or is not declared.
    """
    said = {facts.hook for facts in declared}
    does = {facts.hook for facts in found}
    problems = [f"the manifest names {h!r}, the code does not implement it" for h in said - does]
    problems += [f"the code implements {h!r}, the manifest does not name it" for h in does - said]
    if problems:
        raise PluginDisabled(
            f"plugin {plugin!r}: {sorted(problems)[0]}; make `hooks` agree with the code",
            code="plugin.handshake",
            plugin=plugin,
            details={"declared": sorted(said), "found": sorted(does)},
        )


class _Entry(msgspec.Struct):
    project: str
    code_digest: str
    impls: list[Impl]


class ImplCache:
    """What was learned from probes, by code digest: plugins with a known code start lazily.

    A wrong entry can do no harm: the handshake of the first worker must agree with it.
    """

    def __init__(self, folder: Path, project: str) -> None:
        self._folder = folder
        self._project = project

    def get(self, code_digest: str) -> tuple[ImplFacts, ...] | None:
        """Return what is known of this code, or None."""
        try:
            entry = msgspec.json.decode(self._path(code_digest).read_bytes(), type=_Entry)
        except (OSError, msgspec.MsgspecError):
            return None
        if entry.project != self._project or entry.code_digest != code_digest:
            return None
        return from_wire(entry.impls)

    def put(self, code_digest: str, impls: Sequence[ImplFacts]) -> None:
        """Remember; a cache that cannot be written is no error."""
        path = self._path(code_digest)
        if path.exists():
            return
        entry = _Entry(self._project, code_digest, [Impl(*attrs.astuple(f)) for f in impls])
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(entry)))
            temporary.replace(path)
        except OSError:
            return

    def _path(self, code_digest: str) -> Path:
        return self._folder / f"{self._project}-{code_digest.removeprefix('sha256:')}.json"
