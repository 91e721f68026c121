"""Linux system calls that the standard library lacks: a raw helper, numbers, constants.

Both ends use it: the host builds rulesets and filter programs, the worker applies them. Standard
library only and cheap to import, because it is preloaded in the zygote. x86_64 alone: numbers of
other machines differ, so `unsupported_machine` refuses them instead of guessing.

Sources: arch/x86/entry/syscalls/syscall_64.tbl, prctl(2), capabilities(7), seccomp(2), landlock(7).
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import sys
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any, Final, TypeAlias

__all__ = [
    "HIGHEST_SYSCALL",
    "SELF_PID",
    "SYSCALLS",
    "fork",
    "load_filter",
    "patch_pid",
    "prctl",
    "status_fields",
    "syscall",
    "unsupported_machine",
]

# In the order of their numbers: 0 to 334, then 424 upwards (both tables of the kernel end in
# numbers that all machines share from 424 on). The last one is of Linux 6.17.
_FROM_0 = """
read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction
rt_sigprocmask rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe select sched_yield
mremap msync mincore madvise shmget shmat shmctl dup dup2 pause nanosleep getitimer alarm
setitimer getpid sendfile socket connect accept sendto recvfrom sendmsg recvmsg shutdown bind
listen getsockname getpeername socketpair setsockopt getsockopt clone fork vfork execve exit
wait4 kill uname semget semop semctl shmdt msgget msgsnd msgrcv msgctl fcntl flock fsync
fdatasync truncate ftruncate getdents getcwd chdir fchdir rename mkdir rmdir creat link unlink
symlink readlink chmod fchmod chown fchown lchown umask gettimeofday getrlimit getrusage sysinfo
times ptrace getuid syslog getgid setuid setgid geteuid getegid setpgid getppid getpgrp setsid
setreuid setregid getgroups setgroups setresuid getresuid setresgid getresgid getpgid setfsuid
setfsgid getsid capget capset rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend
sigaltstack utime mknod uselib personality ustat statfs fstatfs sysfs getpriority setpriority
sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_get_priority_max
sched_get_priority_min sched_rr_get_interval mlock munlock mlockall munlockall vhangup
modify_ldt pivot_root _sysctl prctl arch_prctl adjtimex setrlimit chroot sync acct settimeofday
mount umount2 swapon swapoff reboot sethostname setdomainname iopl ioperm create_module
init_module delete_module get_kernel_syms query_module quotactl nfsservctl getpmsg putpmsg
afs_syscall tuxcall security gettid readahead setxattr lsetxattr fsetxattr getxattr lgetxattr
fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr tkill time futex
sched_setaffinity sched_getaffinity set_thread_area io_setup io_destroy io_getevents io_submit
io_cancel get_thread_area lookup_dcookie epoll_create epoll_ctl_old epoll_wait_old
remap_file_pages getdents64 set_tid_address restart_syscall semtimedop fadvise64 timer_create
timer_settime timer_gettime timer_getoverrun timer_delete clock_settime clock_gettime
clock_getres clock_nanosleep exit_group epoll_wait epoll_ctl tgkill utimes vserver mbind
set_mempolicy get_mempolicy mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify
mq_getsetattr kexec_load waitid add_key request_key keyctl ioprio_set ioprio_get inotify_init
inotify_add_watch inotify_rm_watch migrate_pages openat mkdirat mknodat fchownat futimesat
newfstatat unlinkat renameat linkat symlinkat readlinkat fchmodat faccessat pselect6 ppoll
unshare set_robust_list get_robust_list splice tee sync_file_range vmsplice move_pages utimensat
epoll_pwait signalfd timerfd_create eventfd fallocate timerfd_settime timerfd_gettime accept4
signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo
perf_event_open recvmmsg fanotify_init fanotify_mark prlimit64 name_to_handle_at
open_by_handle_at clock_adjtime syncfs sendmmsg setns getcpu process_vm_readv process_vm_writev
kcmp finit_module sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create
kexec_file_load bpf execveat userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2
pkey_mprotect pkey_alloc pkey_free statx io_pgetevents rseq
""".split()
_FROM_424 = """
pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen
fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2
process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset landlock_add_rule
landlock_restrict_self memfd_secret process_mrelease futex_waitv set_mempolicy_home_node
cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount
lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat
removexattrat open_tree_attr file_getattr file_setattr
""".split()

#: Name of a system call -> its number on x86_64.
SYSCALLS: Final[Mapping[str, int]] = {
    **{name: number for number, name in enumerate(_FROM_0)},
    **{name: number for number, name in enumerate(_FROM_424, start=424)},
    "uretprobe": 335,
    "uprobe": 336,
}
#: Above it every number is unknown here, and answered with ENOSYS in a confined worker.
HIGHEST_SYSCALL: Final = max(SYSCALLS.values())

#: ELF machine, byte order and width of x86_64, as seccomp reports it (AUDIT_ARCH_X86_64).
AUDIT_ARCH: Final = 0xC000003E
#: Set in the number of every system call of the x32 ABI.
X32_BIT: Final = 0x40000000
#: Stands in a filter program for the pid of the process that will load it. Pids end at 2**22.
SELF_PID: Final = 0x7EADBEEF

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_CAPBSET_DROP: Final = 24
PR_SET_SECUREBITS: Final = 28
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

SECCOMP_SET_MODE_FILTER: Final = 1
LANDLOCK_CREATE_RULESET_VERSION: Final = 1
#: From ABI 7: a refused access of this process writes nothing to the system's audit log.
LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF: Final = 1

_INSTRUCTION = 8  # struct sock_filter: u16 code, u8 jt, u8 jf, u32 k
_CONSTANT = 4  # where k begins

#: An argument of a system call: an integer, a buffer to read or to fill, or NULL.
Argument: TypeAlias = "int | bytes | ctypes.Array[Any] | None"


@functools.cache
def _entry() -> Callable[..., int]:
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    return function


def syscall(name: str, *args: Argument) -> int:
    """Make the system call *name* and return its result.

    Integers cross as C longs: a plain Python int would be cut to 32 bits by ctypes.

    Raises:
        OSError: the call failed; `errno` says why.
    """
    longs = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    result = _entry()(ctypes.c_long(SYSCALLS[name]), *longs)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


@functools.cache
def _controlling() -> Callable[..., int]:
    function = ctypes.CDLL(None, use_errno=True).prctl
    function.restype, function.argtypes = ctypes.c_int, (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    return function


@functools.cache
def _forking() -> Callable[[], int]:
    # PyDLL keeps the interpreter's lock: there is nobody to give it to.
    function = ctypes.PyDLL(None, use_errno=True).fork
    function.restype = ctypes.c_int
    return function


def fork() -> int:
    """Fork as C does, without what Python does before and after; see `os.fork`.

    What it does is for processes of several threads, whose locks may be held by one that the child
    has not, and for generators of random numbers that parent and child shall not share: a sixth of
    all the memory that a new worker touches. So this is for a process of one thread that knows
    which of its libraries have to hear of a fork. C's own libraries do (``pthread_atfork``).

    Raises:
        OSError: the system refused it.
    """
    pid = _forking()()
    if pid == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "fork")
    return pid


def prctl(option: int, argument: int = 0) -> int:
    """Make prctl(*option*, *argument*, 0, 0, 0); the unused arguments must be zero."""
    result = _controlling()(option, argument, 0, 0, 0)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl")
    return result


def load_filter(program: bytes) -> None:
    """Install the seccomp filter *program* in this thread, for good.

    Needs no_new_privs or CAP_SYS_ADMIN. Raises OSError.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    length = len(program) // _INSTRUCTION
    # struct sock_fprog: u16 length, padding, pointer. Packed by hand, as it holds an address.
    header = struct.pack("<H6xQ", length, ctypes.addressof(buffer))
    syscall("seccomp", SECCOMP_SET_MODE_FILTER, 0, header)


def patch_pid(program: bytes, pid: int) -> bytes:
    """Return *program* with every constant `SELF_PID` replaced by *pid*.

    A constant is only replaced where an instruction keeps one, never inside another field.
    """
    marker, number = struct.pack("<I", SELF_PID), struct.pack("<I", pid)
    patched = bytearray(program)
    at = program.find(marker)
    while at >= 0:
        if at % _INSTRUCTION == _CONSTANT:
            patched[at : at + len(number)] = number
        at = program.find(marker, at + 1)
    return bytes(patched)


def status_fields(pid: int | str = "self") -> dict[str, str]:
    """Return /proc/*pid*/status as a dict of stripped strings. Raises OSError."""
    with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
        lines = file.read().decode("utf-8", "replace").split("\n")
    parts = map(str.partition, filter(None, lines), repeat(":"))
    return {name: value.strip() for name, _, value in parts}


def unsupported_machine() -> str | None:
    """Say why this machine cannot confine, or return None: only 64-bit x86_64 Linux is known."""
    if sys.platform != "linux":
        return f"the level `confined` needs Linux, this is {sys.platform}"
    machine, bits = os.uname().machine, struct.calcsize("P") * 8
    if machine != "x86_64" or bits != 64:
        return f"no table of system calls for {bits}-bit {machine}; only 64-bit x86_64 has one"
    return None
