"""Frozen settings: those of a kernel, and what became of a plugin's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from nxkernel import _canonical
from nxkernel._numbers import unfit
from nxkernel._pickling import Portable
from nxkernel.errors import KernelConfigError
from nxkernel.surroundings import Surroundings
from nxkernel.types import Digest, Level

__all__ = [
    "LEVELS",
    "MODES",
    "Grant",
    "Guard",
    "Hosting",
    "Limits",
    "Mode",
    "Permissions",
    "PluginSettings",
    "Sandbox",
    "Setting",
    "Source",
    "digest_of",
]

Mode = Literal["off", "warn", "strict"]

#: Strongest first.
LEVELS: tuple[Level, ...] = ("isolated", "confined", "process", "none")


#: Weakest first.
MODES: tuple[Mode, ...] = ("off", "warn", "strict")
#: Spares of one zygote; more would take the memory of a thousand plugins for none.
MOST_SPARES = 256


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
class Guard:
    """What of a plugin's own randomness is seen (``warn``), and what is refused (``strict``)."""

    chance: Mode = "off"
    clocks: Mode = "off"
    environment: Mode = "off"


@attrs.frozen(kw_only=True)
class Limits:
    """What one worker may use."""

    #: Memory of its own and shared anonymous memory, in MiB.
    memory_mb: int = 512
    #: Wall seconds for one call, or None for the hookspec's or the host's default.
    timeout_s: float | None = None
    #: CPU seconds for one call, or None for no limit beside the deadline.
    cpu_seconds_per_call: float | None = None
    #: Open files.
    open_files: int = 256
    #: Size of one written file, in MiB.
    file_size_mb: int = 32
    #: At level ``isolated``: room in TMPDIR and HOME together, which are kept in memory, in MiB.
    scratch_mb: int = 64
    #: Processes at a time, its own included; without ``permissions.exec`` it has one.
    processes: int = 16
    #: Growth of all files together below what it may write, in MiB.
    written_mb: int = 256
    #: Size of one answer or of one brokered call, in MiB; None for ``Hosting.max_frame``.
    output_mb: int | None = None
    #: Deepest nesting of a brokered call that it makes or answers; None for ``Hosting.max_depth``.
    call_depth: int | None = None
    #: Kept at the end of its log, in KiB; None for ``Hosting.log_tail``.
    log_kb: int | None = None


@attrs.frozen(kw_only=True)
class Permissions:
    """Authorities, as a manifest requests them or a grant allows them.

    Paths may hold the templates ``{run_dir}``, ``{metadata_db_path}``, ``{media_dir}``,
    ``{audit_db_path}``, ``{plugin_dir}``, ``{cache_dir}``. Network entries are ``tcp:<port>``, to
    connect, and ``listen:<port>``. ``exec`` are programs, by path. ``devices`` are ``gpu`` and
    ``raw_input``. ``calls`` are hooks and capabilities that may be called back.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    exec: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()

    @property
    def connect(self) -> tuple[int, ...]:
        """TCP ports to connect to, sorted."""
        return self._ports("tcp:")

    @property
    def listen(self) -> tuple[int, ...]:
        """TCP ports to listen on, sorted."""
        return self._ports("listen:")

    def _ports(self, prefix: str) -> tuple[int, ...]:
        mine = (entry for entry in self.network if entry.startswith(prefix))
        return tuple(sorted(int(entry.removeprefix(prefix)) for entry in mine))


class Grant(Permissions):
    """What the application allows one plugin."""


def _reasons(_: Any, attribute: attrs.Attribute[Any], value: Mapping[str, Any]) -> None:
    for plugin, reason in sorted(value.items()):
        if not isinstance(reason, str) or not reason.strip():
            raise KernelConfigError(
                f"Hosting({attribute.name}=): {plugin!r} has no reason; "
                "say why it may run in the host without any isolation"
            )


def _spares(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if (given := unfit(value, 0, MOST_SPARES)) is not None:
        raise KernelConfigError(
            f"Hosting({attribute.name}={given}): expected a whole number from 0 to {MOST_SPARES}"
        )


@attrs.frozen(kw_only=True)
class Hosting(Portable):
    """How worker processes are started, watched and ended."""

    #: Seconds for a call when neither call, hookspec nor manifest says otherwise.
    timeout_s: float = 10.0
    #: Seconds for importing and constructing a plugin.
    start_timeout_s: float = 60.0
    #: Start every worker at boot instead of at its first call.
    eager: bool = False
    #: Workers that each zygote forks ahead, when nobody asks it for one: a start takes half the
    #: time then, and each takes memory until it is needed. Without a zygote there are none.
    spares: int = attrs.field(default=0, validator=_spares)
    #: At most this many deaths of one plugin's worker ...
    restart_intensity: int = 5
    #: ... within this many seconds, then quarantine.
    restart_period_s: float = 60.0
    #: Seconds before a worker is started again after two deaths without an answer in between;
    #: doubles with each further one. 0 starts it at once.
    backoff_s: float = 0.1
    #: Longest such pause, in seconds.
    backoff_max_s: float = 5.0
    #: Seconds in quarantine before one worker is started on probation; None is until released.
    quarantine_s: float | None = 300.0
    #: Seconds without a call after which a worker is asked whether it is there; None never asks.
    ping_interval_s: float | None = 30.0
    #: Seconds for its answer, then it is replaced.
    ping_timeout_s: float = 10.0
    #: How often a call of an ``idempotent`` hook is made again when its worker crashes.
    retries: int = 1
    #: How many items of a stream, and how many bytes of them, a worker makes ahead of its consumer.
    stream_items: int = 16
    stream_bytes: int = 1 << 18
    #: Providers of the same priority go by how often they failed with their present code in so
    #: many seconds before the boot; None does not look at that.
    failure_window_s: float | None = None
    #: Deepest nesting of brokered calls.
    max_depth: int = 16
    #: Largest frame in either direction, in bytes.
    max_frame: int = 64 * 1024 * 1024
    #: Kept at the end of each plugin's log, in bytes.
    log_tail: int = 64 * 1024
    #: Kept of each plugin's log in the run directory, in bytes; 0 keeps none on disk.
    log_file: int = 4 * 1024 * 1024
    #: Seconds between asking a worker to stop and killing it.
    stop_grace_s: float = 1.0
    #: Seconds that calls under way have to end when their plugin is reloaded or removed.
    drain_s: float = 60.0
    #: Limits of a plugin whose manifest names none.
    limits: Limits = attrs.field(factory=Limits)
    #: How workers are started: ``zygote`` forks them from a warm process, ``spawn`` starts a new
    #: interpreter for each; None is the zygote where the system has what it needs (Linux).
    launcher: Literal["zygote", "spawn"] | None = attrs.field(
        default=None, validator=attrs.validators.in_((None, "zygote", "spawn"))
    )
    #: The interpreter for workers; None is ``sys.executable``.
    python: Path | None = None
    #: Where `nxkernel plugins install` put plugins' own environments; None is its default.
    environments: Path | None = None
    #: Extra environment of the workers.
    environment: Mapping[str, str] = attrs.field(factory=dict)
    #: Where workers' surroundings are other than usual: to find out what a plugin depends on.
    surroundings: Surroundings = attrs.field(factory=Surroundings)
    #: The plugin to debug: its worker gets a terminal, and no limit of time applies to it.
    debug: str | None = None
    #: Use the host's own terminal for that, instead of waiting for one to attach.
    debug_here: bool = False
    #: Plugins that run in the host's own process, at level ``none``, each with the reason. For
    #: debugging alone: nothing holds such a plugin, and nothing can end it.
    inproc_allowlist: Mapping[str, str] = attrs.field(factory=dict, validator=_reasons)


#: Who gave a setting, each over the one before.
Source = Literal["schema", "manifest", "file", "environment", "application"]


def digest_of(shown: Mapping[str, Any]) -> Digest:
    """Return the digest of settings as they are shown.

    Secrets count as masked: the digest of a short secret would tell it to whoever tries them all.
    """
    return _canonical.digest(_canonical.encode(shown), b"nx.settings.v1\0")


@attrs.frozen(kw_only=True)
class Setting:
    """One setting of a plugin that is in force, and who gave it."""

    #: JSON Pointer (RFC 6901) of the setting.
    path: str
    #: What it is; of a secret, a mask.
    value: Any
    source: Source
    #: The settings file's name, or the variable's; empty where ``source`` says it all.
    origin: str = ""
    #: Whether the schema marks it ``writeOnly``.
    secret: bool = False


@attrs.frozen(kw_only=True)
class PluginSettings:
    """The effective settings of a plugin as they may be shown: every secret is masked."""

    plugin: str = ""
    values: Mapping[str, Any] = attrs.field(factory=dict)
    #: Of ``values``: it tells nothing of a secret, not even that it has changed.
    digest: Digest = attrs.field(factory=lambda: digest_of({}))
    #: A setting for each value that is no table, by path.
    entries: tuple[Setting, ...] = ()
