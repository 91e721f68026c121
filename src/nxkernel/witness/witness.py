"""The attempts behind `nxkernel doctor`: a plugin that tries what its level should deny.

An attempt is a function that does the forbidden thing, or asks for it in a form that does no harm
where nothing denies it: at level `process` the same attempts run, as root perhaps, and must neither
mount anything nor stop the host. What it meets is reported as the errno's name, or as `went
through`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import resource
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

import nxkernel as nx

hookimpl = nx.HookimplMarker("nxkernel_probe")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_GIB = 1 << 30
# x86_64 system calls that Python has no function for.
_PTRACE, _MOUNT, _UNSHARE, _BPF, _IO_URING_SETUP, _CAPGET = 101, 165, 272, 321, 425, 125
# With the lowest bit, which is no flag of unshare(2): EINVAL where the filter lets it through.
_NO_NAMESPACE = 0x10000001
# fcntl(2): Python has the name on Linux alone, and this module is read on every system.
_F_GET_SEALS = 1034
#: By agreement with ``worker.child``.
_ARENA_FDS = (5, 6)
# Of a process that nobody traces: ESRCH where the filter lets it through.
_PTRACE_PEEKDATA = 2


def _syscall(number: int, *arguments: Any) -> int:
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *converted))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class Witness:
    """Runs every attempt once and reports what it met."""

    def __init__(self, context: nx.PluginContext) -> None:
        self.run_dir = context.run_dir

    @hookimpl
    def witness(self, facts: dict[str, Any]) -> dict[str, str]:
        """Return attempt -> what it met."""
        attempts = _attempts(facts, str(self.run_dir))
        return {name: _met(attempt) for name, attempt in sorted(attempts.items())}


def _met(attempt: Callable[[], object]) -> str:
    try:
        value = attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except MemoryError:
        return "ENOMEM"
    return value if isinstance(value, str) else "went through"


def _read(path: str) -> None:
    """Read and forget: what is read is nobody's business here either."""
    with open(path, "rb") as file:
        file.read()


def _attempts(facts: Mapping[str, Any], run_dir: str) -> dict[str, Callable[[], object]]:
    host, secret = int(facts["host_pid"]), str(facts["secret"])
    return {
        "read.secret": lambda: _read(secret),
        "read.passwd": lambda: _read("/etc/passwd"),
        "read.list": lambda: os.listdir("/"),
        "write.create": lambda: open(secret + ".new", "w").close(),
        "write.truncate": lambda: os.truncate(secret, 0),
        "write.code": lambda: open(__file__, "a").close(),
        "write.mode": lambda: os.chmod(secret, 0o777),
        "write.link": lambda: os.symlink(secret, run_dir + "/link"),
        "write.own": lambda: _own(run_dir),
        "network.tcp": lambda: socket.create_connection(("127.0.0.1", facts["tcp"]), 1).close(),
        "network.udp": lambda: _datagram(int(facts["udp"])),
        "network.unix": lambda: socket.socket(socket.AF_UNIX).connect(str(facts["unix"])),
        "network.listen": _listen,
        "process.exec": lambda: os.execv("/nxkernel/none", ["none"]),
        "process.fork": _fork,
        "process.signal": lambda: os.kill(host, 0),
        "process.limits": lambda: resource.prlimit(host, resource.RLIMIT_CPU),
        "process.trace": lambda: _syscall(_PTRACE, _PTRACE_PEEKDATA, host, 0, 0),
        "process.environ": lambda: _read(f"/proc/{host}/environ"),
        "kernel.mount": lambda: _syscall(_MOUNT, b"x", run_dir.encode(), b"nxkernel", 0, None),
        "kernel.userns": lambda: _syscall(_UNSHARE, _NO_NAMESPACE),
        "kernel.bpf": lambda: _syscall(_BPF, 0, ctypes.create_string_buffer(128), 128),
        "kernel.io_uring": lambda: _syscall(_IO_URING_SETUP, 0, ctypes.create_string_buffer(120)),
        "privilege.capabilities": _capabilities,
        "leak.environment": lambda: _environment(str(facts["marker"])),
        "leak.descriptors": _descriptors,
        "leak.files": lambda: "found" if os.path.lexists(secret) else "absent",
        "leak.hostname": lambda: "the host's" if _hostname() == facts["hostname"] else "another",
        "leak.processes": lambda: "none" if os.getppid() == 1 else "the parent's",
        "limit.scratch": _scratch,
        "limit.memory": lambda: mmap.mmap(-1, 16 * _GIB).close(),
        "limit.files": _many_files,
    }


def _own(run_dir: str) -> None:
    path = run_dir + "/own"
    with open(path, "w") as file:
        file.write("mine")
    os.unlink(path)


def _datagram(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("127.0.0.1", port))


def _listen() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()


def _fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _capabilities() -> str:
    header = struct.pack("<Ii", 0x20080522, 0)
    found = ctypes.create_string_buffer(24)
    _syscall(_CAPGET, header, found)
    return "none" if not any(found.raw) else "went through"


def _environment(marker: str) -> str:
    return "absent" if marker not in os.environ else "went through"


def _descriptors() -> str:
    opened = [fd for fd in range(5, 256) if _is_open(fd) and not _is_arena(fd)]
    return "none" if not opened else "went through"


def _is_arena(fd: int) -> bool:
    """Whether it is where the worker's arena is, and can be sealed: only a file in memory can."""
    try:
        return fd in _ARENA_FDS and fcntl.fcntl(fd, _F_GET_SEALS) >= 0
    except OSError:
        return False


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _hostname() -> str:
    return os.uname().nodename


def _scratch() -> None:
    """Reserve room in three files, each below the limit for one, and give it back."""
    folder = os.environ["TMPDIR"]
    paths = [os.path.join(folder, f"nxkernel-{number}") for number in range(3)]
    try:
        for path in paths:
            with open(path, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, 32 << 20)
    finally:
        for path in paths:
            if os.path.exists(path):
                os.unlink(path)


def _many_files() -> None:
    opened = []
    try:
        for _ in range(5000):
            opened.append(os.dup(0))
    finally:
        for fd in opened:
            os.close(fd)
