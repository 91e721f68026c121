"""Which plugins ``Hosting`` singles out for debugging, and what one in the host's process gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from nxkernel.errors import KernelConfigError, PluginDisabled
from nxkernel.host.masking import Masking
from nxkernel.plugins.grants import beyond_default
from nxkernel.plugins.manifest import Manifest
from nxkernel.settings import Grant, Hosting
from nxkernel.types import Level

__all__ = ["Residence", "check_names", "level_of"]


@attrs.frozen(kw_only=True)
class Residence:
    """What a plugin in the host's own process is loaded with."""

    entrypoint: str
    #: The verified copy of its files.
    code_dir: Path
    run_dir: Path
    settings: Mapping[str, Any] = attrs.field(repr=False)
    #: Takes the plugin's secrets out of what it says about its failures.
    masking: Masking
    import_seed: bytes
    run_started_ns: int


def check_names(hosting: Hosting, found: Iterable[str]) -> None:
    """Refuse to debug what cannot be: it would be a run without a debugger.

    Raises:
        KernelConfigError: for an id that nobody has, or one that is named twice.
    """
    if hosting.debug in hosting.inproc_allowlist:
        raise KernelConfigError(
            f"Hosting(debug=) and Hosting(inproc_allowlist=) both name {hosting.debug!r}: debug it "
            "in its worker, or run it in this process"
        )
    if hosting.debug_here and not hosting.debug:
        raise KernelConfigError("Hosting(debug_here=True) needs debug=, the plugin to debug")
    found = sorted(found)
    named = [("inproc_allowlist", plugin) for plugin in sorted(hosting.inproc_allowlist)]
    named += [("debug", hosting.debug)] if hosting.debug else []
    for option, plugin in named:
        if plugin not in found:
            known = ", ".join(found) or "none"
            raise KernelConfigError(
                f"Hosting({option}=): no plugin {plugin!r} was found; found: {known}"
            )


def level_of(hosting: Hosting, manifest: Manifest, grant: Grant, level: Level) -> Level:
    """Return *level*, that of the workers, or ``none`` for a plugin of the in-process allowlist.

    Raises:
        PluginDisabled: for one with a grant, which nothing in this process would hold it to, and
            for one with an environment of its own, whose libraries are not here.
    """
    if manifest.id not in hosting.inproc_allowlist:
        return level
    beyond = beyond_default(grant)
    if beyond is not None:
        reason = (
            f"it is granted {beyond}, and nothing there would hold it to that; take the grant "
            "from it, or"
        )
    elif manifest.environment is not None:
        reason = "its manifest names an environment of its own, which is not that process's;"
    else:
        return "none"
    raise PluginDisabled(
        f"plugin {manifest.id!r} may not run in the host's process: {reason} take it from "
        "Hosting(inproc_allowlist=)",
        code="plugin.inproc",
        plugin=manifest.id,
        details={"permission": beyond.partition(" ")[0]} if beyond else {},
    )
