"""Starts one worker: pipes, confinement, a fork of the zygote."""

from __future__ import annotations

import os
import resource
import select
import signal
from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from nxkernel._wire import ENVELOPE, VERSION, Confine, Setup
from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.host.channel import Channel
from nxkernel.host.logs import LogTail
from nxkernel.host.slot import Worker
from nxkernel.host.zygote import Spawned, Zygote

__all__ = ["Confinement", "Launch", "Load", "allow_cpu", "has_ended", "kill", "setup", "start"]


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


@attrs.frozen(kw_only=True)
class Load:
    """What a confined worker has to load."""

    plugin: str
    project: str
    #: ``module:object``.
    entrypoint: str
    #: The verified copy of the plugin's files.
    code_dir: str
    #: Canonical bytes of the effective settings.
    settings: bytes
    #: Roots below which the plugin may write.
    write_roots: tuple[str, ...]
    #: Seed of ``random`` before the plugin's first import.
    import_seed: bytes
    #: Wall nanoseconds of the run's start.
    run_started_ns: int
    #: Folder of the application's modules that plugins may import, or empty.
    api_dir: str = ""


@attrs.frozen(kw_only=True)
class Launch:
    """Everything that starting a plugin's worker takes."""

    level: str
    confinement: Confinement
    environment: Mapping[str, str]
    run_dir: str
    max_frame: int
    #: None for a worker that only witnesses its level.
    load: Load | None = None


def start(zygote: Zygote, launch: Launch, log: LogTail, generation: int) -> Worker:
    """Fork a worker and tell it to confine itself.

    Raises:
        SandboxUnavailable: when the zygote is gone, or the host has too many files open.
    """
    ours, theirs = _pipes()
    ruleset = launch.confinement.ruleset_fd
    spawned = None
    try:
        spawned = zygote.spawn(
            [*theirs, *([ruleset] if ruleset >= 0 else [])], with_ruleset=ruleset >= 0
        )
        return _worker(spawned, ours, launch, log, generation)
    except BaseException:
        _close(ours)
        if spawned is not None:
            os.close(spawned.pidfd)  # It ends by itself: its pipes are closed.
        raise
    finally:
        _close(theirs)


def _worker(
    spawned: Spawned, ends: Sequence[int], launch: Launch, log: LogTail, generation: int
) -> Worker:
    command_write, result_read, log_read = ends
    os.set_blocking(log_read, False)
    channel = Channel(command_write, result_read, launch.max_frame)
    channel.send(_confine(launch))
    return Worker(
        pid=spawned.pid,
        pidfd=spawned.pidfd,
        channel=channel,
        log=log,
        log_fd=log_read,
        generation=generation,
        level=launch.level,
        log_from=log.total,
    )


def _pipes() -> tuple[list[int], list[int]]:
    """Command, result and log: the host's ends, and the worker's."""
    made: list[int] = []
    try:
        for _ in range(3):
            made += os.pipe()
    except OSError as error:
        _close(made)
        raise SandboxUnavailable(
            f"a worker cannot be started: {error.strerror}; raise the limit of open files"
        ) from None
    command_read, command_write, result_read, result_write, log_read, log_write = made
    return [command_write, result_read, log_read], [command_read, result_write, log_write]


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _confine(launch: Launch) -> Confine:
    return Confine(
        version=VERSION,
        level=launch.level,
        program=launch.confinement.program,
        limits=dict(launch.confinement.limits),
        environment=dict(launch.environment),
        run_dir=launch.run_dir,
    )


def setup(launch: Launch) -> Setup:
    """Return the message that has a confined worker load its plugin."""
    load = launch.load
    if load is None:
        raise KernelConfigError("a worker that only witnesses its level has nothing to load")
    return Setup(
        plugin=load.plugin,
        project=load.project,
        entrypoint=load.entrypoint,
        code_dir=load.code_dir,
        settings=load.settings,
        run_dir=launch.run_dir,
        write_roots=list(load.write_roots),
        import_seed=load.import_seed,
        run_started_ns=load.run_started_ns,
        max_payload=launch.max_frame - ENVELOPE,
        api_dir=load.api_dir,
    )


def kill(worker: Worker) -> None:
    """End the worker at once; by pidfd, so never somebody else."""
    try:
        signal.pidfd_send_signal(worker.pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return


def has_ended(worker: Worker) -> bool:
    """Whether the process is over, though the zygote may not have said so yet."""
    poll = select.poll()
    poll.register(worker.pidfd, select.POLLIN)
    return bool(poll.poll(0))


def allow_cpu(worker: Worker, seconds: float) -> None:
    """Let the worker use *seconds* of CPU time from now on, then SIGXCPU.

    RLIMIT_CPU counts over the whole life of a process: as a fixed limit it would end every busy
    worker sooner or later. The host moves the soft limit before each call instead; the worker
    cannot, its filter forbids it.
    """
    used = _cpu_seconds(worker.pid)
    if used is None:
        return
    _, hard = resource.prlimit(worker.pid, resource.RLIMIT_CPU)
    resource.prlimit(worker.pid, resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))


def _cpu_seconds(pid: int) -> float | None:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
