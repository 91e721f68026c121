"""System calls by number: the table, the helper, the refusal of unknown machines."""

from __future__ import annotations

import errno
import os
import struct
import sys
import types

import pytest

from nxkernel import _linux


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *{"read": 0, "mmap": 9, "ioctl": 16, "getpid": 39, "clone": 56, "kill": 62}.items(),
        *{"fcntl": 72, "chmod": 90, "prctl": 157, "gettid": 186, "setxattr": 188}.items(),
        *{"tgkill": 234, "openat": 257, "prlimit64": 302, "seccomp": 317, "rseq": 334}.items(),
        *{"pidfd_send_signal": 424, "clone3": 435, "openat2": 437}.items(),
        *{"landlock_create_ruleset": 444, "landlock_restrict_self": 446, "cachestat": 451}.items(),
        *{"statmount": 457, "mseal": 462, "setxattrat": 463, "file_setattr": 469}.items(),
    ],
)
def test_numbers_are_those_of_the_kernel(name, number):
    """Fixed points all over the table: one word too many would shift what follows it."""
    assert _linux.SYSCALLS[name] == number


def test_numbers_are_unique():
    """No two names share a number, and the gap between the tables stays a gap."""
    numbers = sorted(_linux.SYSCALLS.values())
    assert numbers == [*range(337), *range(424, _linux.HIGHEST_SYSCALL + 1)]


def test_syscall_returns_its_result():
    """A call by name does what the kernel's call of that name does."""
    assert _linux.syscall("getpid") == os.getpid()


def test_syscall_raises_with_errno():
    """A failed call is an OSError that names the call."""
    with pytest.raises(OSError, match="close") as caught:
        _linux.syscall("close", -1)
    assert caught.value.errno == errno.EBADF


def test_syscall_passes_wide_integers(tmp_path):
    """Integers cross in 64 bits: an offset of 5 GiB is not cut to 1 GiB."""
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    try:
        assert _linux.syscall("lseek", descriptor, 5 << 30, os.SEEK_SET) == 5 << 30
    finally:
        os.close(descriptor)


def test_status_of_this_process():
    """The status file is read into fields, without the padding."""
    fields = _linux.status_fields()
    assert fields["Pid"] == str(os.getpid())
    assert len(fields["CapEff"]) == 16


def test_this_machine_is_known():
    """The suite runs on x86_64 Linux, and nothing else claims to be known."""
    assert _linux.unsupported_machine() is None


@pytest.mark.parametrize("machine", ["aarch64", "riscv64", "i686"])
def test_other_machines_are_refused(monkeypatch, machine):
    """Numbers of x86_64 would open other calls elsewhere: refuse, do not guess."""
    monkeypatch.setattr(os, "uname", lambda: types.SimpleNamespace(machine=machine))
    assert machine in (_linux.unsupported_machine() or "")


def test_narrow_pythons_are_refused(monkeypatch):
    """A 32-bit Python on a 64-bit kernel makes 32-bit calls."""
    monkeypatch.setattr(struct, "calcsize", lambda kind: 4)
    assert "32-bit x86_64" in (_linux.unsupported_machine() or "")


def test_other_systems_are_refused(monkeypatch):
    """The level `confined` is Linux alone for now."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "darwin" in (_linux.unsupported_machine() or "")
