"""The system calls that a confined Python worker may make: an allow-list with argument checks.

What the other layer cannot hold is held here: Landlock has no hook for the mode and the times of a
file, for another process's limits, priority and processors, for UDP, and for three ways around its
own TCP rules (MPTCP, MSG_FASTOPEN, listen() without bind()). What this layer cannot hold is left to
Landlock: a filter sees pointers, never the path behind them.

Two kinds of refusal. EPERM or EACCES is policy and becomes a PermissionError. ENOSYS (for extended
attributes ENOTSUP) is an absent feature: C library, runtimes and `shutil` then quietly do without.

Left open, because a filter cannot tell: `capget` answers for any pid (its pid is behind a pointer),
a worker that may listen can take abstract names of two lengths (see `_ADDRESSES`), and file locks
on readable files work (SQLite needs them).
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Iterable
from typing import Final

from nxkernel._linux import SELF_PID, SYSCALLS
from nxkernel.host.sandbox.linux.bpf import (
    ALLOW,
    Case,
    Check,
    Condition,
    Null,
    OneOf,
    Rule,
    RuleTable,
    compile_table,
    refuse,
)

__all__ = ["filter_program", "rule_table"]

_POLICY: Final = refuse(errno.EPERM)
_ACCESS: Final = refuse(errno.EACCES)
_ABSENT: Final = refuse(errno.ENOSYS)

_MEMORY = """
brk mmap munmap mremap mprotect madvise membarrier mlock munlock mseal msync
pkey_alloc pkey_free pkey_mprotect
"""
# Making, moving and removing is decided by Landlock, path by path. symlink is in the list so that
# Landlock answers it like every other write; no rule ever grants it.
_FILES = """
close close_range dup dup2 dup3 lseek
read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 sendfile copy_file_range
stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2
getdents getdents64 readlink readlinkat getcwd chdir fchdir umask
truncate ftruncate fadvise64 readahead flock fsync fdatasync
rename renameat renameat2 mkdir mkdirat rmdir unlink unlinkat link linkat symlink symlinkat
"""
_EVENTS = """
pipe pipe2 poll ppoll select pselect6 eventfd eventfd2
epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
timerfd_create timerfd_settime timerfd_gettime
"""
_PROCESS = """
getpid gettid getppid getpgrp getuid geteuid getgid getegid getresuid getresgid getgroups capget
getrlimit getrusage times sysinfo uname getcpu getrandom arch_prctl
exit exit_group wait4 waitid set_tid_address set_robust_list rseq restart_syscall
sched_yield sched_get_priority_max sched_get_priority_min
futex_waitv futex_wake futex_wait futex_requeue
"""
_SIGNALS_AND_TIME = """
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack
pause alarm setitimer getitimer nanosleep gettimeofday time
timer_settime timer_gettime timer_getoverrun timer_delete
"""
# On the worker's own channel and on its own socketpairs. sendto is checked below; sendmsg and
# recvmsg could pass descriptors and are left out.
_CONNECTED_SOCKETS = "recvfrom shutdown getsockname getpeername"

_ABSENT_FEATURES = """
clone3 io_uring_setup io_uring_enter io_uring_register userfaultfd memfd_create memfd_secret
set_mempolicy get_mempolicy mbind set_mempolicy_home_node mincore cachestat quotactl_fd
pidfd_open pidfd_getfd pidfd_send_signal process_madvise rt_tgsigqueueinfo openat2
landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp
inotify_init inotify_init1 fanotify_init
"""
_EXTENDED_ATTRIBUTES = """
getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr listxattrat
setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
"""

# O_CREAT, and the bit that tells O_TMPFILE from O_DIRECTORY.
_MAKES_A_FILE = 0o100 | 0o20000000
_SETUID_OR_SETGID = 0o6000

# ioctl: FIONREAD FIONBIO FIONCLEX FIOCLEX TCGETS TIOCGWINSZ. Not TIOCSTI: it types into terminals.
_IOCTLS = (0x541B, 0x5421, 0x5450, 0x5451, 0x5401, 0x5413)
# By the letter of their numbers: DRM 'd', NVIDIA 'F', AMD's kfd 'K'. Of input devices ('E') only
# what reads: not EVIOCGRAB, which would take the keyboard away from everybody else.
_DRIVERS = {"gpu": ((0x6400, 0x4600, 0x4B00), 0xFF00), "raw_input": ((0x80004500,), 0xC000FF00)}
_FICLONE, _FICLONERANGE = 0x40049409, 0x4020940D
# fcntl: DUPFD GETFD SETFD GETFL SETFL GETLK SETLK SETLKW, OFD locks, DUPFD_CLOEXEC GETPIPE_SZ
# GET_SEALS. Not SETOWN and SETSIG (signals for others), SETLEASE, NOTIFY, SETPIPE_SZ (a budget that
# all processes of the user share), ADD_SEALS (the host's memory files).
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032, 1034)
# prctl: GET_DUMPABLE SET_NAME GET_NAME GET_SECCOMP CAPBSET_READ GET_SECUREBITS GET_TIMERSLACK
# GET_NO_NEW_PRIVS SET_VMA. Not PDEATHSIG, DUMPABLE, PTRACER, CHILD_SUBREAPER, SET_SECCOMP.
_PRCTLS = (3, 15, 16, 21, 23, 27, 30, 39, 0x53564D41)
# Realtime, monotonic, process and thread CPU, raw, coarse and boot time, TAI. Other ids are the
# CPU clocks of other processes, or alarms that wake the machine.
_CLOCKS = (0, 1, 2, 3, 4, 5, 6, 7, 11)
# FUTEX_WAIT WAKE REQUEUE CMP_REQUEUE WAKE_OP WAIT_BITSET WAKE_BITSET, each also private (128) and
# on the realtime clock (256). Not the PI operations, with their long list of kernel bugs.
_FUTEXES = (0, 1, 3, 4, 5, 9, 10)
_FUTEX_OPERATION = 0xFFFFFFFF & ~(128 | 256)
_MAP_HUGETLB_OR_GROWSDOWN = 0x40000 | 0x100
# CLONE_VM|FS|FILES|SIGHAND|THREAD must be set, and beyond them only what C libraries set for a
# thread: SYSVSEM|SETTLS|PARENT_SETTID|CHILD_CLEARTID|DETACHED|CHILD_SETTID.
_THREAD = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000
_THREAD_EXTRAS = 0x40000 | 0x80000 | 0x100000 | 0x200000 | 0x400000 | 0x1000000

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
_NEW_NAMESPACES = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000
_CLONE_PTRACE, _CLONE_PARENT = 0x2000, 0x8000

_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOCK_STREAM, _SOCK_TYPE = 1, 0xF
_IPPROTO_TCP = 6
_MSG_FASTOPEN = 0x20000000
_SOL_SOCKET, _SOL_TCP, _SOL_IPV6 = 1, 6, 41
# SO_TYPE ERROR SNDBUF RCVBUF ACCEPTCONN PROTOCOL DOMAIN. Not PEERCRED, PEERSEC, PEERGROUPS and
# PEERPIDFD: they name, or hand out, the process at the other end.
_SOCKET_READ = (3, 4, 7, 8, 30, 38, 39)
# SO_REUSEADDR KEEPALIVE LINGER REUSEPORT, RCVTIMEO and SNDTIMEO old and new.
_SOCKET_SET = (2, 7, 8, 9, 13, 15, 20, 21, 66, 67)
# TCP_NODELAY CORK KEEPIDLE KEEPINTVL KEEPCNT QUICKACK USER_TIMEOUT. Not FASTOPEN_CONNECT (connects
# behind the back of connect()), ULP (turns the socket into another protocol), REPAIR.
_TCP_OPTIONS = (1, 3, 4, 5, 6, 12, 18)
_IPV6_V6ONLY = (26,)
# Of sockaddr_in, sockaddr_in6 and sockaddr_storage. The family lies behind a pointer: bind() could
# take a name of this machine (AF_UNIX, abstract) for one end of a socketpair. By the lengths it
# takes none but those of 13 or 25 bytes, and nobody can connect to what is bound so.
_ADDRESSES = (16, 28, 128)


def rule_table(
    *,
    connect: bool,
    bind: bool,
    processes: bool = False,
    template: bool = False,
    drivers: tuple[str, ...] = (),
    entropy: bool = True,
) -> RuleTable:
    """Return the rules of a worker that may connect, or listen, on granted TCP ports, or neither.

    With *processes* it may fork and exec: for a worker that is first in a pid namespace of its own,
    where no other process is in sight. With *drivers* (``gpu``, ``raw_input``) the controls of
    these are let through. A *template* may fork, and stack
    the filter without this on the fork: for one that is first in a pid namespace, where its forks
    alone are in sight. Without *entropy* getrandom is absent, and libraries do without or say
    so. Landlock checks the ports, the programs and the devices themselves. Calls
    unknown to the table answer ENOSYS, known ones that it does not list EPERM.
    """
    rules: dict[int, Rule] = {
        **_each(_ABSENT_FEATURES, _ABSENT),
        **_each(_EXTENDED_ATTRIBUTES, refuse(errno.EOPNOTSUPP)),
        # It takes space at once that nothing was written to; the C library writes instead.
        **_each("fallocate", refuse(errno.EOPNOTSUPP)),
        **_each(_MEMORY + _FILES + _EVENTS, ALLOW),
        **_each(_PROCESS + _SIGNALS_AND_TIME + _CONNECTED_SOCKETS, ALLOW),
        **_checked_process_calls(),
        **_checked_file_calls(),
        **_own_process_only(),
        **_own_sockets(),
    }
    if connect or bind:
        rules |= _tcp(connect=connect, bind=bind)
    if processes:
        rules |= _processes()
    if template:
        rules |= _template()
    if drivers:
        rules |= _each("ioctl", _ioctl(drivers))
    if not entropy:
        rules |= _each("getrandom", _ABSENT)
    return RuleTable(rules, default=_POLICY, unknown=_ABSENT)


@functools.cache
def filter_program(
    *,
    connect: bool,
    bind: bool,
    processes: bool = False,
    template: bool = False,
    drivers: tuple[str, ...] = (),
    entropy: bool = True,
) -> bytes:
    """Return the compiled `rule_table`; `SELF_PID` in it must be patched before it is loaded."""
    return compile_table(
        rule_table(
            connect=connect,
            bind=bind,
            processes=processes,
            template=template,
            drivers=drivers,
            entropy=entropy,
        )
    )


def _each(names: str, rule: Rule) -> dict[int, Rule]:
    return {SYSCALLS[name]: rule for name in names.split()}


def _when(*conditions: Condition, otherwise: int = _POLICY) -> Check:
    return Check((Case(conditions),), otherwise)


def _any(cases: Iterable[tuple[Condition, ...]], otherwise: int = _POLICY) -> Check:
    return Check(tuple(Case(conditions) for conditions in cases), otherwise)


def _checked_process_calls() -> dict[int, Rule]:
    thread = OneOf(0, (_THREAD,), mask=0xFFFFFFFF & ~_THREAD_EXTRAS)
    futex = OneOf(1, _FUTEXES, mask=_FUTEX_OPERATION)
    return {
        # Threads, never processes. glibc asks clone3 first, whose flags lie behind a pointer.
        **_each("clone", _when(thread)),
        **_each("prctl", _when(OneOf(0, _PRCTLS))),
        **_each("futex", _when(futex, otherwise=_ABSENT)),
        **_each(
            "clock_gettime clock_getres clock_nanosleep timer_create",
            _when(OneOf(0, _CLOCKS), otherwise=refuse(errno.EINVAL)),
        ),
        **_each("mmap", _when(OneOf(3, (0,), mask=_MAP_HUGETLB_OR_GROWSDOWN))),
    }


def _checked_file_calls() -> dict[int, Rule]:
    return {
        **_each("ioctl", _ioctl()),
        **_each("fcntl", _when(OneOf(1, _FCNTLS))),
        **_each("open", _opening(flags=1)),
        **_each("openat", _opening(flags=2)),
        **_each("creat", _when(OneOf(1, (0,), mask=_SETUID_OR_SETGID))),
    }


def _ioctl(drivers: tuple[str, ...] = ()) -> Check:
    reflink = Case((OneOf(1, (_FICLONE, _FICLONERANGE)),), refuse(errno.EOPNOTSUPP))
    theirs = [Case((OneOf(1, *_DRIVERS[name]),)) for name in drivers]
    return Check((Case((OneOf(1, _IOCTLS),)), reflink, *theirs), refuse(errno.ENOTTY))


def _opening(*, flags: int) -> Check:
    """Let Landlock decide about the path, but make no file that runs as its owner.

    The mode counts only where a file is made; elsewhere the register holds anything. openat2 is
    absent for this reason: its mode lies behind a pointer.
    """
    makes_nothing = (OneOf(flags, (0,), mask=_MAKES_A_FILE),)
    plain_mode = (OneOf(flags + 1, (0,), mask=_SETUID_OR_SETGID),)
    return _any([makes_nothing, plain_mode])


def _own_process_only() -> dict[int, Rule]:
    """Rules of the calls that take a pid: the host and other workers have the same user id."""
    this, self_or_this = OneOf(0, (SELF_PID,)), OneOf(0, (0, SELF_PID))
    return {
        **_each("kill tgkill", _when(this)),
        **_each("prlimit64", _when(self_or_this, Null(2))),  # read limits, set none
        **_each(
            "getpgid getsid sched_getaffinity sched_getparam sched_getscheduler",
            _when(self_or_this),
        ),
        # 0 alone: these also take thread ids, which a filter cannot tell from foreign pids.
        **_each("sched_setaffinity", _when(OneOf(0, (0,)))),
        **_each("getpriority", _when(OneOf(0, (0,)), OneOf(1, (0,)))),
    }


def _processes() -> dict[int, Rule]:
    """Rules for children and programs, in a pid namespace that holds nobody else."""
    # Neither namespaces nor a tracer, nor a sibling instead of a child. clone3 stays absent.
    plain = OneOf(0, (0,), mask=_NEW_NAMESPACES | _CLONE_PTRACE | _CLONE_PARENT)
    return {
        **_each("clone", _when(plain)),
        **_each("fork vfork execve kill tgkill tkill setsid setpgid getpgid getsid", ALLOW),
    }


def _template() -> dict[int, Rule]:
    """Rules for a process that forks its calls, in a pid namespace that holds nobody else.

    What names a pid is left open, as each of its forks has another one: the filter that these
    stack lets them name themselves alone, and takes the rest back.
    """
    plain = OneOf(0, (0,), mask=_NEW_NAMESPACES | _CLONE_PTRACE | _CLONE_PARENT)
    # SECCOMP_SET_MODE_FILTER without flags, among them that which hands out a listener.
    stacking = _when(OneOf(0, (1,)), OneOf(1, (0,)))
    return {
        **_each("clone", _when(plain)),
        **_each("fork kill tgkill getpgid getsid", ALLOW),
        **_each("sched_getaffinity", ALLOW),
        **_each("prlimit64", _when(Null(2))),
        **_each("seccomp", stacking),
        **_each("recvmsg", ALLOW),  # what its next fork is to have
    }


def _own_sockets() -> dict[int, Rule]:
    """Rules without network. A datagram pair could be connected to the host's sockets anew."""
    pair = _when(OneOf(0, (_AF_UNIX,)), OneOf(1, (_SOCK_STREAM,), mask=_SOCK_TYPE))
    no_address = _when(Null(4), OneOf(3, (0,), mask=_MSG_FASTOPEN))
    return {
        **_each("socketpair", pair),
        **_each("sendto", no_address),
        **_each("getsockopt", _when(OneOf(1, (_SOL_SOCKET,)), OneOf(2, _SOCKET_READ))),
        **_each("socket connect bind listen accept accept4", _ACCESS),
    }


def _tcp(*, connect: bool, bind: bool) -> dict[int, Rule]:
    stream = (
        OneOf(0, (_AF_INET, _AF_INET6)),
        OneOf(1, (_SOCK_STREAM,), mask=_SOCK_TYPE),
        OneOf(2, (0, _IPPROTO_TCP)),  # not MPTCP: Landlock does not see it
    )
    rules = {
        **_each("socket", _when(*stream, otherwise=_ACCESS)),
        **_each("getsockopt", _any(_options(_SOCKET_READ + _SOCKET_SET))),
        **_each("setsockopt", _any(_options(_SOCKET_SET))),
        **_each("recvmsg recvmmsg", ALLOW),
        **_each("sendmsg", _when(OneOf(2, (0,), mask=_MSG_FASTOPEN))),
        **_each("sendmmsg", _when(OneOf(3, (0,), mask=_MSG_FASTOPEN))),
    }
    # listen() binds by itself to a free port where bind() was not called, unseen by Landlock:
    # it is refused unless some port may be bound.
    return {
        **rules,
        **_each("connect", ALLOW if connect else _ACCESS),
        **_each("bind", _when(OneOf(2, _ADDRESSES), otherwise=_ACCESS) if bind else _ACCESS),
        **_each("listen accept accept4", ALLOW if bind else _ACCESS),
    }


def _options(of_socket: tuple[int, ...]) -> list[tuple[Condition, ...]]:
    table = {_SOL_SOCKET: of_socket, _SOL_TCP: _TCP_OPTIONS, _SOL_IPV6: _IPV6_V6ONLY}
    return [(OneOf(1, (level,)), OneOf(2, names)) for level, names in sorted(table.items())]
