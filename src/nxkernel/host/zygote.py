"""The host's handle on the zygote: start it by exec, ask it for workers, hear of their exits."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from nxkernel import _forks, _locks
from nxkernel._system import Process
from nxkernel._system.holding import close_all, into
from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.host.addresses import fixed
from nxkernel.host.sandbox.linux.namespaces import processes_refused
from nxkernel.host.sandbox.linux.namespaces import refused as namespaces_refused
from nxkernel.host.workers import Exit
from nxkernel.surroundings import Surroundings, pairs

__all__ = ["Profile", "Zygote", "keeps_bytecode"]

_EXIT = struct.Struct("<Ii")
#: A request: its number, and whether a ruleset comes along; an answer: that number, and the pid,
#: or the errno, negative: without a descriptor where the zygote failed, with one where a nanny did.
#: How many tasks it may have in a pid namespace of its own, or 0 for a worker that has none.
_REQUEST, _ANSWER = struct.Struct("<I?I"), struct.Struct("<Ii")
#: A descriptor in an answer.
_INT = struct.Struct("@i")
_START_TIMEOUT_S = 60.0
#: On the scale of the memory killer: as if a worker used half of the machine's memory more.
_OOM_SCORE = 500
#: errno for which the zygote could not make a process -> what to do.
_ADVICE = {
    errno.EAGAIN: "raise the limit of processes (ulimit -u, or pids.max of the control group)",
    errno.ENOMEM: "give the machine or the control group more memory",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files of the machine (sysctl fs.file-max)",
}
#: Descriptors in the zygote, by agreement with ``worker.bootstrap`` and ``worker.zygote``.
_CONTROL_FD, _EXITS_FD = 3, 4


@attrs.frozen(kw_only=True)
class Profile:
    """What makes two plugins share a zygote: equal profiles do."""

    #: The interpreter.
    python: Path
    #: The script that it runs, ``worker/bootstrap.py``.
    bootstrap: Path
    #: Folders of third-party packages and of nxkernel itself.
    sys_path: tuple[str, ...]
    #: The whole environment; the hash seed is in it and is a constant of the profile.
    environment: tuple[tuple[str, str], ...] = attrs.field(converter=pairs)
    #: Modules imported before the first fork, beside the runner's own.
    preload: tuple[str, ...] = ()
    #: Namespaces that the zygote enters, with all its workers, by the names of /proc/<pid>/ns.
    namespaces: tuple[str, ...] = ()
    #: Whether memory lies at the same addresses in every process, where the system lets it.
    fixed_addresses: bool = False
    #: Where they are other than usual.
    surroundings: Surroundings = attrs.field(factory=Surroundings)
    #: Whether it makes ready for workers whose randomness is seen, as most of them are then.
    guarded: bool = False
    #: How many workers it forks ahead.
    spares: int = 0


class Zygote:
    """A started zygote.

    Never forked from the embedder: a fork would carry its heap, secrets and descriptors along.
    ``-I`` and ``-E`` are not used, because both ignore PYTHONHASHSEED; the environment is built
    from nothing instead, ``-s -P -S`` keep user and script folders and ``site`` out.
    """

    def __init__(self, profile: Profile, *, wait: bool = True) -> None:
        """Start it. Without *wait* it is of use once :meth:`greet` was called."""
        self._lock = _locks.lock()
        self._is_ready = False
        self._requests = 0
        #: Set once the zygote has closed its end, which it does by ending.
        self.gone = False
        with _forks.whole():
            self._begin(profile)
            _forks.register(self)
        _offer_to_memory_killer(self.pid)
        self._tell(profile)
        if wait:
            self.greet()

    def _begin(self, profile: Profile) -> None:
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        exits, their_exits = os.pipe()
        # An embedder may have no standard streams: their numbers would mean something else there.
        passed: list[int] = []
        try:
            for fd in (theirs.fileno(), their_exits):
                passed.append(_above_streams(fd))
            self._process = self._exec(profile, *passed)
        except BaseException:
            control.close()
            os.close(exits)
            raise
        finally:
            theirs.close()
            close_all([their_exits, *passed])
        self._control = control
        #: Readable when a worker has ended; see :meth:`exits`.
        self.exits_fd = exits
        os.set_blocking(exits, False)

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
        with fixed(profile.fixed_addresses):
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

    def _tell(self, profile: Profile) -> None:
        config = {
            "sys_path": list(profile.sys_path),
            "preload": list(profile.preload),
            "namespaces": list(profile.namespaces),
            "surroundings": profile.surroundings.told,
            "host_pid": os.getpid(),
            "guarded": profile.guarded,
            "spares": profile.spares,
            "bytecode": keeps_bytecode(),
        }
        with contextlib.suppress(OSError):  # It has ended; whoever greets it hears why.
            self._control.send(json.dumps(config).encode())

    def greet(self) -> None:
        """Wait until it has imported what workers need.

        Raises:
            KernelConfigError: when its interpreter did not come that far.
            SandboxUnavailable: when the system refused it its namespaces.
        """
        try:
            ready = self._receive(_START_TIMEOUT_S)
        except OSError:
            ready = b""
        if ready == b"ready":
            self._is_ready = True
            return
        said = self._last_words()
        self.end()
        self.close()
        kind, _, refused = ready.partition(b" ")
        if kind == b"refused":
            raise namespaces_refused(**json.loads(refused))
        raise KernelConfigError(
            "the zygote did not start; the interpreter said: " + (said or "nothing")
        )

    def _receive(self, timeout: float) -> bytes:
        # Not select(): it knows no descriptor above 1023.
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(timeout * 1000):
            return b""
        return self._control.recv(4096)

    def _last_words(self) -> str:
        self._process.kill()
        output = self._process.communicate()[0] or b""
        lines = output.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    def spawn(self, fds: Sequence[int], *, with_ruleset: bool, tasks: int = 0) -> Process:
        """Fork a worker that gets *fds*: command, result, log, and perhaps a ruleset.

        *tasks*: how many it may have in a pid namespace of its own; 0 gives it none.

        Raises:
            SandboxUnavailable: when the zygote is gone, the system refuses it a process, or the
                namespace cannot be had.
        """
        with self._lock:
            self._requests += 1
            request = _REQUEST.pack(self._requests, with_ruleset, tasks)
            try:
                socket.send_fds(self._control, [request], list(fds))
                while True:
                    number, spawned = self._answer()
                    if number == self._requests:
                        return _with_processes(spawned)
                    if not isinstance(spawned, int):
                        _end(spawned)
            except OSError:
                raise SandboxUnavailable("the zygote is gone; no worker can be started") from None

    def _answer(self) -> tuple[int, Process | int]:
        """Receive one answer; it may be to a request whose caller was interrupted.

        In place of a process: the errno for which the zygote could not make one.
        """
        received: list[Any] = []
        held: list[Process] = []
        try:
            into(received, self._control.recvmsg, 64, socket.CMSG_SPACE(_INT.size))
            answer, pidfds = received[0][0], _descriptors(received)
            if len(answer) != _ANSWER.size:
                raise OSError("the zygote has no answer")
            number, pid = _ANSWER.unpack(answer)
            if not pidfds:
                # Sent with a descriptor that found no room here, its worker ends with its pipes.
                return number, -pid if pid < 0 else errno.EMFILE
            into(held, _pidfd_process(), pid, pidfds[0], number)
            return number, held[0]
        except BaseException:
            if not held:
                close_all(_descriptors(received))
            raise

    def exits(self) -> list[tuple[int, Exit]]:
        """Return the workers that have ended since the last call, by the numbers of their starts.

        Not by pid: that is free again before anybody reads of the end.
        """
        found: list[tuple[int, Exit]] = []
        while True:
            try:
                data = os.read(self.exits_fd, _EXIT.size)
            except BlockingIOError:
                return found
            if len(data) < _EXIT.size:
                self.gone = True
                return found
            number, status = _EXIT.unpack(data)
            found.append((number, Exit.of(os.waitstatus_to_exitcode(status))))

    def end(self) -> None:
        """End the zygote and with it every worker that is left.

        The exits that it reported can still be read until :meth:`close`.
        """
        self._control.close()
        if not self._is_ready:
            self._process.kill()  # It has no workers, and hears nothing while it imports.
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
        self._lock = _locks.lock()
        self._control.close()
        self.close()
        # Nobody here may wait for the process: it is the child of another.
        self._process.returncode = 0
        if self._process.stdout is not None:
            self._process.stdout.close()


def keeps_bytecode() -> bool:
    """Whether byte code of what workers import may be written, which is beside the sources.

    Not where this program is told to keep its own elsewhere: so as to have nothing there.
    """
    return not sys.dont_write_bytecode and sys.pycache_prefix is None


def _above_streams(fd: int) -> int:
    """Return a copy of *fd* that has no number of a standard stream."""
    if sys.platform == "win32":
        return os.dup(fd)
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def _end(process: Process) -> None:
    """End a worker that nobody waits for any more."""
    process.kill()
    process.close()


def _with_processes(spawned: Process | int) -> Process:
    """Return the process, unless there is none, or its pid is the errno for which it is none."""
    if isinstance(spawned, int):
        raise _refused(spawned)
    if spawned.pid > 0:
        return spawned
    spawned.close()
    raise processes_refused(-spawned.pid)


def _refused(number: int) -> SandboxUnavailable:
    """Return the error of a system that refuses the zygote another process with this errno."""
    name = errno.errorcode.get(number, "an unknown error")
    advice = _ADVICE.get(number, "see what the system's log says of it")
    return SandboxUnavailable(
        f"a worker cannot be started: the system refused it a process with {name}; {advice}",
        details={"errno": number},
    )


def _descriptors(received: list[Any]) -> list[int]:
    """The descriptors in what ``recvmsg`` gave, if it gave anything."""
    return [_INT.unpack(data)[0] for _, _, data in (received[0][1] if received else ())]


def _pidfd_process() -> Callable[[int, int, int], Process]:
    from nxkernel._system.linux import PidfdProcess

    return PidfdProcess


def _offer_to_memory_killer(pid: int) -> None:
    """Have the system end workers before their host when memory runs out; they inherit this."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
        file.write(str(_OOM_SCORE))
