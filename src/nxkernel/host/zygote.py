"""The host's handle on the zygote: start it by exec, ask it for workers, hear of their exits."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from nxkernel.errors import KernelConfigError, SandboxUnavailable

__all__ = ["Profile", "Spawned", "Zygote"]

_EXIT = struct.Struct("<ii")
#: A request: its number, and whether a ruleset comes along; an answer: that number, and the pid.
_REQUEST, _ANSWER = struct.Struct("<I?"), struct.Struct("<Ii")
_START_TIMEOUT_S = 60.0
#: Descriptors in the zygote, by agreement with ``worker.bootstrap`` and ``worker.zygote``.
_CONTROL_FD, _EXITS_FD = 3, 4


@attrs.frozen(kw_only=True)
class Profile:
    """What makes two plugins share a zygote."""

    #: The interpreter.
    python: Path
    #: The script that it runs, ``worker/bootstrap.py``.
    bootstrap: Path
    #: Folders of third-party packages and of nxkernel itself.
    sys_path: tuple[str, ...]
    #: The whole environment; the hash seed is in it and is a constant of the profile.
    environment: Mapping[str, str]
    #: Modules imported before the first fork, beside the runner's own.
    preload: tuple[str, ...] = ()


@attrs.frozen
class Spawned:
    """A new worker process."""

    pid: int
    pidfd: int


class Zygote:
    """A started zygote.

    Never forked from the embedder: a fork would carry its heap, secrets and descriptors along.
    ``-I`` and ``-E`` are not used, because both ignore PYTHONHASHSEED; the environment is built
    from nothing instead, ``-s -P -S`` keep user and script folders and ``site`` out.
    """

    def __init__(self, profile: Profile) -> None:
        self._lock = threading.Lock()
        self._requests = 0
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        exits, their_exits = os.pipe()
        try:
            self._process = self._exec(profile, theirs.fileno(), their_exits)
        finally:
            theirs.close()
            os.close(their_exits)
        self._control = control
        #: Readable when a worker has ended; see :meth:`exits`.
        self.exits_fd = exits
        #: Set once the zygote has closed its end, which it does by ending.
        self.gone = False
        os.set_blocking(exits, False)
        self._greet(profile)

    @staticmethod
    def _exec(profile: Profile, control: int, exits: int) -> subprocess.Popen[bytes]:
        # A tiny shim in the child would be needed to renumber descriptors; instead the two are
        # passed under their own numbers and `-c` moves them before anything else is imported.
        # By way of numbers above both: the embedder may have any number of files open.
        above = max(control, exits, _EXITS_FD) + 1
        move = (
            f"import os;os.dup2({control},{above});os.dup2({exits},{above + 1});"
            f"os.dup2({above},{_CONTROL_FD});os.dup2({above + 1},{_EXITS_FD});"
            f"os.closerange(5,{above + 2});"
            "import runpy,sys;runpy.run_path(sys.argv[1],run_name='__main__')"
        )
        command = [str(profile.python), "-s", "-P", "-S", "-c", move, str(profile.bootstrap)]
        return subprocess.Popen(
            command,
            env=dict(profile.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(control, exits),
            start_new_session=True,
            cwd="/",
        )

    def _greet(self, profile: Profile) -> None:
        config = {
            "sys_path": list(profile.sys_path),
            "preload": list(profile.preload),
            "host_pid": os.getpid(),
        }
        try:
            self._control.send(json.dumps(config).encode())
            ready = self._receive(_START_TIMEOUT_S)
        except OSError:
            ready = b""
        if ready != b"ready":
            said = self._last_words()
            self.end()
            self.close()
            raise KernelConfigError(
                "the zygote did not start; the interpreter said: " + (said or "nothing")
            )

    def _receive(self, timeout: float) -> bytes:
        # Not select(): it knows no descriptor above 1023.
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(timeout * 1000):
            return b""
        return self._control.recv(64)

    def _last_words(self) -> str:
        self._process.kill()
        output = self._process.communicate()[0] or b""
        lines = output.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    def spawn(self, fds: Sequence[int], *, with_ruleset: bool) -> Spawned:
        """Fork a worker that gets *fds*: command, result, log, and perhaps a ruleset.

        Raises:
            SandboxUnavailable: when the zygote is gone.
        """
        with self._lock:
            self._requests += 1
            request = _REQUEST.pack(self._requests, with_ruleset)
            try:
                socket.send_fds(self._control, [request], list(fds))
                while True:
                    number, spawned = self._answer()
                    if number == self._requests:
                        return spawned
                    _end(spawned)
            except OSError:
                raise SandboxUnavailable("the zygote is gone; no worker can be started") from None

    def _answer(self) -> tuple[int, Spawned]:
        """Receive one answer; it may be to a request whose caller was interrupted."""
        answer, pidfds, _, _ = socket.recv_fds(self._control, 64, 1)
        if len(answer) != _ANSWER.size or not pidfds:
            raise OSError("the zygote has no answer")
        number, pid = _ANSWER.unpack(answer)
        return number, Spawned(pid=pid, pidfd=pidfds[0])

    def exits(self) -> list[tuple[int, int]]:
        """Return the workers that have ended since the last call, as (pid, wait status)."""
        found: list[tuple[int, int]] = []
        while True:
            try:
                data = os.read(self.exits_fd, _EXIT.size)
            except BlockingIOError:
                return found
            if len(data) < _EXIT.size:
                self.gone = True
                return found
            found.append(_EXIT.unpack(data))

    def end(self) -> None:
        """End the zygote and with it every worker that is left.

        The exits that it reported can still be read until :meth:`close`.
        """
        self._control.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def close(self) -> None:
        """Close the pipe of exits, once nobody reads it any more."""
        if self.exits_fd >= 0:
            os.close(self.exits_fd)
            self.exits_fd = -1

    def abandon(self) -> None:
        """In a forked child of the host: close the descriptors, end nothing."""
        self._control.close()
        os.close(self.exits_fd)
        self.exits_fd = -1
        # Nobody here may wait for the process: it is the child of another.
        self._process.returncode = 0
        if self._process.stdout is not None:
            self._process.stdout.close()


def _end(spawned: Spawned) -> None:
    """End a worker that nobody waits for any more."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(spawned.pidfd, signal.SIGKILL)
    os.close(spawned.pidfd)
