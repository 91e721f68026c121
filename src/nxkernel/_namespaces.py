"""Namespaces and a root of one's own: what the level ``isolated`` adds to ``confined``.

Two processes use it: the zygote enters the namespaces once, for all workers that it forks, and
each worker then builds a root of its own. A probe runs the whole sequence to its end, because a
machine may allow the first step and refuse a later one. Standard library only.

Every failure is an OSError whose ``filename`` names the step: a system call, or a path.

Sources: user_namespaces(7), pid_namespaces(7), mount_namespaces(7), pivot_root(2),
mount_setattr(2).
"""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import socket
import stat
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from nxkernel._linux import PR_SET_PDEATHSIG, prctl, syscall

__all__ = [
    "HOSTNAME",
    "LEAST_TASKS",
    "NAMESPACES",
    "PID_MAX_SINCE",
    "bound_processes",
    "build_root",
    "enter",
    "enter_processes",
    "fork_first",
    "identities",
    "pid_outside",
]

_FLAGS: Final = {
    "ipc": 0x08000000,
    "mnt": 0x00020000,
    "net": 0x40000000,
    "pid": 0x20000000,
    "user": 0x10000000,
    "uts": 0x04000000,
}
#: Every namespace that the level has, by the names of /proc/<pid>/ns.
NAMESPACES: Final = tuple(sorted(_FLAGS))
#: Linux that has ``kernel.pid_max`` for each pid namespace.
PID_MAX_SINCE: Final = (6, 14)
#: Numbers that are given away once only, and the smallest bound that the kernel takes.
_RESERVED: Final = 300
LEAST_TASKS: Final = _RESERVED + 1
#: What a worker sees instead of the name of the machine.
HOSTNAME: Final = "nxkernel"

_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV = 1, 2, 4
_AT_FDCWD, _AT_RECURSIVE, _MNT_DETACH = -100, 0x8000, 2
#: Where the host's files lie while the new root is built.
_OLD: Final = "/.old"
_STAGE: Final = "/.scratch"
#: Of the new root itself: mount points and links, nothing else.
_ROOT_OPTIONS: Final = "size=1m,nr_inodes=4096,mode=755"
#: Files of the scratch folder, for each MiB of it.
_INODES_PER_MB: Final = 64


def enter(names: Iterable[str]) -> None:
    """Move this single-threaded process into new namespaces, ``user`` among them.

    The user and the group stay who they are, and no other exists. A process id namespace begins
    with the next child, see :func:`fork_first`.

    Raises:
        OSError: a step was refused. The process is of no use then.
    """
    names = frozenset(names)
    uid, gid = os.geteuid(), os.getegid()
    syscall("unshare", sum(_FLAGS[name] for name in sorted(names)))
    # Without this an ordinary user may not write gid_map: it could drop a group that denies.
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")
    if "uts" in names:
        _name_the_machine()
    if "mnt" in names:
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE)


def fork_first() -> None:
    """Return as the first process of the pid namespace that was entered.

    The caller's process stays outside, waits, and ends as the first one does: for whoever started
    it, the two are one. The first process ends with it, and the kernel then ends all others in the
    namespace.

    Raises:
        OSError: the fork failed.
    """
    outside = os.pidfd_open(os.getpid())
    pid = os.fork()
    if pid:
        os.closerange(3, 1 << 20)
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    poll = select.poll()
    poll.register(outside, select.POLLIN)
    if poll.poll(0):
        os._exit(0)  # It ended before the signal was asked for.
    os.close(outside)


def enter_processes() -> None:
    """Have the next child begin a pid namespace of its own, for a plugin that may start programs.

    With the right to do so at hand alone; for an ordinary user by way of a user namespace.

    Raises:
        OSError: neither is allowed here.
    """
    try:
        syscall("unshare", _FLAGS["pid"])
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        enter(("pid", "user"))


def bound_processes(most: int) -> None:
    """Bound the tasks of this pid namespace, whose first process this is: *most* at a time.

    What the kernel bounds is the numbers that they have, and once these have been through it gives
    none up to 300 any more: there is room for 300 tasks more until then. A limit of processes
    (RLIMIT_NPROC) would be exact and does not bind uid 0.

    Raises:
        OSError: this kernel has one number for the whole machine; that one is left alone.
    """
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if os.getpid() != 1 or release < PID_MAX_SINCE:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "pid_max of a namespace")
    _write("/proc/sys/kernel/pid_max", str(_RESERVED + most))


def identities() -> dict[str, int]:
    """Return name -> inode of each namespace that this process is in; pid, of its children."""
    links = {name: "pid_for_children" if name == "pid" else name for name in NAMESPACES}
    return {name: os.stat(f"/proc/self/ns/{link}").st_ino for name, link in links.items()}


def pid_outside(pidfd: int) -> int:
    """Return the pid of *pidfd*'s process as whoever mounted /proc numbers it: the host.

    Raises:
        OSError: /proc is not there.
    """
    with open(f"/proc/self/fdinfo/{pidfd}") as lines:
        fields = dict(line.split(":", 1) for line in lines)
    return int(fields["Pid"])


def build_root(
    *,
    read: Sequence[str],
    write: Sequence[str],
    links: Sequence[tuple[str, str]],
    scratch: Sequence[str],
    scratch_mb: int,
    stage: str,
) -> None:
    """Give this process a mount namespace of its own whose root holds these paths and no others.

    What is granted has the same path as outside. The root is read-only, the host's is detached.

    Args:
        read: absolute paths without symbolic links; visible, not writable.
        write: likewise, writable; they may lie below a path of *read*.
        links: (path, target) of symbolic links to make.
        scratch: folders below *write* that become one empty file system in memory.
        scratch_mb: its size, in MiB.
        stage: any folder but ``/``: the new root is mounted there before it becomes the root.

    Raises:
        OSError: a step was refused. The process is of no use then.
    """
    syscall("unshare", _FLAGS["mnt"])
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("nxkernel", stage, "tmpfs", _MS_NOSUID | _MS_NODEV, _ROOT_OPTIONS)
    os.chdir(stage)
    os.mkdir(_OLD[1:])
    # First the pivot, then the binds: a path below the stage would be hidden before.
    syscall("pivot_root", b".", _OLD[1:].encode())
    os.chdir("/")
    _fill(read, write, links)
    if scratch:
        _mount_scratch(scratch, scratch_mb)
    syscall("umount2", _OLD.encode(), _MNT_DETACH)
    os.rmdir(_OLD)
    _set_attributes("/", _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV)


def _fill(read: Sequence[str], write: Sequence[str], links: Sequence[tuple[str, str]]) -> None:
    for path, target in links:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)
    # A folder sorts before what is below it, so that a bind never hides an earlier one.
    for path in sorted({*read, *write}):
        _bind(path, read_only=path not in write)


def _bind(path: str, *, read_only: bool) -> None:
    mode = os.stat(_OLD + path).st_mode
    _make_mount_point(path, folder=stat.S_ISDIR(mode))
    # Recursive: mounts of another user below it may not be looked under, only taken along.
    _mount(_OLD + path, path, None, _MS_BIND | _MS_REC)
    # Not MS_REMOUNT, which is not recursive.
    attributes = _MOUNT_ATTR_NOSUID | (_MOUNT_ATTR_RDONLY if read_only else 0)
    if not stat.S_ISCHR(mode):
        attributes |= _MOUNT_ATTR_NODEV
    _set_attributes(path, attributes)


def _make_mount_point(path: str, *, folder: bool) -> None:
    if os.path.exists(path):
        return  # Below a folder that is bound already.
    os.makedirs(path if folder else os.path.dirname(path), exist_ok=True)
    if not folder:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _mount_scratch(folders: Sequence[str], size_mb: int) -> None:
    """Mount one file system at several places, so that they share its size."""
    os.mkdir(_STAGE)
    options = f"size={size_mb}m,nr_inodes={size_mb * _INODES_PER_MB},mode=700"
    _mount("scratch", _STAGE, "tmpfs", _MS_NOSUID | _MS_NODEV, options)
    for folder in folders:
        part = os.path.join(_STAGE, os.path.basename(folder))
        os.mkdir(part, 0o700)
        os.makedirs(folder, exist_ok=True)
        _mount(part, folder, None, _MS_BIND)
    syscall("umount2", _STAGE.encode(), _MNT_DETACH)
    os.rmdir(_STAGE)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    texts = [None if t is None else os.fsencode(t) for t in (source, target, kind, options)]
    syscall("mount", texts[0], texts[1], texts[2], flags, texts[3])


def _set_attributes(path: str, attributes: int) -> None:
    wanted = struct.pack("<QQQQ", attributes, 0, 0, 0)
    recursive = 0 if path == "/" else _AT_RECURSIVE
    syscall("mount_setattr", _AT_FDCWD, os.fsencode(path), recursive, wanted, len(wanted))


def _name_the_machine() -> None:
    try:
        socket.sethostname(HOSTNAME)
    except OSError as error:
        raise OSError(error.errno, error.strerror, "sethostname") from None


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(descriptor)
