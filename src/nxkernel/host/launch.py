"""Starts one worker: pipes, confinement, a fork of the zygote."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Protocol

import attrs

from nxkernel import _forks
from nxkernel._system import Process
from nxkernel._system.holding import close_all, into, open_pipes
from nxkernel._wire import ENVELOPE, VERSION, Confine, Environment, Fence, Guard, Root, Setup
from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.host.arena import Arena
from nxkernel.host.channel import Channel
from nxkernel.host.denials import Advisor
from nxkernel.host.logs import LogTail
from nxkernel.host.masking import NOTHING, Masking
from nxkernel.host.memory import memory_file, read_only
from nxkernel.host.nursery import Nursery
from nxkernel.host.workers import Worker
from nxkernel.host.zygote import Profile, Zygote
from nxkernel.settings import Limits

__all__ = [
    "Bytecode",
    "Compilation",
    "Confinement",
    "Environment",
    "Fence",
    "Guard",
    "Launch",
    "Launcher",
    "Load",
    "greeted",
    "kill",
    "no_files",
    "setup",
    "start",
]


class Compilation(Protocol):
    """Takes in the byte code that a new worker makes."""

    @property
    def current(self) -> str:
        """The source that is being compiled, or ``""``."""

    def take(self, path: str, data: bytes) -> bool:
        """Take the byte code of *path*; False if that was not its turn."""

    def close(self) -> None:
        """Drop what was not kept."""


class Bytecode(Protocol):
    """A plugin's byte code, made by its first worker and used by the others."""

    @property
    def sources(self) -> tuple[str, ...]:
        """What is compiled, by path."""

    def ready(self) -> str:
        """Return its folder, or ``""`` if it is still to be compiled."""

    def compilation(self) -> Compilation:
        """Return what takes in what a worker compiles."""


class RootView(Protocol):
    """What is in a worker's own root; see :class:`nxkernel._wire.Root`."""

    @property
    def read(self) -> tuple[str, ...]: ...
    @property
    def write(self) -> tuple[str, ...]: ...
    @property
    def links(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def scratch(self) -> tuple[str, ...]: ...
    @property
    def scratch_mb(self) -> int: ...


class Confinement(Protocol):
    """What holds a worker, built once per plugin."""

    @property
    def ruleset_fd(self) -> int:
        """A Landlock ruleset, or -1 below level ``confined``."""

    @property
    def program(self) -> bytes:
        """A seccomp program with a marker for the pid, or empty."""

    @property
    def limits(self) -> Mapping[str, tuple[int, int]]:
        """``RLIMIT_*`` suffix -> (soft, hard)."""

    @property
    def root(self) -> RootView | None:
        """What the worker's own root holds, or None where it sees the host's."""


@attrs.frozen(kw_only=True)
class Load:
    """What a confined worker has to load."""

    plugin: str
    project: str
    #: ``module:object``.
    entrypoint: str
    #: The verified copy of the plugin's files.
    code_dir: str
    #: Where its manifest is in there: modules are found here and in *code_dir*.
    inside: str = attrs.field(default="", kw_only=True)
    #: Canonical bytes of the effective settings, secrets and all.
    settings: bytes = attrs.field(repr=False)
    #: Roots below which the plugin may write.
    write_roots: tuple[str, ...]
    #: Seed of ``random`` before the plugin's first import.
    import_seed: bytes
    #: Wall nanoseconds of the run's start.
    run_started_ns: int
    #: Where its walls stand, for its error messages.
    fence: Fence
    #: What of its randomness is seen.
    guard: Guard = attrs.field(factory=lambda: Guard("off", "off", "off", rng_global=False))
    #: The plugin's own libraries, or None where it has those of the application.
    environment: Environment | None = None
    #: Folder of the application's modules that plugins may import, or empty.
    api_dir: str = ""
    #: Where its byte code is kept, or None to compile at each import.
    bytecode: Bytecode | None = None
    #: Takes the plugin's secrets out of what it writes and of what it says about its failures.
    masking: Masking = NOTHING


@attrs.frozen(kw_only=True)
class Launch:
    """Everything that starting a plugin's worker takes."""

    #: Which interpreter, and with what: workers of one profile come from one zygote.
    profile: Profile
    level: str
    confinement: Confinement
    environment: Mapping[str, str]
    run_dir: str
    max_frame: int
    #: What the watchdog holds its workers to.
    limits: Limits = attrs.field(factory=Limits)
    #: None for a worker that only witnesses its level.
    load: Load | None = None
    #: A terminal for its standard input, or -1: its plugin is being debugged.
    terminal_fd: int = -1
    #: Says which grants lack, or None where there is no plugin.
    advisor: Advisor | None = None

    #: Tasks in a pid namespace of its own, for a plugin that may start programs or forks its
    #: calls; 0 for none.
    tasks: int = 0
    #: What each call stacks on the filter of its template, empty below ``confined``; None where
    #: the plugin's worker answers its calls itself.
    call_filter: bytes | None = None

    @property
    def forks_calls(self) -> bool:
        """Whether its worker is a template; one that is debugged has the person's terminal."""
        return self.call_filter is not None and self.terminal_fd < 0

    @property
    def walled(self) -> bool:
        """Whether the system keeps its workers from what they are not given to write."""
        return self.level in ("confined", "isolated")

    @property
    def largest(self) -> int:
        """Most bytes of a frame from its workers."""
        if self.limits.output_mb is None:
            return self.max_frame
        return min(self.max_frame, self.limits.output_mb * 1024 * 1024 + ENVELOPE)


class Launcher(Protocol):
    """Starts workers; which process they come from is its own matter."""

    def begin(self, profile: Profile) -> None:
        """Begin to make ready to start workers of *profile*, without waiting for it."""

    def prepare(self, profile: Profile) -> None:
        """Make ready to start workers of *profile*; the first one is not to wait for it.

        Raises:
            KernelConfigError: when its interpreter cannot be started.
        """

    def start(self, launch: Launch, log: LogTail, generation: int) -> Worker:
        """Start a worker and tell it to confine itself.

        Raises:
            NxError: when no worker can be started.
        """

    def end(self) -> None:
        """End every worker that is left; their exits can still be heard."""

    def close(self) -> None:
        """Give back what is held, once nobody hears of exits any more."""


def start(zygote: Zygote, launch: Launch, log: LogTail, generation: int) -> Worker:
    """Fork a worker and tell it to confine itself.

    Raises:
        SandboxUnavailable: when the zygote is gone, or the host has too many files open.
    """
    with _forks.whole():
        return _start(zygote, launch, log, generation)


def _start(zygote: Zygote, launch: Launch, log: LogTail, generation: int) -> Worker:
    ends: list[int] = []
    files: list[int] = []
    lent: list[int] = []
    nurseries: list[Nursery] = []
    spawned = None
    try:
        arena = _open(ends, files, lent, nurseries, launch)
        ruleset = launch.confinement.ruleset_fd
        # A nursery twice: it is in the place of both files, and keeps both numbers for the calls.
        shared = [*lent, *files[1:], *(2 * [nursery.theirs for nursery in nurseries])]
        spawned = zygote.spawn(
            [*_theirs(ends), *shared, *(fd for fd in (ruleset, launch.terminal_fd) if fd >= 0)],
            with_ruleset=ruleset >= 0,
            tasks=launch.tasks,
        )
        command_write, result_read, log_read = _ours(ends)
        if sys.platform != "win32":
            os.set_blocking(log_read, False)
        channel = Channel(command_write, result_read, launch.largest, arena)
        worker = greeted(zygote, spawned, channel, log_read, launch, log, generation)
        worker.nursery = next(iter(nurseries), None)
        return worker
    except BaseException:
        close_all([*_ours(ends), *files])
        for nursery in nurseries:
            nursery.close()
        if spawned is not None:
            spawned.close()  # It ends by itself: its pipes are closed.
        raise
    finally:
        close_all([*_theirs(ends), *lent])
        for nursery in nurseries:
            nursery.close_theirs()


def greeted(
    reporter: object,
    process: Process,
    channel: Channel,
    log_fd: int,
    launch: Launch,
    log: LogTail,
    generation: int,
) -> Worker:
    """Tell a new process to confine itself, and return it as a worker."""
    channel.send(_confine(launch))
    return Worker(
        process=process,
        channel=channel,
        log=log,
        log_fd=log_fd,
        generation=generation,
        level=launch.level,
        log_from=log.total,
        reporter=reporter,
    )


def _open(
    ends: list[int], files: list[int], lent: list[int], nurseries: list[Nursery], launch: Launch
) -> Arena | None:
    """Open the pipes for commands, results and log, with two *ends* each, and the arena.

    *files*: those of the arena. *lent*: what the worker has of the first of them.

    A template has a nursery in its place: an arena would be that of all of its calls.
    """
    try:
        open_pipes(ends, 3)
        if launch.forks_calls:
            into(nurseries, Nursery)
            return None
        into(files, memory_file)
        into(files, memory_file)
        read_only(lent, files[0])
        return Arena(files[0], files[1], launch.max_frame, lasting=launch.walled)
    except OSError as error:
        raise no_files(error) from None


def _ours(ends: list[int]) -> list[int]:
    """Where the host writes commands, and reads results and log; of what was opened so far."""
    return ends[1:3] + ends[4:5]


def _theirs(ends: list[int]) -> list[int]:
    """The other ends: the worker's."""
    return ends[0:1] + ends[3:4] + ends[5:6]


def no_files(error: OSError) -> SandboxUnavailable:
    """Return the error for a host that cannot open what a worker needs."""
    return SandboxUnavailable(
        f"a worker cannot be started: {error.strerror}; raise the limit of open files"
    )


def _confine(launch: Launch) -> Confine:
    return Confine(
        version=VERSION,
        level=launch.level,
        program=launch.confinement.program,
        limits=dict(launch.confinement.limits),
        environment=dict(launch.environment),
        run_dir=launch.run_dir,
        root=_root(launch.confinement.root),
    )


def _root(view: RootView | None) -> Root | None:
    if view is None:
        return None
    return Root(
        read=list(view.read),
        write=list(view.write),
        links=list(view.links),
        scratch=list(view.scratch),
        scratch_mb=view.scratch_mb,
    )


def setup(launch: Launch) -> Setup:
    """Return the message that has a confined worker load its plugin."""
    load = launch.load
    if load is None:
        raise KernelConfigError("a worker that only witnesses its level has nothing to load")
    ready = load.bytecode.ready() if load.bytecode is not None else ""
    return Setup(
        plugin=load.plugin,
        project=load.project,
        entrypoint=load.entrypoint,
        code_dir=load.code_dir,
        inside=load.inside,
        settings=load.settings,
        run_dir=launch.run_dir,
        write_roots=list(load.write_roots),
        import_seed=load.import_seed,
        run_started_ns=load.run_started_ns,
        max_payload=launch.largest - ENVELOPE,
        api_dir=load.api_dir,
        fence=load.fence,
        output_mb=launch.limits.output_mb,
        guard=load.guard,
        environment=load.environment,
        bytecode=ready,
        call_filter=launch.call_filter if launch.forks_calls else None,
        compile=[] if ready or load.bytecode is None else list(load.bytecode.sources),
    )


def kill(worker: Worker) -> None:
    """End the worker at once."""
    worker.process.kill()
