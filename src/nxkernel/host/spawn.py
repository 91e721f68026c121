"""Starts each worker as an interpreter of its own: the fallback where no zygote can fork.

Slower than a zygote by the start of an interpreter and all imports, and nothing is shared between
workers; the wire, the handshake and the confinement are the same.

Each interpreter reads its configuration from its standard input. Where the kernel does not end a
worker with its host, that pipe stays open: its end is how the worker learns that the host is gone.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from nxkernel import _forks, _locks
from nxkernel._system import Children, Process, System
from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.host.addresses import fixed
from nxkernel.host.housekeeping import Exits
from nxkernel.host.launch import Launch, greeted, no_files
from nxkernel.host.links import Link, pipes, sockets
from nxkernel.host.logs import LogTail
from nxkernel.host.workers import Exit, Worker
from nxkernel.host.zygote import Profile, keeps_bytecode

__all__ = ["Spawner"]

_CHUNK = 1 << 16
#: Seconds for the end of a log to be read after its worker has ended.
_LOG_END_S = 0.5
#: The argument that tells ``worker.bootstrap`` from a zygote's, by agreement.
_SPAWNED = "spawned"


class Spawner:
    """Spawns workers. Thread-safe."""

    #: Children of the host are never lost sight of together.
    gone = False

    def __init__(self, hear: Callable[[Exits], None], system: System) -> None:
        self._hear = hear
        self._system = system
        self._children: Children | None = None
        # One thread starts every worker and stays: Linux ends a child with the *thread* that
        # made it, and calls come from threads that end.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nxkernel-spawn")
        #: Threads that read logs, where a pipe cannot be waited for.
        self._readers: dict[int, _LogReader] = {}
        #: Held while one of them is there whose worker may have ended already.
        self._adopting = _locks.lock()
        _forks.register(self)

    def begin(self, profile: Profile) -> None:
        """Nothing takes time here."""

    def prepare(self, profile: Profile) -> None:
        """Begin to hear of exits."""
        with _forks.whole():
            if self._children is None:
                self._children = self._system.children()
                self._hear(self)
                # Made here: what starts a worker may be sheltered, and so no thread that
                # `threading` knows of. It would keep a dummy of each for ever.
                self._thread.submit(int)

    # -- exits ---------------------------------------------------------------------------

    @property
    def exits_fd(self) -> int:
        """Readable when a worker has ended."""
        return -1 if self._children is None else self._children.fd

    def exits(self) -> Sequence[tuple[int, Exit]]:
        """Return what has ended since the last call, by the process's number."""
        ended = [] if self._children is None else self._children.ended()
        with self._adopting:
            readers = [self._readers.pop(number, None) for number, _ in ended]
        for reader in readers:
            if reader is not None:
                # Whoever sees the exit may read the end of the log.
                reader.join(_LOG_END_S)
        return [(n, Exit(None, None) if code is None else Exit.of(code)) for n, code in ended]

    # -- starting ------------------------------------------------------------------------

    def start(self, launch: Launch, log: LogTail, generation: int) -> Worker:
        """Spawn a worker and tell it to confine itself.

        Raises:
            KernelConfigError: when the profile's interpreter cannot be started.
            SandboxUnavailable: when the host has too many files or processes.
        """
        if launch.level == "isolated":
            raise SandboxUnavailable(
                "level isolated needs the zygote, whose namespaces its workers share; "
                'use Hosting(launcher="zygote")',
                details={"guarantee": "namespaces"},
            )
        with _forks.whole():
            return self._start(launch, log, generation)

    def _start(self, launch: Launch, log: LogTail, generation: int) -> Worker:
        log_from = log.total  # What it says before it is greeted is its own as well.
        try:
            link = (pipes if self._system.pipes else sockets)(launch.largest)
        except OSError as error:
            raise no_files(error) from None
        process = self._in_thread(launch, link, log, generation)
        link.close_theirs()
        try:
            worker = greeted(self, process, link.channel, link.log, launch, log, generation)
        except BaseException:
            link.close_ours()
            process.close()
            raise
        worker.log_from = log_from
        return worker

    def _in_thread(self, launch: Launch, link: Link, log: LogTail, generation: int) -> Process:
        future: Future[Process] | None = None
        try:
            future = self._thread.submit(self._spawn, launch, link, log, generation)
            return future.result()
        except BaseException:
            # After an interrupt it may start yet, with these descriptors: they are closed then.
            if future is None:
                link.close()
                raise SandboxUnavailable("the kernel starts no workers any more") from None
            future.cancel()
            future.add_done_callback(partial(_discard, link))
            raise

    def _spawn(self, launch: Launch, link: Link, log: LogTail, generation: int) -> Process:
        children = self._children
        if children is None:
            raise SandboxUnavailable("the kernel starts no workers any more")
        profile, ruleset = launch.profile, launch.confinement.ruleset_fd
        inherited = [*link.ends, *([ruleset] if ruleset >= 0 else [])]
        if link.socket is not None and sys.platform != "win32":
            inherited.append(link.socket.fileno())
        try:
            with fixed(profile.fixed_addresses):
                child = subprocess.Popen(
                    [str(profile.python), "-s", "-P", "-S", str(profile.bootstrap), _SPAWNED],
                    env=dict(profile.environment),
                    stdin=subprocess.PIPE,
                    stdout=link.log_end,
                    stderr=link.log_end,
                    cwd=profile.python.anchor or "/",
                    **_flags(inherited),
                )
        except OSError as error:
            raise _not_spawned(profile, error) from None
        with self._adopting:
            try:
                process = children.adopt(child, launch.confinement.limits)
            except OSError as error:
                child.kill()
                child.communicate()
                raise no_files(error) from None
            self._listen(process.number, link, log, generation)
        self._configure(child, self._configuration(launch, link, ruleset, child.pid))
        return process

    def _configuration(
        self, launch: Launch, link: Link, ruleset: int, pid: int
    ) -> Mapping[str, Any]:
        """Return what the interpreter has to know before it can read messages."""
        return {
            "sys_path": list(launch.profile.sys_path),
            "preload": list(launch.profile.preload),
            "surroundings": launch.profile.surroundings.told,
            "host_pid": os.getpid(),
            "bytecode": keeps_bytecode(),
            "pipes": list(link.ends),
            "socket": None if link.socket is None else _address(link.socket, pid),
            "ruleset": ruleset,
            "lifeline": not self._system.death_signal,
        }

    def _configure(self, child: subprocess.Popen[bytes], configuration: Mapping[str, Any]) -> None:
        if child.stdin is None:
            return
        with contextlib.suppress(OSError):  # It ended already; its exit will say how.
            child.stdin.write(json.dumps(configuration).encode() + b"\n")
            child.stdin.flush()
        if self._system.death_signal:
            with contextlib.suppress(OSError):
                child.stdin.close()

    def _listen(self, number: int, link: Link, log: LogTail, generation: int) -> None:
        """Have the log read: by the housekeeping thread, or by a thread of its own."""
        if self._system.pipes:
            if sys.platform != "win32":
                os.set_blocking(link.log, False)
            return
        self._readers[number] = reader = _LogReader(link.log, log, generation)
        link.log = -1
        reader.start()

    # -- ending --------------------------------------------------------------------------

    def end(self) -> None:
        """End every worker that is left, and start none any more."""
        if self._children is not None:
            self._thread.shutdown()
            self._children.finish()

    def close(self) -> None:
        """Give back what is held, once nobody hears of exits any more."""
        children, self._children = self._children, None
        for reader in self._readers.values():
            reader.join(_LOG_END_S)
        if children is not None:
            children.close()

    def abandon(self) -> None:
        """In a forked child of the host: close the descriptors, end nothing."""
        self._adopting = _locks.lock()
        children, self._children = self._children, None
        for reader in self._readers.values():
            reader.close()
        if children is not None:
            children.abandon()


def _flags(inherited: Sequence[int]) -> dict[str, Any]:
    """Return the settings of ``Popen`` that systems do not share."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"pass_fds": tuple(inherited), "start_new_session": True}


def _address(end: Any, pid: int) -> int | str:
    """Return what process *pid* finds its socket by: the descriptor it inherits, or its share."""
    if sys.platform == "win32":
        return base64.b64encode(end.share(pid)).decode()
    return int(end.fileno())


def _not_spawned(profile: Profile, error: OSError) -> KernelConfigError | SandboxUnavailable:
    if isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError):
        return KernelConfigError(
            f"the interpreter {profile.python} cannot be started: {error.strerror}; "
            "name another one with Hosting(python=...)"
        )
    return SandboxUnavailable(
        f"a worker cannot be started: {error.strerror}; raise the limits of processes and memory",
        details={"guarantee": "process", "errno": error.errno},
    )


def _discard(link: Link, future: Future[Process]) -> None:
    """Close what a worker would have had, and end it if it was started all the same."""
    link.close()
    if future.cancelled() or future.exception() is not None:
        return
    process = future.result()
    process.kill()
    process.close()


class _LogReader(threading.Thread):
    """Reads one log where a pipe cannot be waited for."""

    def __init__(self, fd: int, log: LogTail, generation: int) -> None:
        super().__init__(name="nxkernel-log", daemon=True)
        self._fd = fd
        self._log = log
        self._generation = generation

    def run(self) -> None:
        """Read to the end, then close."""
        while data := os.read(self._fd, _CHUNK):
            self._log.feed(data, self._generation)
        self._log.ended(self._generation)
        self.close()

    def close(self) -> None:
        """Close the pipe; for this thread, and for a forked process that does not have it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
