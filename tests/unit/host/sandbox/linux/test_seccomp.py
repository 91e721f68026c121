"""The rule table of a Python worker: what it opens, what it closes, and how it says no."""

from __future__ import annotations

import errno
import itertools
import random

import pytest

from nxkernel._linux import HIGHEST_SYSCALL, SYSCALLS, patch_pid
from nxkernel.host.sandbox.linux.bpf import ALLOW, KILL, refuse
from nxkernel.host.sandbox.linux.seccomp import filter_program, rule_table
from tests.support.bpf_interpreter import decide, run

PID, HOST = 4711, 4712
EPERM, EACCES, ENOSYS = refuse(errno.EPERM), refuse(errno.EACCES), refuse(errno.ENOSYS)
VARIANTS = list(itertools.product((False, True), repeat=2))


def answer(name, *args, connect=False, bind=False):
    """Return what the worker's filter does with one call."""
    program = patch_pid(filter_program(connect=connect, bind=bind), PID)
    return run(program, SYSCALLS[name], args).action


@pytest.mark.parametrize(("connect", "bind"), VARIANTS)
def test_program_agrees_with_its_table(connect, bind):
    """For every number and 40 sets of arguments the compiled filter does what the table says."""
    table = rule_table(connect=connect, bind=bind)
    program = filter_program(connect=connect, bind=bind)
    some = [0, 1, 2, 6, 10, 26, 1030, 0x3D0F00, 0x5401, 0x20000000, 0x7EADBEEF, 1 << 32, 2**64 - 1]
    source = random.Random(1)
    for number in range(HIGHEST_SYSCALL + 3):
        for _ in range(40):
            args = [source.choice(some) for _ in range(6)]
            assert run(program, number, args).action == decide(table, number, args)


def test_processes_are_opened_and_namespaces_are_not():
    """A granted program needs fork, exec and signals; no flag of clone leads out."""
    program = patch_pid(filter_program(connect=False, bind=False, processes=True), 1)

    def made(name, *args):
        return run(program, SYSCALLS[name], args).action

    for name in ("fork", "vfork", "execve", "kill", "tgkill", "setsid", "wait4"):
        assert made(name, 5) == ALLOW
    # SIGCHLD alone; what posix_spawn and threads set.
    for flags in (17, 0x4000 | 0x100 | 17, 0x3D0F00):
        assert made("clone", flags) == ALLOW
    for bit in (17, 25, 26, 27, 28, 29, 30, 13, 15):
        assert made("clone", (1 << bit) | 17) == EPERM
    for name in ("unshare", "setns", "ptrace", "execveat", "process_vm_readv", "chmod", "mount"):
        assert made(name, 5) in (EPERM, ENOSYS)
    assert made("clone3") == ENOSYS


def template(name, *args):
    """Return what the filter of a template does with one call."""
    program = patch_pid(filter_program(connect=False, bind=False, template=True), 1)
    return run(program, SYSCALLS[name], args).action


def test_a_template_forks_and_stacks_a_filter_and_no_more():
    """Neither programs nor namespaces, a tracer, or somebody who listens to its filter."""
    for name, args in (("fork", ()), ("kill", (7, 9)), ("tgkill", (7, 7, 6)), ("recvmsg", (5,))):
        assert template(name, *args) == ALLOW
    assert template("clone", 0x1200011) == ALLOW
    assert template("seccomp", 1, 0) == ALLOW
    assert template("seccomp", 1, 8) == EPERM
    assert template("seccomp", 0, 0) == EPERM
    assert template("prlimit64", 7, 7, 0x1000) == EPERM
    for bit in (17, 25, 26, 27, 28, 29, 30, 13, 15):
        assert template("clone", (1 << bit) | 17) == EPERM
    for name in ("execve", "unshare", "ptrace", "process_vm_readv", "setsid", "chmod", "vfork"):
        assert template(name, 5) in (EPERM, ENOSYS)


def test_a_call_may_what_a_worker_may():
    """Its template's filter takes nothing away from the one that it stacks, but for two questions.

    These name a pid, and the template's filter knows its own alone; 0 asks the same.
    """
    outer = patch_pid(filter_program(connect=True, bind=True, template=True), 1)
    own = patch_pid(filter_program(connect=True, bind=True), PID)
    asked = (SYSCALLS["sched_getparam"], SYSCALLS["sched_getscheduler"])
    some = [0, 1, 2, 6, 10, PID, HOST, 1030, 0x3D0F00, 0x5401, 0x20000000, 1 << 32]
    source = random.Random(1)
    for number, _ in itertools.product(range(HIGHEST_SYSCALL + 3), range(40)):
        args = [source.choice(some) for _ in range(6)]
        if number in asked and args[0] == PID:
            continue
        if run(own, number, args).action == ALLOW:
            assert run(outer, number, args).action == ALLOW


def test_controls_of_drivers_are_let_through_by_kind():
    """Graphics by their letters; of input devices what reads, and not what takes them away."""
    programs = {
        kind: patch_pid(filter_program(connect=False, bind=False, drivers=kind), PID)
        for kind in ((), ("gpu",), ("raw_input",))
    }
    drm_version, nvidia, grab, name = 0xC0406400, 0xC00846D2, 0x40044590, 0x80FF4506
    tiocsti, fionread = 0x5412, 0x541B
    expected = {
        (): [False, False, False, False, False, True],
        ("gpu",): [True, True, False, False, False, True],
        ("raw_input",): [False, False, False, True, False, True],
    }
    for kind, program in programs.items():
        calls = (drm_version, nvidia, grab, name, tiocsti, fionread)
        found = [run(program, SYSCALLS["ioctl"], (3, c)).action == ALLOW for c in calls]
        assert found == expected[kind]


@pytest.mark.parametrize(("connect", "bind"), VARIANTS)
def test_other_abis_and_unknown_numbers(connect, bind):
    """x32 and 32-bit calls end the process; numbers of newer kernels are simply not there."""
    program = filter_program(connect=connect, bind=bind)
    for number in range(HIGHEST_SYSCALL + 1):
        assert run(program, number | 0x40000000).action == KILL
        assert run(program, number, arch=0x40000003).action == KILL
    for number in (HIGHEST_SYSCALL + 1, 1000, 0x3FFFFFFF):
        assert run(program, number).action == ENOSYS


@pytest.mark.parametrize(("connect", "bind"), VARIANTS)
def test_program_is_small(connect, bind):
    """Loading is part of each start: the filter stays below 600 instructions and 40 steps."""
    program = filter_program(connect=connect, bind=bind)
    assert len(program) // 8 < 600
    assert max(run(program, n, [2**64 - 1] * 6).steps for n in range(HIGHEST_SYSCALL)) < 60


@pytest.mark.parametrize(("connect", "bind"), VARIANTS)
@pytest.mark.parametrize(
    "name",
    [
        *("fork", "vfork", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev"),
        *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "fsopen", "move_mount"),
        *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
        *("utime", "utimes", "utimensat", "futimesat", "mknod", "mknodat", "open_by_handle_at"),
        *("setuid", "setgid", "setresuid", "setgroups", "capset", "personality", "setsid"),
        *("setrlimit", "setpriority", "ioprio_set", "sched_setscheduler", "sched_setattr"),
        *("bpf", "perf_event_open", "keyctl", "add_key", "request_key", "kexec_load", "kcmp"),
        *("shmget", "semget", "msgget", "mq_open", "io_setup", "remap_file_pages", "tkill"),
        *("rt_sigqueueinfo", "sethostname", "settimeofday", "clock_settime", "adjtimex", "acct"),
        *("statmount", "listmount", "lsm_get_self_attr", "splice", "tee", "vmsplice", "syslog"),
        *("sync", "syncfs", "get_robust_list", "file_setattr", "init_module", "reboot"),
    ],
)
def test_closed_whatever_is_granted(name, connect, bind):
    """These are PermissionErrors, with any arguments and any grant of ports."""
    for args in ([0] * 6, [PID] * 6, [2**64 - 1] * 6):
        assert answer(name, *args, connect=connect, bind=bind) == EPERM


@pytest.mark.parametrize(
    "name",
    [
        *("clone3", "memfd_create", "memfd_secret", "io_uring_setup", "userfaultfd", "pidfd_open"),
        *("pidfd_getfd", "pidfd_send_signal", "seccomp", "landlock_restrict_self", "inotify_init1"),
    ],
)
def test_absent_features(name):
    """These look like features of another kernel, so that libraries fall back without noise."""
    assert answer(name) == ENOSYS


@pytest.mark.parametrize("name", sorted(n for n in SYSCALLS if "xattr" in n))
def test_extended_attributes_are_unsupported(name):
    """`shutil.copystat` goes on where attributes are not supported, and fails on anything else."""
    assert answer(name) == refuse(errno.EOPNOTSUPP)


def test_threads_but_no_processes():
    """clone makes a thread with the flags of a C library, and nothing else."""
    glibc, musl = 0x3D0F00, 0x7D0F00
    assert answer("clone", glibc) == answer("clone", musl) == ALLOW
    for flags in (17, 0x1200011, 0x4111, 0x10000000 | 17, 0):
        assert answer("clone", flags) == EPERM
    for extra in (0x80, 0x2000, 0x4000, 0x8000, 0x10000000, 0x20000000, 0x40000000):
        assert answer("clone", glibc | extra) == EPERM  # namespaces, ptrace, vfork, parent
    for missing in (0x100, 0x200, 0x400, 0x800, 0x10000):
        assert answer("clone", glibc & ~missing) == EPERM


@pytest.mark.parametrize("name", ["kill", "tgkill"])
def test_signals_reach_this_process_alone(name):
    """No signal to the host, to the group or to everybody."""
    assert answer(name, PID, 9) == ALLOW
    for other in (HOST, 0, 1, 2**64 - 1, 2**32 - PID):
        assert answer(name, other, 9) == EPERM


def test_limits_may_be_read_and_not_set():
    """prlimit of the host is how a plugin kills it by RLIMIT_CPU; its own may not be raised."""
    assert answer("prlimit64", 0, 7, 0, 0x1000) == ALLOW
    assert answer("prlimit64", PID, 7, 0, 0x1000) == ALLOW
    assert answer("prlimit64", HOST, 7, 0, 0x1000) == EPERM
    assert answer("prlimit64", 0, 7, 0x1000, 0) == EPERM
    assert answer("prlimit64", 0, 7, 1 << 32, 0) == EPERM  # a pointer with an empty low half


@pytest.mark.parametrize("name", ["getpgid", "getsid", "sched_getaffinity", "sched_getscheduler"])
def test_other_processes_cannot_be_asked_about(name):
    """A pid that answers is a pid that exists."""
    assert answer(name, 0) == answer(name, PID) == ALLOW
    assert answer(name, HOST) == EPERM


def test_affinity_of_oneself_alone():
    """0 is the calling thread; any number could be the host."""
    assert answer("sched_setaffinity", 0) == ALLOW
    assert answer("sched_setaffinity", HOST) == EPERM
    assert answer("getpriority", 0, 0) == ALLOW
    assert answer("getpriority", 0, HOST) == answer("getpriority", 1, 0) == EPERM


@pytest.mark.parametrize("name", ["clock_gettime", "clock_getres", "timer_create"])
def test_clocks_of_other_processes_are_invalid(name):
    """Dynamic clock ids are pids in disguise."""
    host_clock = ~HOST << 3 | 2
    assert answer(name, host_clock & (2**64 - 1)) == refuse(errno.EINVAL)
    assert [answer(name, clock) for clock in (0, 1, 4, 7)] == [ALLOW] * 4


@pytest.mark.parametrize(
    ("name", "position", "allowed", "refused", "action"),
    [
        ("ioctl", 1, [0x541B, 0x5421, 0x5401, 0x5413], [0x5412, 0x8912, 0x40045431], errno.ENOTTY),
        ("ioctl", 1, [], [0x40049409], errno.EOPNOTSUPP),
        ("fcntl", 1, [0, 1, 2, 3, 4, 6, 1030], [8, 10, 1024, 1026, 1031, 1033], errno.EPERM),
        ("prctl", 0, [15, 16, 21, 39], [1, 4, 22, 36, 38, 59, 0x59616D61], errno.EPERM),
        ("futex", 1, [0, 1, 128, 129, 137, 265, 393], [2, 6, 7, 8, 11, 12, 13], errno.ENOSYS),
        ("mmap", 3, [0x22, 2, 1], [0x40022, 0x122], errno.EPERM),
    ],
)
def test_checked_arguments(name, position, allowed, refused, action):
    """Commands are open one by one; what nobody listed is refused."""

    def ask(value):
        return answer(name, *([0] * position), value)

    assert {ask(value) for value in allowed} <= {ALLOW}
    assert {ask(value) for value in refused} == {refuse(action)}


def test_no_file_that_runs_as_its_owner():
    """A setuid file of the host's user in a plugin's folder would be a way up for others."""
    create, unnamed = 0o101, 0o20200002
    for flags in (create, unnamed):
        assert answer("openat", 0, 0, flags, 0o777) == answer("open", 0, flags, 0o777) == ALLOW
        for mode in (0o4755, 0o2755, 0o6000):
            assert answer("openat", 0, 0, flags, mode) == answer("open", 0, flags, mode) == EPERM
            assert answer("creat", 0, mode) == EPERM
    assert answer("open", 0, 0, 0xFFFFFFFF) == ALLOW  # no file is made: the mode is noise
    assert answer("openat2") == ENOSYS  # its mode is behind a pointer


class TestWithoutPorts:
    """No network: the worker's own pairs of stream sockets, and nothing that has an address."""

    def test_no_socket(self):
        """Every family and type is refused as an access."""
        for family in (1, 2, 10, 16, 17, 40):
            assert answer("socket", family, 1, 0) == EACCES
        for name in ("connect", "bind", "listen", "accept", "accept4"):
            assert answer(name) == EACCES
        for name in ("sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "setsockopt"):
            assert answer(name) == EPERM

    def test_pairs_are_streams(self):
        """A pair of datagram sockets could be connected to a socket of the host."""
        assert answer("socketpair", 1, 1, 0) == answer("socketpair", 1, 1 | 0x80800, 0) == ALLOW
        assert answer("socketpair", 1, 2, 0) == answer("socketpair", 1, 5, 0) == EPERM

    def test_sending_names_no_address(self):
        """sendto works on a connected socket, without address and without fast open."""
        assert answer("sendto", 3, 0x1000, 5, 0x4000, 0, 0) == ALLOW
        assert answer("sendto", 3, 0x1000, 5, 0, 0x1000, 16) == EPERM
        assert answer("sendto", 3, 0x1000, 5, 0, 1 << 32, 16) == EPERM
        assert answer("sendto", 3, 0x1000, 5, 0x20000000, 0, 0) == EPERM

    def test_the_other_end_stays_unknown(self):
        """Neither the pid nor a handle of the host can be had from the worker's channel."""
        assert answer("getsockopt", 3, 1, 4) == ALLOW
        for option in (17, 31, 59, 77):
            assert answer("getsockopt", 3, 1, option) == EPERM


class TestWithPorts:
    """Granted ports: TCP over IPv4 and IPv6, and none of the ways around Landlock."""

    def test_tcp_alone(self):
        """UDP, MPTCP, SCTP, UNIX, netlink and raw sockets stay closed."""
        for family, kind, protocol in [(2, 1, 0), (10, 1, 6), (2, 1 | 0x800, 6)]:
            assert answer("socket", family, kind, protocol, connect=True) == ALLOW
        for family, kind, protocol in [(2, 2, 0), (2, 1, 262), (2, 1, 132), (1, 1, 0), (16, 3, 0)]:
            assert answer("socket", family, kind, protocol, connect=True) == EACCES

    def test_connecting_is_not_listening(self):
        """listen() would bind by itself, where Landlock does not look."""
        assert answer("connect", connect=True) == ALLOW
        assert answer("listen", connect=True) == answer("bind", connect=True) == EACCES
        assert answer("connect", bind=True) == EACCES
        assert answer("listen", bind=True) == answer("accept4", bind=True) == ALLOW

    def test_addresses_are_as_long_as_those_of_ports(self):
        """bind() with another length would name a socket of this machine."""
        for length in (16, 28, 128):
            assert answer("bind", 3, 0x1000, length, bind=True) == ALLOW
        for length in (0, 2, 3, 15, 17, 27, 29, 110):
            assert answer("bind", 3, 0x1000, length, bind=True) == EACCES

    def test_fast_open_is_closed(self):
        """It connects without connect(): by flag and by socket option."""
        assert answer("sendmsg", 3, 0x1000, 0, connect=True) == ALLOW
        assert answer("sendmsg", 3, 0x1000, 0x20000000, connect=True) == EPERM
        assert answer("sendmmsg", 3, 0x1000, 1, 0x20000000, connect=True) == EPERM
        assert answer("setsockopt", 3, 6, 1, connect=True) == ALLOW
        for option in (19, 23, 30, 31):
            assert answer("setsockopt", 3, 6, option, connect=True) == EPERM

    def test_socket_options_that_run_code(self):
        """No filters, no binding to devices, no marks."""
        for option in (14, 25, 26, 36, 50, 51, 52):
            assert answer("setsockopt", 3, 1, option, connect=True, bind=True) == EPERM
