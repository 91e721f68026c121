"""Build Landlock rulesets: which files a worker may read, write or run, and which TCP ports.

The ruleset is made in the host and crosses to the worker as a descriptor; the worker only has to
apply it. A ruleset can be applied by any number of workers. Everything that it handles and does not
grant is denied, also below "/" itself, so that the parent of a granted path stays closed.

This module knows the ABI up to 7. Newer kernels accept the same ruleset, and what their additional
rights cover (UDP, path sockets) is refused by the seccomp filter as well.

Source: landlock(7), include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from nxkernel._linux import LANDLOCK_CREATE_RULESET_VERSION, syscall
from nxkernel.errors import SandboxUnavailable

__all__ = ["WRITABLE_DEVICES", "FsRules", "TcpPorts", "abi", "build_ruleset"]

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REG = 1 << 7, 1 << 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

_READ = _READ_FILE | _READ_DIR
# Of the rights to make things, directories and regular files alone. A symbolic link could lead the
# host out of the directory when it reads there later; a socket, fifo or device would be a channel.
_WRITE = _READ | _WRITE_FILE | _TRUNCATE | _MAKE_DIR | _MAKE_REG | _REMOVE_DIR | _REMOVE_FILE
_WRITE |= _REFER  # rename and link between directories, where both ends may be written
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_ABSTRACT_UNIX_AND_SIGNAL: Final = 3
_RULE_PATH, _RULE_PORT = 1, 2

# Truncation is covered from 3, TCP from 4, controls of devices from 5. Below 3 a readable file
# could be emptied.
_LEAST_ABI, _LEAST_ABI_WITH_PORTS, _LEAST_ABI_WITH_DEVICES = 3, 4, 5

_AT_FDCWD, _RESOLVE_NO_SYMLINKS = -100, 0x04

#: Devices that a read rule also opens for writing.
WRITABLE_DEVICES: Final = frozenset({"/dev/null"})


@attrs.frozen(kw_only=True)
class FsRules:
    """Granted paths: absolute, without symbolic links. A directory grants what is below it."""

    read: tuple[str, ...] = ()
    #: Reading, writing, and making or removing regular files and directories.
    write: tuple[str, ...] = ()
    #: Reading and running; without the rights to fork and exec it is of no use.
    execute: tuple[str, ...] = ()
    #: Devices to read and write, and to read alone; with the controls (ioctl) of their drivers.
    devices: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    #: Of the above, those that may be missing.
    optional: frozenset[str] = frozenset()


@attrs.frozen(kw_only=True)
class TcpPorts:
    """Granted TCP ports, 0 to 65535. The kernel cannot tell one host from another."""

    connect: tuple[int, ...] = ()
    bind: tuple[int, ...] = ()


def abi() -> int:
    """Return the ABI version of this kernel's Landlock, 0 where there is none."""
    try:
        return syscall("landlock_create_ruleset", None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0  # not compiled in, not enabled at boot, or refused by a container's filter
        raise


def build_ruleset(rules: FsRules, ports: TcpPorts) -> int:
    """Return the descriptor of a new ruleset; the caller closes it.

    Raises:
        SandboxUnavailable: the ABI is too old for what is asked, a path that is not optional is
            missing, or a path leads through a symbolic link.
    """
    version = _sufficient_abi(rules, ports)
    filesystem = _filesystem_rights(version)
    ruleset = _new_ruleset(version, filesystem)
    try:
        for path, rights in _wanted(rules):
            _grant_path(ruleset, path, rights & filesystem, optional=path in rules.optional)
        for port, right in _wanted_ports(ports):
            syscall("landlock_add_rule", ruleset, _RULE_PORT, struct.pack("<QQ", right, port), 0)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def _sufficient_abi(rules: FsRules, ports: TcpPorts) -> int:
    version, least = abi(), _LEAST_ABI
    if rules.devices or rules.inputs:
        least = _LEAST_ABI_WITH_DEVICES
    elif ports.connect or ports.bind:
        least = _LEAST_ABI_WITH_PORTS
    if version < least:
        raise SandboxUnavailable(
            f"Landlock ABI {least} is needed, this kernel has {version or 'none'}; "
            "use a newer kernel, or enable landlock in its lsm= list",
            details={"guarantee": "landlock", "abi": version, "needed": least},
        )
    return version


def _filesystem_rights(version: int) -> int:
    """Return every filesystem right that ABI *version* can deny: 1 has 13 of them."""
    later = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEV}
    known = (1 << 13) - 1
    return known | sum(right for since, right in later.items() if version >= since)


def _new_ruleset(version: int, filesystem: int) -> int:
    network = _BIND_TCP | _CONNECT_TCP if version >= 4 else 0
    scoped = _SCOPE_ABSTRACT_UNIX_AND_SIGNAL if version >= 6 else 0
    # A kernel takes the attributes it knows, and a longer struct only where the rest is zero.
    attributes = struct.pack("<QQQ", filesystem, network, scoped)
    return syscall("landlock_create_ruleset", attributes, len(attributes), 0)


def _wanted(rules: FsRules) -> Iterator[tuple[str, int]]:
    yield from ((path, _READ) for path in rules.read)
    yield from ((path, _READ | _EXECUTE) for path in rules.execute)
    yield from ((path, _READ | _WRITE_FILE | _IOCTL_DEV) for path in rules.devices)
    yield from ((path, _READ | _IOCTL_DEV) for path in rules.inputs)
    yield from ((path, _WRITE) for path in rules.write)


def _wanted_ports(ports: TcpPorts) -> Iterable[tuple[int, int]]:
    return [(p, _CONNECT_TCP) for p in ports.connect] + [(p, _BIND_TCP) for p in ports.bind]


def _grant_path(ruleset: int, path: str, rights: int, *, optional: bool) -> None:
    try:
        target = _open_path(path)
    except OSError as error:
        if optional and error.errno in (errno.ENOENT, errno.ENOTDIR):
            return
        raise _cannot_grant(path, error) from error
    try:
        allowed = _rights_on(path, target, rights)
        syscall("landlock_add_rule", ruleset, _RULE_PATH, struct.pack("<Qi", allowed, target), 0)
    finally:
        os.close(target)


def _open_path(path: str) -> int:
    """Open *path* without following any symbolic link, for its identity alone."""
    how = struct.pack("<QQQ", os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_NO_SYMLINKS)
    return syscall("openat2", _AT_FDCWD, os.fsencode(path) + b"\0", how, len(how))


def _rights_on(path: str, target: int, rights: int) -> int:
    if stat.S_ISDIR(os.fstat(target).st_mode):
        return rights
    return rights & _OF_FILES | (_WRITE_FILE if path in WRITABLE_DEVICES else 0)


def _cannot_grant(path: str, error: OSError) -> SandboxUnavailable:
    reasons = {
        errno.ENOENT: "it does not exist; create it, or remove the grant",
        errno.ELOOP: "it leads through a symbolic link; grant the resolved path",
    }
    reason = reasons.get(error.errno or 0, f"{os.strerror(error.errno or 0)}")
    return SandboxUnavailable(
        f"cannot grant {path}: {reason}",
        details={"guarantee": "landlock", "path": path, "errno": error.errno},
    )
