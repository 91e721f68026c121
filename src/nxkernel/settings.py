"""Frozen settings of a kernel: what the embedder decides in code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nxkernel.errors import KernelConfigError
from nxkernel.types import Level

__all__ = ["LEVELS", "Grant", "Hosting", "Limits", "Permissions", "Sandbox"]

#: Strongest first.
LEVELS: tuple[Level, ...] = ("isolated", "confined", "process", "none")


def _level(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and value not in LEVELS:
        raise KernelConfigError(
            f"Sandbox({attribute.name}={value!r}): expected one of {', '.join(LEVELS)}"
        )


@attrs.frozen(kw_only=True)
class Sandbox:
    """Which level must hold each plugin; below it the boot fails."""

    #: The weakest level that is acceptable.
    require: Level = attrs.field(default="confined", validator=_level)
    #: The level to use, at least as strong as ``require``; None is the same as ``require``.
    prefer: Level | None = attrs.field(default=None, validator=_level)

    def __attrs_post_init__(self) -> None:
        if self.prefer and LEVELS.index(self.prefer) > LEVELS.index(self.require):
            raise KernelConfigError(
                f"Sandbox(prefer={self.prefer!r}) is weaker than require={self.require!r}; "
                "to accept less, say so in require"
            )

    @property
    def level(self) -> Level:
        """The level that workers are started at."""
        return self.prefer or self.require


@attrs.frozen(kw_only=True)
class Limits:
    """What one worker may use."""

    #: Private memory, in MiB.
    memory_mb: int = 512
    #: Wall seconds for one call, or None for the hookspec's or the host's default.
    timeout_s: float | None = None
    #: CPU seconds for one call, or None for no limit beside the deadline.
    cpu_seconds_per_call: float | None = None
    #: Open files.
    open_files: int = 256
    #: Size of one written file, in MiB.
    file_size_mb: int = 32


@attrs.frozen(kw_only=True)
class Permissions:
    """Authorities, as a manifest requests them or a grant allows them.

    Paths may hold the templates ``{run_dir}``, ``{metadata_db_path}``, ``{media_dir}``,
    ``{audit_db_path}``, ``{plugin_dir}``, ``{cache_dir}``. Network entries are ``tcp:<port>``.
    ``calls`` are hooks and capabilities that may be called back.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()


class Grant(Permissions):
    """What the application allows one plugin."""


@attrs.frozen(kw_only=True)
class Hosting:
    """How worker processes are started, watched and ended."""

    #: Seconds for a call when neither call, hookspec nor manifest says otherwise.
    timeout_s: float = 10.0
    #: Seconds for importing and constructing a plugin.
    start_timeout_s: float = 60.0
    #: Start every worker at boot instead of at its first call.
    eager: bool = False
    #: At most this many deaths of one plugin's worker ...
    restart_intensity: int = 5
    #: ... within this many seconds, then quarantine.
    restart_period_s: float = 60.0
    #: Deepest nesting of brokered calls.
    max_depth: int = 16
    #: Largest frame in either direction, in bytes.
    max_frame: int = 64 * 1024 * 1024
    #: Kept at the end of each plugin's log, in bytes.
    log_tail: int = 64 * 1024
    #: Seconds between asking a worker to stop and killing it.
    stop_grace_s: float = 1.0
    #: Limits of a plugin whose manifest names none.
    limits: Limits = attrs.field(factory=Limits)
    #: The interpreter for workers; None is ``sys.executable``.
    python: Path | None = None
    #: Extra environment of the workers.
    environment: Mapping[str, str] = attrs.field(factory=dict)
