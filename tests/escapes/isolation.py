"""Attempts against what the level `isolated` adds: namespaces, the root, process 1, the scratch.

They are made at `confined` too, where the same doors are shut by other walls; what `confined` leaks
is said by a note that begins with "leak:", and is gone at `isolated`.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.escapes.attempts import (
    NOT_HERE,
    Attempt,
    Expectation,
    denied,
    gives,
    raises,
)

__all__ = ["ISOLATION"]

_CLONE_FLAGS = {
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "mount": 0x00020000,
    "network": 0x40000000,
    "pid": 0x20000000,
    "time": 0x00000080,
    "user": 0x10000000,
    "uts": 0x04000000,
}
_GONE = denied("ENOENT")
_CLOSED = denied("EACCES")
_POLICY = denied("EPERM")


def _attempt(
    name: str,
    code: str,
    expect: Expectation = _POLICY,
    isolated: Expectation | None = None,
    note: str = "",
) -> Attempt:
    return Attempt("isolation", name, code, expect, note=note, isolated=isolated)


def _namespaces() -> Iterator[Attempt]:
    for name, flag in _CLONE_FLAGS.items():
        yield _attempt(f"new_{name}_namespace", f"call('unshare', {flag})")
    yield _attempt("all_namespaces_at_once", "call('unshare', 0x7E020080)")
    yield _attempt("join_by_channel", "call('setns', H['channel'], 0)")
    yield _attempt("join_by_nothing", "call('setns', -1, 0x00020000)")
    yield _attempt("fork_into_pid_namespace", "call('clone', 0x20000000 | 17, 0, 0, 0, 0)", _POLICY)
    yield _attempt("clone3", "call('clone3', bytes(88), 88)", denied("ENOSYS"))
    yield _attempt(
        "name_of_own_namespace",
        "out = os.readlink('/proc/self/ns/mnt').startswith('mnt:')",
        gives(True),
        _GONE,
        note="leak: Landlock does not restrict readlink",
    )
    yield _attempt(
        "open_own_namespace",
        "out = os.open('/proc/self/ns/mnt', 0) > 0",
        gives(True),
        _GONE,
        note="leak: Landlock does not cover nsfs; setns and its ioctls are refused",
    )
    yield _attempt(
        "open_own_namespace_and_join",
        "call('setns', os.open('/proc/self/ns/mnt', 0), 0)",
        _POLICY,
        _GONE,
    )
    yield _attempt(
        "parent_of_own_namespace",
        "fcntl.ioctl(os.open('/proc/self/ns/user', 0), 0xb702)",
        denied("ENOTTY"),
        _GONE,
    )
    yield _attempt("open_zygotes_namespace", "os.open('/proc/1/ns/mnt', 0)", _CLOSED, _GONE)
    yield _attempt("user_map", "open('/proc/self/uid_map', 'w')", _CLOSED, _GONE)
    yield _attempt("group_map", "open('/proc/self/setgroups', 'w')", _CLOSED, _GONE)


def _mounts() -> Iterator[Attempt]:
    rdonly_off = "struct.pack('<QQQQ', 0, 1, 0, 0)"
    yield _attempt("root_writable_again", "call('mount', None, b'/', None, 4128, None)")
    yield _attempt("attributes_off", f"call('mount_setattr', -100, b'/', 0x8000, {rdonly_off}, 32)")
    yield _attempt("bind_root", "call('mount', b'/', H['w'].encode(), None, 4096 | 16384, None)")
    yield _attempt("mount_proc", "call('mount', b'p', H['w'].encode(), b'proc', 0, None)")
    yield _attempt("mount_devices", "call('mount', b'd', H['w'].encode(), b'devpts', 0, None)")
    yield _attempt("unmount_scratch", "call('umount2', H['scratch'].encode(), 2)")
    yield _attempt("unmount_root", "call('umount2', b'/', 2)")
    yield _attempt("pivot_back", "call('pivot_root', b'.', b'.')")
    yield _attempt("change_root", "os.chroot(H['w'])")
    yield _attempt("clone_tree", "call('open_tree', -100, b'/', 1 | 0x80000)")
    yield _attempt("move_tree", "call('move_mount', 0, b'', -100, b'/', 4)")
    yield _attempt("new_filesystem", "call('fsopen', b'proc', 0)")
    yield _attempt("pick_filesystem", "call('fspick', -100, b'/', 0)")
    yield _attempt("mount_filesystem", "call('fsmount', 0, 0, 0)")
    yield _attempt("list_mounts", "call('listmount', bytes(32), bytes(80), 10, 0)")
    yield _attempt("describe_mount", "call('statmount', bytes(32), bytes(512), 512, 0)")
    yield _attempt("mount_table", "open('/proc/self/mountinfo').read()", _CLOSED, _GONE)
    yield _attempt(
        "handle_of_root", "call('name_to_handle_at', -100, b'/', bytes(136), bytes(4), 0)"
    )


def _old_root() -> Iterator[Attempt]:
    size = "out = os.stat({}).st_size == H['secret_size']"
    leak = "leak: Landlock does not restrict stat"
    yield _attempt("old_root", "os.stat('/.old')", _GONE)
    yield _attempt("stage_of_scratch", "os.stat('/.scratch')", _GONE)
    yield _attempt(
        "above_the_root", size.format("'/../../../..' + H['secret']"), gives(True), _GONE, leak
    )
    yield _attempt(
        "climb_by_folder_descriptor",
        "above = os.open(H['w'], os.O_PATH)\n"
        "out = os.stat('../' * 40 + H['secret'][1:], dir_fd=above).st_size == H['secret_size']",
        gives(True),
        _GONE,
        leak,
    )
    yield _attempt(
        "climb_by_working_folder",
        "for _ in range(40):\n    os.chdir('..')\n"
        "out = os.stat(H['secret'][1:]).st_size == H['secret_size']",
        gives(True),
        _GONE,
        leak,
    )
    yield _attempt(
        "folders_left_open",
        "import stat\n"
        "out = []\n"
        "for number in range(1024):\n"
        "    try:\n"
        "        if stat.S_ISDIR(os.fstat(number).st_mode):\n"
        "            out.append(number)\n"
        "    except OSError:\n"
        "        pass\n",
        gives([]),
    )
    yield _attempt(
        "files_of_the_machine",
        "out = [p for p in ('/etc/passwd', '/proc/1', '/sys', '/boot') if os.path.exists(p)] != []",
        gives(True),
        gives(False),
        leak,
    )
    yield _attempt(
        "walk_of_descriptors",
        "import glob\nout = glob.glob('/dev/fd/*') + glob.glob('/proc/self/fd/*')",
        gives([]),
    )
    yield _attempt("list_own_root", "os.listdir('/')", _CLOSED)
    yield _attempt("list_devices", "os.listdir('/dev')", _CLOSED)
    yield _attempt("list_parent_of_own_folder", "os.listdir(os.path.dirname(H['w']))", _CLOSED)
    yield _attempt(
        "sibling_folder_by_name",
        "out = os.path.exists(H['other'] + '/token')",
        gives(True),
        gives(False),
        leak,
    )
    yield _attempt("write_root", "os.mkdir('/new')", denied("EACCES", "EROFS"))
    yield _attempt("write_file_in_root", "open('/new', 'w')", denied("EACCES", "EROFS"))
    yield _attempt("write_own_code", "open(H['r'] + '/plugin.py', 'r+')", denied("EACCES", "EROFS"))
    yield _attempt(
        "truncate_own_code", "os.truncate(H['r'] + '/plugin.py', 0)", denied("EACCES", "EROFS")
    )
    yield _attempt(
        "link_code_into_own_folder",
        "os.link(H['r'] + '/plugin.py', H['w'] + '/linked')",
        denied("EXDEV", "EACCES"),
    )
    yield _attempt("write_library", "open(os.__file__, 'r+')", denied("EACCES", "EROFS"))
    yield _attempt("device_to_write", "open('/dev/zero', 'wb')", _CLOSED)
    yield _attempt("null_to_write", "out = open('/dev/null', 'wb').write(b'x')", gives(1))
    yield _attempt("randomness_to_read", "out = len(open('/dev/urandom', 'rb').read(8))", gives(8))
    yield _attempt("terminal", "open('/dev/tty')", denied("EACCES", "ENXIO"), _GONE)
    yield _attempt("shared_memory_folder", "open('/dev/shm/nx', 'w')", _CLOSED, _GONE)
    yield _attempt("pseudo_terminals", "os.open('/dev/ptmx', 2)", _CLOSED, _GONE)


def _process_one() -> Iterator[Attempt]:
    yield _attempt("parent_is_process_one", "out = os.getppid() == 1", gives(False), gives(True))
    for number in ("SIGKILL", "SIGTERM", "SIGSTOP", "SIGHUP", "SIGCHLD"):
        yield _attempt(f"signal_one_{number.lower()}", f"os.kill(1, signal.{number})")
    yield _attempt("signal_everybody", "os.kill(-1, signal.SIGKILL)")
    yield _attempt("signal_thread_of_one", "call('tgkill', 1, 1, 9)")
    yield _attempt("signal_by_tkill", "call('tkill', 1, 9)")
    yield _attempt("queue_signal_to_one", "call('rt_sigqueueinfo', 1, 9, bytes(128))")
    yield _attempt("handle_of_one", "os.pidfd_open(1)", denied("ENOSYS"))
    yield _attempt("trace_one", "call('ptrace', 16, 1, 0, 0)")
    yield _attempt("memory_of_one", "call('process_vm_readv', 1, 0, 0, 0, 0, 0)")
    yield _attempt("limits_of_one", "resource.prlimit(1, resource.RLIMIT_NOFILE)")
    yield _attempt("priority_of_one", "os.setpriority(os.PRIO_PROCESS, 1, 19)")
    yield _attempt("processors_of_one", "os.sched_setaffinity(1, {0})")
    yield _attempt("group_of_one", "os.getpgid(1)")
    yield _attempt("descriptor_of_one", "call('pidfd_getfd', 0, 3, 0)", denied("ENOSYS"))
    yield _attempt("files_of_one", "os.listdir('/proc/1/fd')", _CLOSED, _GONE)
    yield _attempt("environment_of_one", "open('/proc/1/environ', 'rb')", _CLOSED, _GONE)
    yield _attempt("root_of_one", "open('/proc/1/root/etc/passwd')", _CLOSED, _GONE)
    yield _attempt("wait_for_one", "os.waitpid(1, os.WNOHANG)", denied("ECHILD"))
    yield _attempt("become_reaper", "call('prctl', 36, 1, 0, 0, 0)")
    yield _attempt("outlive_the_zygote", "call('prctl', 1, 0, 0, 0, 0)")
    yield _attempt("become_visible", "call('prctl', 4, 1, 0, 0, 0)")
    yield _attempt("own_filter", "call('seccomp', 1, 0, 0)", denied("ENOSYS"))
    yield _attempt("own_filter_by_prctl", "call('prctl', 22, 2, 0, 0, 0)")
    yield _attempt("raise_ambient_capability", "call('prctl', 47, 2, 21, 0, 0)")
    yield _attempt("other_securebits", "call('prctl', 28, 0, 0, 0, 0)")
    yield _attempt("other_groups", "os.setgroups([0])")
    yield _attempt("real_time", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))")


def _machine() -> Iterator[Attempt]:
    yield _attempt("rename_machine", "socket.sethostname('pwned')")
    yield _attempt("rename_domain", "call('setdomainname', b'pwned', 5)")
    yield _attempt(
        "name_by_uname",
        "out = os.uname().nodename == H['hostname']",
        gives(True),
        gives(False),
        note="leak: uname answers",
    )
    yield _attempt("name_by_file", "open('/etc/hostname')", denied("EACCES", "ENOENT"), _GONE)
    for name, code in {
        "shared_memory": "call('shmget', 0, 4096, 0o1600)",
        "attach_shared_memory": "call('shmat', 0, 0, 0)",
        "semaphores": "call('semget', 0, 1, 0o1600)",
        "message_queue": "call('msgget', 0, 0o1600)",
        "posix_queue": "call('mq_open', b'nx', 0o102, 0o600, None)",
        "add_key": "call('add_key', b'user', b'nx', b'1', 1, -3)",
        "request_key": "call('request_key', b'user', b'nx', None, -3)",
        "session_keyring": "call('keyctl', 1, None)",
        "reboot": "call('reboot', 0xfee1dead, 672274793, 0, 0)",
        "swap": "call('swapon', b'/dev/zero', 0)",
        "accounting": "call('acct', None)",
        "personality": "call('personality', 0x0040000)",
        "kernel_log": "call('syslog', 10, None, 0)",
    }.items():
        yield _attempt(name, code)
    yield _attempt(
        "shared_memory_of_library",
        "from multiprocessing import shared_memory\n"
        "shared_memory.SharedMemory(create=True, size=4096)",
        raises("PermissionError", "FileNotFoundError"),
    )
    yield _attempt("abstract_listener", "socket.socket(socket.AF_UNIX).bind('\\0nx')", _CLOSED)
    yield _attempt("interfaces", "socket.if_nameindex()", denied("EACCES", "EPERM"))
    yield _attempt("routes", "open('/proc/net/route').read()", denied("EACCES", "ENOENT"), _GONE)
    yield _attempt("link_socket", "socket.socket(16, 3, 0)", _CLOSED)
    yield _attempt("more_rights", "call('landlock_create_ruleset', bytes(8), 8, 0)", NOT_HERE)


def _scratch() -> Iterator[Attempt]:
    yield _attempt(
        "room_in_scratch",
        "for n in range(10):\n"
        "    with open(H['scratch'] + '/%d' % n, 'wb') as file:\n"
        "        file.write(bytes(10 << 20))\n"
        "out = n",
        gives(9),
        denied("ENOSPC"),
        note="leak: there is no quota on a folder of the host",
    )
    yield _attempt(
        "room_for_names",
        "for n in range(4200):\n    open(H['scratch'] + '/%d' % n, 'w').close()\nout = n",
        gives(4199),
        denied("ENOSPC"),
        note="leak: there is no quota on a folder of the host",
    )
    yield _attempt(
        "home_and_scratch_share_it",
        "for folder in (os.environ['HOME'], H['scratch']):\n"
        "    for n in range(4):\n"
        "        with open(folder + '/%d' % n, 'wb') as file:\n"
        "            file.write(bytes(10 << 20))\n"
        "out = n",
        gives(3),
        denied("ENOSPC"),
        note="leak: there is no quota on a folder of the host",
    )
    yield _attempt("device_in_scratch", "os.mknod(H['scratch'] + '/d', 0o20666, 0x103)")
    yield _attempt(
        "setuid_in_scratch", "os.open(H['scratch'] + '/su', os.O_CREAT | os.O_WRONLY, 0o4777)"
    )
    yield _attempt(
        "symlink_in_scratch", "os.symlink('/etc/passwd', H['scratch'] + '/link')", _CLOSED
    )
    yield _attempt("fifo_in_scratch", "os.mkfifo(H['scratch'] + '/ff')")
    yield _attempt(
        "move_scratch_away",
        "os.rename(H['scratch'], H['w'] + '/moved'); os.rename(H['w'] + '/moved', H['scratch'])\n"
        "out = 1",
        gives(1),
        denied("EBUSY"),
    )
    yield _attempt(
        "remove_scratch",
        "os.rmdir(H['scratch']); os.mkdir(H['scratch']); out = 1",
        gives(1),
        denied("EBUSY"),
    )


#: Everything above, in this order.
ISOLATION = tuple(
    attempt
    for part in (_namespaces, _mounts, _old_root, _process_one, _machine, _scratch)
    for attempt in part()
)
