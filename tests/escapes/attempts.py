"""What a hostile plugin tries, as data: code that runs confined, and how it must end.

The code runs after `PRELUDE`. It sees `H`, facts about the host that are all real: the pid of the
host and of a confined sibling, a secret file, listening sockets, a block device. It leaves its
result in `out`. After every attempt, whatever came of it, the invariants of `cage` are checked:
a plugin that is refused and still did damage has not been refused.

An attempt whose note begins with "leak:" asserts something that the level `confined` does not hide.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import attrs

__all__ = ["ATTEMPTS", "GROUPS", "PRELUDE", "Attempt", "Expectation"]

GROUPS = (
    *("control", "read", "write", "net", "net-allow", "proc", "kernel", "resource", "leak"),
    *("isolation", "protocol", "import"),
)

PRELUDE = '''
import ctypes, errno, fcntl, os, resource, signal, socket, struct, sys, threading, time
from nxkernel._linux import SYSCALLS as NR
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def call(name, *args):
    """Make a system call, by name or by number, around every Python wrapper."""
    number = name if isinstance(name, int) else NR[name]
    longs = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    result = libc.syscall(ctypes.c_long(number), *longs)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def refused(attempt):
    """The errno of an attempt that must fail, else None."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    return None

out = None
'''


@attrs.frozen
class Expectation:
    """How an attempt must end: one of the ways that are set."""

    #: An OSError with one of these errno names.
    denied: tuple[str, ...] = ()
    #: An exception whose class has one of these names.
    raises: tuple[str, ...] = ()
    #: `repr` of what it leaves in `out`.
    value: str | None = None
    #: The signals that may end it.
    killed: tuple[str, ...] = ()
    #: The status that it ends with.
    status: int | None = None
    #: The code that the host gives the call, `ok` among them.
    code: tuple[str, ...] = ()


@attrs.frozen
class Attempt:
    """One attempt."""

    group: str
    name: str
    code: str = attrs.field(converter=lambda text: textwrap.dedent(text).strip() + "\n")
    expect: Expectation
    #: Which plan it runs under: `standard`, `tight`, `connect` or `listen`.
    plan: str = "standard"
    note: str = ""
    #: How it must end at level `isolated`, where that differs.
    isolated: Expectation | None = None

    @property
    def id(self) -> str:
        return f"{self.group}-{self.name}"

    def at(self, level: str) -> Attempt:
        """Return the attempt with what is expected of it at *level*."""
        if level != "isolated" or self.isolated is None:
            return self
        return attrs.evolve(self, expect=self.isolated)


def denied(*names: str) -> Expectation:
    return Expectation(denied=names or ("EACCES", "EPERM", "ENOENT", "EROFS", "ENOTDIR"))


def raises(*names: str) -> Expectation:
    return Expectation(raises=names)


def gives(value: Any) -> Expectation:
    return Expectation(value=repr(value))


def killed(*names: str) -> Expectation:
    return Expectation(killed=names)


def overruns() -> Expectation:
    return Expectation(code=("plugin.timeout",))


NO_NETWORK = denied("EACCES", "EPERM", "ENOSYS")
NOT_HERE = denied("EPERM", "ENOSYS")
#: The channel to the host is made of pipes.
NO_SOCKET = denied("ENOTSOCK")
NO_SUCH_PROCESS = denied("EPERM", "ESRCH")


def _control() -> Iterator[Attempt]:
    """Ordinary code, which must go on working: a wall without a door proves nothing."""

    def attempt(name: str, code: str, expect: Expectation, **more: str) -> Attempt:
        return Attempt("control", name, code, expect, **more)

    yield attempt(
        "import_library",
        """
        import asyncio, csv, decimal, email.message, hashlib, sqlite3, ssl, zoneinfo
        import xml.etree.ElementTree
        out = 1
        """,
        gives(1),
    )
    yield attempt(
        "threads",
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            out = sum(pool.map(lambda x: x * x, range(10)))
        """,
        gives(285),
    )
    yield attempt(
        "write_own_folder",
        """
        path = H['w'] + '/ok.txt'
        open(path, 'w').write('hi')
        os.rename(path, path + '2')
        out = open(path + '2').read()
        os.unlink(path + '2')
        """,
        gives("hi"),
    )
    yield attempt("read_own_code", "out = open(H['r'] + '/data.txt').read()", gives("plugin data"))
    yield attempt(
        "randomness",
        """
        import secrets, uuid
        out = len(secrets.token_bytes(8)) + len(uuid.uuid4().bytes)
        """,
        gives(24),
    )
    yield attempt(
        "event_loop",
        """
        import asyncio
        async def main():
            return sum(await asyncio.gather(*(asyncio.sleep(0, n) for n in range(5))))
        out = asyncio.run(main())
        """,
        gives(10),
    )
    yield attempt(
        "locks_and_folders",
        """
        os.makedirs(H['w'] + '/a/b')
        with open(H['w'] + '/a/b/f', 'w') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            fcntl.lockf(file, fcntl.LOCK_EX)
        os.replace(H['w'] + '/a/b/f', H['w'] + '/f')
        os.link(H['w'] + '/f', H['w'] + '/g')
        os.removedirs(H['w'] + '/a/b')
        out = sorted(set(os.listdir(H['w'])) - {'home', 'tmp'})
        """,
        gives(["f", "g"]),
    )
    yield attempt(
        "sqlite_with_wal",
        """
        import sqlite3
        with sqlite3.connect(H['w'] + '/db') as db:
            db.execute('pragma journal_mode=wal')
            db.execute('create table t(x)')
            db.executemany('insert into t values (?)', [(n,) for n in range(10)])
        out = db.execute('select sum(x) from t').fetchone()
        """,
        gives((45,)),
    )
    yield attempt(
        "signal_to_itself",
        """
        got = []
        signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
        os.kill(os.getpid(), signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
        out = len(got)
        """,
        gives(2),
    )
    yield attempt(
        "null_device",
        "open('/dev/null', 'w').write('x'); out = open('/dev/zero', 'rb').read(2)",
        gives(b"\0\0"),
    )


def _read() -> Iterator[Attempt]:
    def attempt(name: str, code: str, expect: Expectation | None = None, **more: str) -> Attempt:
        return Attempt("read", name, code, expect or denied(), **more)

    yield attempt("etc_passwd", "open('/etc/passwd').read()")
    yield attempt("secret", "open(H['secret']).read()")
    yield attempt("list_root", "os.listdir('/')")
    yield attempt("through_proc_self_root", "open('/proc/self/root' + H['secret']).read()")
    yield attempt("environment_of_pid_1", "open('/proc/1/environ', 'rb').read()")
    yield attempt("environment_of_host", "open('/proc/%d/environ' % H['pid'], 'rb').read()")
    yield attempt("descriptors_of_host", "os.listdir('/proc/%d/fd' % H['pid'])")
    yield attempt(
        "plant_symlink_and_follow",
        "os.symlink(H['secret'], H['w'] + '/l'); open(H['w'] + '/l').read()",
    )
    yield attempt(
        "rename_into_own_folder",
        "os.rename(H['secret'], H['w'] + '/x')",
        denied("EACCES", "EPERM", "EXDEV"),
    )
    yield attempt(
        "reopen_path_descriptor",
        """
        handle = os.open(H['secret'], os.O_PATH)
        open('/proc/self/fd/%d' % handle).read()
        """,
    )
    yield attempt(
        "around_python",
        """
        handle = libc.open(H['secret'].encode(), 0)
        if handle < 0:
            raise OSError(ctypes.get_errno(), 'open')
        """,
    )
    yield attempt(
        "open_by_handle", "call('open_by_handle_at', -100, struct.pack('<IiQ', 8, 1, 2), 0)"
    )
    yield attempt("dotdot", "open(H['w'] + '/../secret.txt').read()")
    yield attempt(
        "stat",
        "out = os.stat(H['secret']).st_size == H['secret_size']",
        gives(True),
        note="leak: Landlock does not restrict stat, access, readlink and statfs",
    )
    yield attempt(
        "extended_attributes",
        "os.listxattr(H['secret'])",
        denied("ENOTSUP"),
        note="answered as unsupported, or shutil.copy would fail in the plugin's own folder",
    )
    yield attempt(
        "watch_folder",
        """
        watch = call('inotify_init')
        call('inotify_add_watch', watch, H['dir'].encode(), 0xfff)
        """,
        NOT_HERE,
    )
    yield attempt("mount", "call('mount', b'x', H['w'].encode(), b'tmpfs', 0, 0)", denied("EPERM"))
    yield attempt("unshare_mounts", "call('unshare', 0x10020000)", denied("EPERM"))
    yield attempt("enter_namespace", "call('setns', os.open('/proc/1/ns/mnt', 0), 0)")
    yield attempt("chroot", "os.chroot('/')", denied("EPERM"))
    yield attempt("new_filesystem", "call('fsopen', b'tmpfs', 0)", denied("EPERM"))
    yield attempt("physical_memory", "open('/dev/mem', 'rb')")
    yield attempt("block_device", "open(H['blockdev'], 'rb').read(1)")
    yield attempt("other_plugin", "open(H['other'] + '/token').read()")
    yield attempt(
        "folder_swap",
        """
        os.makedirs(H['w'] + '/a')
        os.makedirs(H['w'] + '/b')
        os.symlink(H['dir'], H['w'] + '/b/s')
        open(H['w'] + '/b/s/secret.txt')
        """,
    )
    # From here on beyond the first corpus.
    yield attempt(
        "openat2_in_root",
        """
        root = os.open('/', os.O_PATH)
        how = struct.pack('<QQQ', os.O_RDONLY, 0, 0x10)
        call('openat2', root, H['secret'].encode(), how, 24)
        """,
        NOT_HERE,
    )
    yield attempt(
        "hard_link_into_own_folder",
        "os.link(H['secret'], H['w'] + '/x'); open(H['w'] + '/x').read()",
        denied("EACCES", "EPERM", "EXDEV"),
    )
    yield attempt("load_as_library", "ctypes.CDLL(H['secret'])", raises("OSError"))
    yield attempt(
        "import_from_other_plugin",
        "sys.path.insert(0, H['other']); import nx_other_module",
        raises("ModuleNotFoundError"),
    )
    yield attempt(
        "through_sqlite",
        """
        import sqlite3
        db = sqlite3.connect(':memory:')
        db.execute('attach ? as stolen', (H['dir'] + '/store.sqlite',))
        out = db.execute('select x from stolen.t').fetchall()
        """,
        raises("OperationalError"),
    )
    yield attempt(
        "map_path_descriptor",
        "import mmap\nmmap.mmap(os.open(H['secret'], os.O_PATH), 4, prot=mmap.PROT_READ)",
        denied("EBADF", "EACCES", "EPERM"),
    )
    yield attempt("relative_after_chdir", "os.chdir(H['dir']); open('secret.txt').read()")
    yield attempt(
        "send_path_descriptor",
        """
        pipe = os.pipe()
        os.sendfile(pipe[1], os.open(H['secret'], os.O_PATH), 0, 4)
        """,
        denied("EBADF", "EACCES", "EPERM"),
    )
    yield attempt(
        "read_through_path_descriptor_folder",
        "os.listdir(os.open(H['dir'], os.O_PATH | os.O_DIRECTORY))",
        denied("EBADF", "EACCES", "EPERM"),
    )
    yield attempt(
        "clone_mount_tree", "call('open_tree', -100, H['dir'].encode(), 1)", denied("EPERM")
    )
    yield attempt(
        "file_handle",
        """
        buffer = ctypes.create_string_buffer(struct.pack('<Ii', 128, 0), 136)
        call('name_to_handle_at', -100, H['secret'].encode(), buffer, ctypes.c_int(), 0)
        """,
        denied("EPERM"),
    )
    yield attempt(
        "list_mounts",
        "call('listmount', struct.pack('<IIQQ', 24, 0, 2**64 - 1, 0), bytes(64), 8, 0)",
        NOT_HERE,
    )
    for device in ("kmsg", "fuse", "tty1", "vcs", "loop-control", "random", "full", "pts/0"):
        yield attempt(f"device_{device.replace('/', '_')}", f"open('/dev/{device}', 'rb').read(1)")


def _write() -> Iterator[Attempt]:
    def attempt(name: str, code: str, expect: Expectation | None = None, **more: str) -> Attempt:
        return Attempt("write", name, code, expect or denied(), **more)

    yield attempt("overwrite_secret", "open(H['secret'], 'w').write('pwned')")
    yield attempt("create_in_tmp", "open('/tmp/nx_pwned_%d' % os.getpid(), 'w')")
    yield attempt("truncate", "os.truncate(H['secret'], 0)")
    yield attempt("unlink", "os.unlink(H['secret'])")
    yield attempt("mkdir", "os.mkdir(H['dir'] + '/d')")
    yield attempt("chmod", "os.chmod(H['secret'], 0o777)")
    yield attempt("chown", "os.chown(H['secret'], os.getuid(), os.getgid())")
    yield attempt("utime", "os.utime(H['secret'], (0, 0))")
    yield attempt("fifo_in_own_folder", "os.mkfifo(H['w'] + '/ff')")
    yield attempt("socket_in_own_folder", "socket.socket(socket.AF_UNIX).bind(H['w'] + '/s')")
    yield attempt("own_code", "open(H['r'] + '/plugin.py', 'a').write('#')")
    yield attempt("standard_library", "open(os.__file__, 'a')")
    yield attempt("shared_memory_folder", "open('/dev/shm/nx', 'w')")
    yield attempt(
        "terminal", "open('/dev/tty', 'w').write('x')", denied("EACCES", "EPERM", "ENOENT", "ENXIO")
    )
    yield attempt(
        "link_out_of_own_folder",
        "open(H['w'] + '/f', 'w').close(); os.link(H['w'] + '/f', H['dir'] + '/f')",
        denied("EACCES", "EPERM", "EXDEV"),
    )
    yield attempt(
        "file_larger_than_limit",
        """
        with open(H['w'] + '/big', 'wb') as file:
            for _ in range(64):
                file.write(b'x' * (1 << 20))
        """,
        denied("EFBIG"),
    )
    yield attempt(
        "sparse_terabyte",
        "os.ftruncate(os.open(H['w'] + '/sp', os.O_CREAT | os.O_RDWR), 1 << 40)",
        denied("EFBIG", "EINVAL"),
    )
    yield attempt("chmod_of_readable", "os.fchmod(os.open(os.__file__, os.O_RDONLY), 0o777)")
    yield attempt(
        "remove_own_folder", "os.rmdir(H['w'])", denied("EACCES", "EPERM", "EBUSY", "ENOTEMPTY")
    )
    # From here on beyond the first corpus.
    yield attempt("plant_symlink", "os.symlink('/etc', H['w'] + '/etc')")
    yield attempt(
        "bytecode_cache",
        """
        tag = sys.implementation.cache_tag
        open(H['r'] + f'/__pycache__/plugin.{tag}.pyc', 'wb').write(b'x')
        """,
    )
    yield attempt("unnamed_file", "os.open(H['dir'], os.O_TMPFILE | os.O_RDWR, 0o600)")
    yield attempt(
        "exchange_with_secret",
        """
        open(H['w'] + '/mine', 'w').write('mine')
        call('renameat2', -100, (H['w'] + '/mine').encode(), -100, H['secret'].encode(), 2)
        """,
        denied("EACCES", "EPERM", "EXDEV"),
    )
    yield attempt(
        "rename_own_folder",
        "os.rename(H['w'], H['dir'] + '/moved')",
        denied("EACCES", "EPERM", "EXDEV", "EBUSY"),
    )
    yield attempt(
        "move_code_into_own_folder",
        "os.rename(H['r'], H['w'] + '/r')",
        denied("EACCES", "EPERM", "EXDEV"),
    )
    yield attempt(
        "reserve_a_terabyte",
        "os.posix_fallocate(os.open(H['w'] + '/f', os.O_CREAT | os.O_RDWR), 0, 1 << 40)",
        denied("EFBIG", "ENOSPC"),
    )
    yield attempt(
        "set_attribute",
        "os.setxattr(H['secret'], 'user.nx', b'1')",
        denied("ENOTSUP"),
    )
    yield attempt(
        "chown_by_path_descriptor",
        """
        handle = os.open(H['secret'], os.O_PATH)
        call('fchownat', handle, b'', os.getuid(), os.getgid(), 0x1000)
        """,
        denied("EPERM"),
    )
    yield attempt(
        "chmod_by_path_descriptor",
        "call('fchmodat2', os.open(H['secret'], os.O_PATH), b'', 0o777, 0x1000)",
        NOT_HERE,
    )
    yield attempt("touch_library", "os.utime(os.open(os.__file__, os.O_RDONLY))", denied("EPERM"))
    yield attempt(
        "make_device", "os.mknod(H['w'] + '/d', 0o20666, os.makedev(1, 3))", denied("EPERM")
    )
    yield attempt("truncate_by_open", "os.open(H['r'] + '/plugin.py', os.O_RDONLY | os.O_TRUNC)")
    yield attempt(
        "reflink_secret",
        "fcntl.ioctl(os.open(H['w'] + '/c', os.O_CREAT | os.O_WRONLY), 0x40049409, 0)",
        denied("ENOTSUP"),
    )
    yield attempt(
        "immutable_flag",
        "fcntl.ioctl(os.open(H['w'] + '/i', os.O_CREAT | os.O_RDWR), 0x40086602, b'\\x10' * 8)",
        denied("ENOTTY"),
    )
    for name, code in [
        ("setuid_file", "os.open(H['w'] + '/su', os.O_CREAT | os.O_WRONLY, 0o4777)"),
        ("setgid_file", "os.open(H['w'] + '/sg', os.O_CREAT | os.O_WRONLY, 0o2777)"),
        ("setuid_unnamed_file", "os.open(H['w'], os.O_TMPFILE | os.O_WRONLY, 0o4777)"),
        ("setuid_file_by_creat", "call('creat', (H['w'] + '/su').encode(), 0o4777)"),
    ]:
        yield attempt(name, code, denied("EPERM"))
    yield attempt("poison_zoneinfo", "open('/usr/share/zoneinfo/UTC', 'r+b')")
    yield attempt("loader_cache", "open('/etc/ld.so.cache', 'r+b')")


def _net() -> Iterator[Attempt]:
    def attempt(name: str, code: str, expect: Expectation = NO_NETWORK, **more: str) -> Attempt:
        return Attempt("net", name, code, expect, **more)

    yield attempt("tcp", "socket.create_connection(('127.0.0.1', H['tcp']), 1)")
    yield attempt("listen", "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()")
    yield attempt(
        "udp",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', H['udp']))",
    )
    yield attempt("netlink", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).bind((0, 0))")
    yield attempt("vsock", "socket.socket(40, socket.SOCK_STREAM).connect((2, 22))")
    yield attempt(
        "mptcp",
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(('127.0.0.1', H['tcp']))",
    )
    yield attempt("unix_path", "socket.socket(socket.AF_UNIX).connect(H['usock'])")
    yield attempt("unix_abstract", "socket.socket(socket.AF_UNIX).connect(H['abs'])")
    yield attempt(
        "reconnect_datagram_pair",
        """
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        a.connect(H['dsock'])
        a.send(b'x')
        """,
    )
    yield attempt("fast_open", "socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', H['tcp']))")
    yield attempt(
        "pass_descriptor_out",
        "socket.send_fds(socket.socket(fileno=os.dup(H['channel'])), [b'x'], [0])",
        NO_SOCKET,
    )
    yield attempt("io_uring", "call('io_uring_setup', 8, ctypes.create_string_buffer(120))")
    yield attempt("name_lookup", "socket.getaddrinfo('example.com', 80)", raises("gaierror"))
    yield attempt(
        "urllib",
        """
        import urllib.request
        urllib.request.urlopen('http://127.0.0.1:%d/' % H['tcp'], timeout=1)
        """,
        raises("URLError"),
    )
    # From here on beyond the first corpus.
    for family, number in [("packet", 17), ("alg", 38), ("tipc", 30), ("can", 29), ("xdp", 44)]:
        yield attempt(f"family_{family}", f"call('socket', {number}, 3, 0)")
    yield attempt("icmp", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)")
    yield attempt(
        "sequenced_pair",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)",
        denied("EPERM"),
    )
    yield attempt(
        "reconnect_stream_pair", "socket.socketpair()[0].connect(H['usock'])", denied("EACCES")
    )
    yield attempt(
        "squat_abstract_name", "socket.socketpair()[0].bind('\\0nx-squatted')", denied("EACCES")
    )
    yield attempt("listen_on_pair", "socket.socketpair()[0].listen()", denied("EACCES"))
    yield attempt(
        "who_is_the_host",
        """
        channel = socket.socket(fileno=os.dup(H['channel']))
        out = struct.unpack('3i', channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        """,
        NO_SOCKET,
    )
    yield attempt(
        "handle_of_the_host",
        "socket.socket(fileno=os.dup(H['channel'])).getsockopt(socket.SOL_SOCKET, 77)",
        NO_SOCKET,
        note="SO_PEERPIDFD: a pidfd of the process at the other end",
    )
    yield attempt(
        "receive_descriptors",
        "socket.recv_fds(socket.socketpair()[0], 1, 1, socket.MSG_DONTWAIT)",
        denied("EPERM"),
    )
    yield attempt(
        "async_tcp",
        """
        import asyncio
        async def main():
            await asyncio.open_connection('127.0.0.1', H['tcp'])
        asyncio.run(main())
        """,
    )


def _net_allow() -> Iterator[Attempt]:
    def attempt(
        name: str, code: str, expect: Expectation, plan: str = "connect", note: str = ""
    ) -> Attempt:
        return Attempt("net-allow", name, code, expect, plan=plan, note=note)

    granted = "s = socket.create_connection(('127.0.0.1', H['tcp_ok']), 5)\n"
    yield attempt("granted_port", granted + "out = s.recv(2)", gives(b"ok"))
    yield attempt(
        "other_port", "socket.create_connection(('127.0.0.1', H['tcp']), 1)", denied("EACCES")
    )
    yield attempt(
        "udp",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', H['udp']))",
        denied("EACCES"),
    )
    yield attempt(
        "mptcp",
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(('127.0.0.1', H['tcp']))",
        denied("EACCES"),
    )
    yield attempt(
        "fast_open",
        "socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', H['tcp']))",
        denied("EPERM"),
    )
    # From here on beyond the first corpus.
    yield attempt(
        "fast_open_by_sendmsg",
        "socket.socket().sendmsg([b'x'], [], 0x20000000, ('127.0.0.1', H['tcp']))",
        denied("EPERM"),
    )
    yield attempt(
        "fast_open_by_option",
        "socket.socket().setsockopt(socket.IPPROTO_TCP, 30, 1)",
        denied("EPERM"),
    )
    yield attempt(
        "send_with_address",
        "socket.socket().sendmsg([b'x'], [], 0, ('127.0.0.1', H['tcp']))",
        denied("EPIPE", "ENOTCONN", "EPERM"),
    )
    yield attempt(
        "mapped_address",
        """
        s = socket.socket(socket.AF_INET6)
        s.settimeout(1)
        s.connect(('::ffff:127.0.0.1', H['tcp']))
        """,
        denied("EACCES"),
    )
    yield attempt(
        "connect_anew_after_disconnect",
        granted
        + """
call('connect', s.fileno(), struct.pack('<H14x', 0), 16)
call('connect', s.fileno(), struct.pack('<H', 2) + struct.pack('>H', H['tcp'])
     + bytes([127, 0, 0, 1]) + bytes(8), 16)
""",
        denied("EACCES"),
    )
    yield attempt("listen_without_bind", "socket.socket().listen()", denied("EACCES"))
    yield attempt("bind", "socket.socket().bind(('127.0.0.1', 0))", denied("EACCES"))
    yield attempt(
        "unix_socket", "socket.socket(socket.AF_UNIX).connect(H['usock'])", denied("EACCES")
    )
    yield attempt(
        "unix_pair_reconnected",
        "socket.socketpair()[0].connect(H['usock'])",
        denied("EISCONN", "EINVAL", "ECONNREFUSED", "EACCES", "EPERM"),
    )
    yield attempt(
        "abstract_pair_reconnected",
        "socket.socketpair()[0].connect(H['abs'])",
        denied("EISCONN", "EINVAL", "ECONNREFUSED", "EACCES", "EPERM"),
    )
    yield attempt("shared_memory_protocol", "socket.socket(2, 1, 256)", denied("EACCES"))
    yield attempt("upper_protocol", "socket.socket().setsockopt(6, 31, b'tls\\0')", denied("EPERM"))
    yield attempt("socket_filter", "socket.socket().setsockopt(1, 26, bytes(16))", denied("EPERM"))
    yield attempt("bind_to_device", "socket.socket().setsockopt(1, 25, b'lo\\0')", denied("EPERM"))
    yield attempt("name_lookup", "socket.getaddrinfo('example.com', 80)", raises("gaierror"))
    yield attempt(
        "granted_bind",
        """
        s = socket.create_server(('127.0.0.1', H['bind_ok']), reuse_port=True)
        out = s.getsockname()[1] == H['bind_ok']
        """,
        gives(True),
        plan="listen",
    )
    yield attempt(
        "other_bind", "socket.socket().bind(('127.0.0.1', 0))", denied("EACCES"), plan="listen"
    )
    yield attempt(
        "connect_from_listener",
        "socket.create_connection(('127.0.0.1', H['tcp']), 1)",
        denied("EACCES"),
        plan="listen",
    )
    yield attempt(
        "listen_on_free_port",
        "s = socket.socket(); s.listen(); out = s.getsockname()[1] > 0",
        gives(True),
        plan="listen",
        note="leak: whoever may listen on one port may also listen on one that the system chooses",
    )
    yield attempt(
        "asyncio_server",
        """
        import asyncio
        async def serve():
            server = await asyncio.start_server(print, '127.0.0.1', H['bind_ok'], reuse_port=True)
            async with server:
                return server.is_serving()
        out = asyncio.run(serve())
        """,
        gives(True),
        plan="listen",
    )
    yield attempt(
        "abstract_name_for_a_pair",
        "socket.socketpair()[0].bind(b'\\0' + b'a name that others want')",
        denied("EACCES"),
        plan="listen",
    )
    yield attempt(
        "abstract_name_as_long_as_an_address",
        """
        found = []
        for length in (13, 25):
            one, other = socket.socketpair()
            one.bind(b'\\0' + b'n' * length)
            found.append((len(one.getsockname()), refused(one.listen)))
        out = found
        """,
        gives([(14, "EINVAL"), (26, "EINVAL")]),
        plan="listen",
        note="leak: a filter sees the length of an address, not its family; nobody can connect",
    )


def _proc() -> Iterator[Attempt]:
    def attempt(name: str, code: str, expect: Expectation, **more: str) -> Attempt:
        return Attempt("proc", name, code, expect, **more)

    no = denied("EPERM")
    yield attempt("fork", "os.fork()", no)
    yield attempt("system", "out = os.system('id') != 0", gives(True))
    yield attempt("subprocess", "import subprocess\nsubprocess.run(['/usr/bin/id'])", no)
    yield attempt("exec", "os.execv('/usr/bin/id', ['id'])", no)
    yield attempt("vfork", "call('vfork')", no)
    yield attempt("clone_new_user", "call('clone', 0x10000000 | 17, 0, 0, 0, 0)", no)
    yield attempt(
        "exec_of_memory_file",
        "call('execveat', os.memfd_create('x'), b'', 0, 0, 0x1000)",
        NOT_HERE,
    )
    yield attempt("kill_host", "os.kill(H['pid'], 9)", NO_SUCH_PROCESS)
    yield attempt("kill_everybody", "os.kill(-1, 9)", no)
    yield attempt("kill_group", "os.kill(0, 9)", no)
    yield attempt("kill_zygote", "os.kill(os.getppid(), 9)", NO_SUCH_PROCESS)
    yield attempt("pidfd_of_host", "os.pidfd_open(H['pid'])", NOT_HERE)
    yield attempt("attach_debugger", "call('ptrace', 16, H['pid'], 0, 0)", no)
    yield attempt("read_memory_of_host", "call('process_vm_readv', H['pid'], 0, 0, 0, 0, 0)", no)
    yield attempt(
        "limits_of_host", "resource.prlimit(H['pid'], resource.RLIMIT_CPU, (1, 1))", NO_SUCH_PROCESS
    )
    yield attempt("affinity_of_host", "os.sched_setaffinity(H['pid'], {0})", NO_SUCH_PROCESS)
    yield attempt(
        "priority_of_host", "os.setpriority(os.PRIO_PROCESS, H['pid'], 19)", NO_SUCH_PROCESS
    )
    yield attempt(
        "signal_by_io_owner",
        """
        a, b = socket.socketpair()
        fcntl.fcntl(a, 8, H['pid'])
        fcntl.fcntl(a, 10, 9)
        """,
        NO_SUCH_PROCESS,
    )
    yield attempt("outlive_the_zygote", "call('prctl', 1, 0, 0, 0, 0)", no)
    yield attempt("new_session", "os.setsid()", no)
    yield attempt("become_root", "os.setresuid(0, 0, 0)", no)
    yield attempt(
        "raise_own_limit",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))",
        raises("PermissionError", "ValueError", "OSError"),
    )
    yield attempt("kill_sibling", "os.kill(H['sibling'], 9)", NO_SUCH_PROCESS)
    yield attempt("type_into_terminal", "fcntl.ioctl(0, 0x5412, b'x')", denied("ENOTTY"))
    yield attempt("x32", "call(0x40000000 | 39)", killed("SIGSYS"))
    yield attempt("unknown_call", "call(1000)", denied("ENOSYS"))
    yield attempt(
        "gain_capabilities", "call('capset', struct.pack('<Ii', 0x20080522, 0), b'\\xff' * 24)", no
    )
    yield attempt(
        "wait_for_others",
        """
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            out = 1
        """,
        gives(1),
    )
    # From here on beyond the first corpus.
    yield attempt(
        "int_0x80",
        """
        import mmap
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex('b814000000cd80c3'))  # mov eax, 20 (getpid); int 0x80; ret
        address = ctypes.addressof(ctypes.c_char.from_buffer(code))
        out = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        """,
        killed("SIGSYS", "SIGSEGV"),
        note="calls of 32-bit programs have other numbers",
    )
    yield attempt("thread_of_the_zygote", "call('clone', 0x3d8f00, 0, 0, 0, 0)", no)
    yield attempt("share_memory_with_child", "call('clone', 0x4100 | 17, 0, 0, 0, 0)", no)
    yield attempt("spawn", "os.posix_spawn('/usr/bin/id', ['id'], {})", no)
    yield attempt(
        "multiprocessing",
        """
        import multiprocessing
        multiprocessing.get_context('fork').Process(target=print).start()
        """,
        no,
    )
    yield attempt("fork_with_terminal", "import pty\npty.fork()", raises("OSError"))
    yield attempt("exec_interpreter", "os.execv(sys.executable, [sys.executable, '-c', ''])", no)
    yield attempt("signal_zero_host", "os.kill(H['pid'], 0)", no)
    yield attempt("thread_signal_host", "call('tgkill', H['pid'], H['pid'], 9)", no)
    yield attempt("old_thread_signal_host", "call('tkill', H['pid'], 9)", no)
    yield attempt("queue_signal_to_host", "call('rt_sigqueueinfo', H['pid'], 9, bytes(128))", no)
    yield attempt(
        "timer_signal_to_host",
        """
        event = struct.pack('<QiiI44x', 0, signal.SIGKILL, 4, H['pid'])  # SIGEV_THREAD_ID
        call('timer_create', 1, event, ctypes.create_string_buffer(8))
        """,
        denied("EINVAL"),
    )
    for name, option, value in [
        ("dumpable", 4, 1),
        ("debugger", 0x59616D61, -1),
        ("subreaper", 36, 1),
        ("keep_capabilities", 8, 1),
        ("ambient_capability", 47, 2),
        ("own_filter", 22, 1),
        ("timer_slack", 29, 1),
        ("speculation", 53, 0),
    ]:
        yield attempt(f"prctl_{name}", f"call('prctl', {option}, {value}, 0, 0, 0)", no)
    yield attempt("second_filter", "call('seccomp', 1, 0, bytes(16))", NOT_HERE)
    yield attempt("second_ruleset", "call('landlock_create_ruleset', 0, 0, 1)", NOT_HERE)
    yield attempt("personality", "call('personality', 0x0040000)", no)
    for name, command in [("lease", 1024), ("notify", 1026), ("pipe_size", 1031), ("seals", 1033)]:
        yield attempt(
            f"fcntl_{name}", f"fcntl.fcntl(os.open(H['w'], os.O_RDONLY), {command}, 1)", no
        )
    yield attempt("compare_with_host", "call('kcmp', os.getpid(), H['pid'], 0, 0, 0)", no)
    yield attempt("steal_descriptor_of_host", "call('pidfd_getfd', 3, 0, 0)", NOT_HERE)
    yield attempt(
        "real_time_priority", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))", no
    )
    yield attempt("io_priority_of_host", "call('ioprio_set', 1, H['pid'], 0x6000)", no)
    yield attempt("advise_memory_of_host", "call('process_madvise', 3, 0, 0, 21, 0)", NOT_HERE)
    yield attempt("move_memory_of_host", "call('migrate_pages', H['pid'], 8, 0, 0)", no)
    yield attempt("local_descriptor_table", "call('modify_ldt', 1, bytes(16), 16)", no)
    yield attempt("io_ports", "call('iopl', 3)", no)
    yield attempt("become_traced", "call('ptrace', 0, 0, 0, 0)", no)
    yield attempt("join_group_of_host", "os.setpgid(0, H['pid'])", no)
    yield attempt("drop_groups", "os.setgroups([])", no)
    yield attempt(
        "lower_own_limit",
        "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))",
        raises("PermissionError", "ValueError", "OSError"),
    )


def _kernel() -> Iterator[Attempt]:
    def attempt(name: str, code: str, expect: Expectation = NOT_HERE, **more: str) -> Attempt:
        return Attempt("kernel", name, code, expect, **more)

    yield attempt("bpf", "call('bpf', 0, ctypes.create_string_buffer(128), 128)")
    yield attempt("perf", "call('perf_event_open', ctypes.create_string_buffer(128), 0, -1, -1, 0)")
    yield attempt("userfaultfd", "call('userfaultfd', 1)")
    yield attempt("add_key", "call('add_key', b'user', b'nx', b'1', 1, -3)")
    yield attempt("shared_memory", "call('shmget', 0, 4096, 0o1600)")
    yield attempt("set_time", "time.clock_settime(time.CLOCK_REALTIME, 0)")
    yield attempt("set_hostname", "socket.sethostname('pwned')")
    yield attempt("virtual_machine", "open('/dev/kvm', 'rb')", denied())
    yield attempt(
        "interfaces",
        "fcntl.ioctl(socket.socketpair()[0], 0x8912, b'\\0' * 16)",
        denied("ENOTTY"),
    )
    # From here on beyond the first corpus.
    yield attempt("keyring", "call('keyctl', 0, -3, 0)")
    yield attempt("request_key", "call('request_key', b'user', b'nx', b'', -3)")
    yield attempt("message_queue", "call('mq_open', b'nx', 0o102, 0o600, 0)")
    yield attempt("semaphores", "call('semget', 0, 1, 0o1600)")
    yield attempt("old_message_queue", "call('msgget', 0, 0o1600)")
    yield attempt("kernel_log", "call('syslog', 3, ctypes.create_string_buffer(64), 64)")
    yield attempt("load_module", "call('finit_module', 0, b'', 0)")
    yield attempt("new_kernel", "call('kexec_load', 0, 0, 0, 0)")
    yield attempt("reboot", "call('reboot', 0xfee1dead, 672274793, 0)")
    yield attempt("swap_off", "call('swapoff', b'/swap')")
    yield attempt("accounting", "call('acct', (H['w'] + '/acct').encode())")
    yield attempt("adjust_clock", "call('adjtimex', ctypes.create_string_buffer(208))")
    yield attempt("aio", "call('io_setup', 1, ctypes.create_string_buffer(8))")
    yield attempt("splice", "call('vmsplice', os.pipe()[1], 0, 0, 0)")
    yield attempt("secret_memory", "call('memfd_secret', 0)")
    yield attempt("huge_pages", "call('mmap', 0, 1 << 21, 3, 0x40022, -1, 0)", denied("EPERM"))
    yield attempt("growing_map", "call('mmap', 0, 4096, 3, 0x122, -1, 0)", denied("EPERM"))
    yield attempt("pi_futex", "call('futex', ctypes.create_string_buffer(4), 6, 0, 0, 0, 0)")
    yield attempt("page_cache_residency", "call('cachestat', 0, bytes(16), bytes(40), 0)")
    yield attempt("lock_everything", "call('mlockall', 3)")
    yield attempt("sync_all_disks", "os.sync(); call('sync')")
    yield attempt("terminal_hangup", "call('vhangup')")
    yield attempt("security_attributes", "call('lsm_get_self_attr', 100, 0, bytes(4), 0)")
    yield attempt("quota", "call('quotactl', 0x800007, b'/dev/vda', 0, 0)")


def _resource() -> Iterator[Attempt]:
    def attempt(
        name: str, code: str, expect: Expectation, plan: str = "tight", note: str = ""
    ) -> Attempt:
        return Attempt("resource", name, code, expect, plan=plan, note=note)

    yield attempt("four_gigabytes", "bytearray(4 << 30)", raises("MemoryError"))
    yield attempt("map_eight_gigabytes", "import mmap\nmmap.mmap(-1, 8 << 30)", denied("ENOMEM"))
    yield attempt(
        "growing_list",
        "x = []\nwhile True:\n    x.append(bytearray(1 << 20))",
        raises("MemoryError"),
    )
    yield attempt("spin", "while True: pass", killed("SIGXCPU", "SIGKILL"))
    yield attempt(
        "thread_bomb",
        """
        def sleep(): time.sleep(30)
        started = 0
        try:
            for _ in range(5000):
                threading.Thread(target=sleep, daemon=True).start()
                started += 1
        except RuntimeError:
            pass
        out = started < 600
        """,
        gives(True),
    )
    yield attempt("descriptors", "x = []\nwhile True:\n    x.append(os.dup(0))", denied("EMFILE"))
    yield attempt(
        "recursion",
        """
        sys.setrecursionlimit(10**9)
        def f(): return f() + 1
        f()
        """,
        attrs.evolve(
            killed("SIGSEGV", "SIGBUS", "SIGXCPU", "SIGKILL"),
            raises=("MemoryError", "RecursionError", "SystemError"),
        ),
    )
    yield attempt("memory_files", "x = [os.memfd_create('x') for _ in range(50)]", denied("ENOSYS"))
    yield attempt("abort", "os.abort()", killed("SIGABRT"))
    yield attempt(
        "many_files",
        """
        for n in range(80):
            with open(H['scratch'] + '/n%d' % n, 'wb') as file:
                file.write(b'x' * (1 << 20))
        out = len(os.listdir(H['scratch']))
        """,
        gives(80),
        note="leak: RLIMIT_FSIZE is per file, there is no quota on a folder of the host",
    )
    # From here on beyond the first corpus.
    yield attempt(
        "ignore_cpu_signal",
        "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        overruns(),
        note="the signal can be ignored: the deadline cannot",
    )
    yield attempt(
        "shared_anonymous_memory",
        """
        import mmap
        x = []
        while True:
            x.append(mmap.mmap(-1, 1 << 30, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))
        """,
        denied("ENOMEM"),
        note="DATA does not count shared memory: the address space does",
    )
    yield attempt(
        "posix_timers",
        """
        event = struct.pack('<QiiI44x', 0, signal.SIGUSR1, 0, 0)
        while True:
            call('timer_create', 1, event, ctypes.create_string_buffer(8))
        """,
        denied("EAGAIN"),
        note="each holds one of the pending signals that the user's processes share",
    )
    yield attempt(
        "pin_memory",
        "import mmap\nm = mmap.mmap(-1, 16 << 20)\n"
        "call('mlock', ctypes.addressof(ctypes.c_char.from_buffer(m)), 16 << 20)",
        denied("ENOMEM", "EPERM", "EAGAIN"),
    )
    yield attempt("pipes", "x = []\nwhile True:\n    x.append(os.pipe())", denied("EMFILE"))
    yield attempt(
        "pairs", "x = []\nwhile True:\n    x.append(socket.socketpair())", denied("EMFILE")
    )
    yield attempt(
        "event_descriptors", "x = []\nwhile True:\n    x.append(os.eventfd(0))", denied("EMFILE")
    )
    yield attempt(
        "core_file",
        "out = resource.getrlimit(resource.RLIMIT_CORE)",
        gives((0, 0)),
    )
    yield attempt(
        "nested_brackets",
        "eval('(' * 100000)",
        attrs.evolve(raises("MemoryError", "SyntaxError", "RecursionError"), killed=("SIGSEGV",)),
    )
    yield attempt(
        "disk_by_mapping",
        """
        import mmap
        handle = os.open(H['w'] + '/m', os.O_CREAT | os.O_RDWR)
        os.ftruncate(handle, 1 << 30)
        mmap.mmap(handle, 1 << 30)
        """,
        denied("EFBIG"),
    )


#: What the host sends, mapped by the plugin itself.
_MAPPED = """
import mmap
libc.mmap.restype = ctypes.c_void_p
where = libc.mmap(None, ctypes.c_size_t(4096), 1, 1, 5, ctypes.c_long(0))
page, path = ctypes.c_long(where), '/proc/self/fd/5'
"""
#: Ways to write where the host alone may: once something lies there, it is not copied again.
_WRITES = {
    "write": ("os.pwrite(5, b'x', 0)", ("EBADF",)),
    "mapping": ("mmap.mmap(5, 4096)", ("EACCES",)),
    "mprotect": ("call('mprotect', page, 4096, 3)", ("EACCES",)),
    "remove": ("call('madvise', page, 4096, 9)", ("EACCES",)),
    "populate": ("call('madvise', page, 4096, 23)", ("EINVAL", "EFAULT")),
    "remap": ("call('remap_file_pages', page, 4096, 0, 1, 0)", ("EPERM", "ENOSYS")),
    "truncate": ("os.ftruncate(5, 0)", ("EINVAL", "EBADF")),
    "hole": ("call('fallocate', 5, 3, 0, 4096)", ("ENOTSUP",)),
    "sendfile": ("os.sendfile(5, 6, 0, 4096)", ("EBADF",)),
    "copy": ("os.copy_file_range(6, 5, 4096)", ("EBADF",)),
    "splice": ("call('splice', 3, 0, 5, 0, 4096, 0)", ("EPERM", "ENOSYS")),
    "opening": ("os.open(path, os.O_RDWR)", ("EACCES", "ENOENT")),
    "emptying": ("os.open(path, os.O_RDONLY | os.O_TRUNC)", ("EACCES", "ENOENT")),
    "path": ("os.truncate(path, 0)", ("EACCES", "ENOENT")),
    "link": (
        "call('linkat', 5, b'', -100, (H['w'] + '/l').encode(), 0x1000)",
        ("EPERM", "EACCES", "ENOENT", "EXDEV"),
    ),
    "chmod": ("call('fchmod', 5, 0o600)", ("EPERM",)),
    "chmod_by_path": ("call('chmod', path.encode(), 0o600)", ("EPERM",)),
    "chmod_without_path": ("call('fchmodat2', 5, b'', 0o600, 0x1000)", ("EPERM", "ENOSYS")),
    "chown": ("call('fchown', 5, os.getuid(), os.getgid())", ("EPERM",)),
    "attribute": ("os.setxattr(5, 'user.x', b'x')", ("ENOTSUP", "EPERM")),
    "memory": ("os.open('/proc/self/mem', os.O_RDWR)", ("EACCES", "ENOENT")),
    "map_file": (
        "os.open('/proc/self/map_files/%x-%x' % (where, where + 4096), os.O_RDWR)",
        ("EPERM", "EACCES", "ENOENT"),
    ),
    "another_process": (
        "vector = struct.pack('<QQ', where, 1)\n"
        "call('process_vm_writev', os.getpid(), vector, 1, vector, 1, 0)",
        ("EPERM", "ENOSYS"),
    ),
    "reading_into_it": ("call('read', os.open('/dev/zero', 0), page, 1)", ("EFAULT",)),
    "flags": (
        "fcntl.fcntl(5, fcntl.F_SETFL, os.O_RDWR)\nos.pwrite(5, b'x', 0)",
        ("EBADF",),
    ),
    "copy_of_the_descriptor": ("os.pwrite(os.dup(5), b'x', 0)", ("EBADF",)),
}


def _leak() -> Iterator[Attempt]:
    def attempt(name: str, code: str, expect: Expectation, **more: str) -> Attempt:
        return Attempt("leak", name, code, expect, **more)

    yield attempt(
        "environment",
        "private = ('USER', 'SSH_AUTH_SOCK')\n"
        "out = [k for k in os.environ if 'SECRET' in k or k in private]\n"
        "out += [os.environ['HOME']] if not os.environ['HOME'].startswith(H['w']) else []",
        gives([]),
    )
    yield attempt(
        "environment_of_libc",
        "libc.getenv.restype = ctypes.c_char_p\nout = libc.getenv(b'NX_HOST_SECRET')",
        gives(None),
    )
    yield attempt(
        "arguments",
        "out = any('SECRET' in a or H['secret'] in a for a in sys.argv + sys.orig_argv)",
        gives(False),
    )
    yield attempt(
        "inherited_descriptors",
        """
        found = []
        for number in range(4096):
            try:
                os.fstat(number)
            except OSError:
                continue
            found.append(number)
        out = found == H['fds'] or found
        """,
        gives(True),
    )
    yield attempt("arena_made_smaller", "os.ftruncate(6, 0)", denied("EPERM"))
    yield attempt("arena_made_larger", "os.ftruncate(6, 1 << 40)", denied("EPERM", "EFBIG"))
    for fd in (5, 6):
        yield attempt(f"arena_sealed_{fd}", f"fcntl.fcntl({fd}, 1033, 8)", denied("EPERM"))
        run = f"call('execveat', {fd}, b'', 0, 0, 0x1000)"
        yield attempt(f"arena_run_{fd}", run, denied("EPERM", "EACCES"))
    for name, (code, errors) in _WRITES.items():
        yield attempt(f"arena_written_by_{name}", _MAPPED + code, denied(*errors))
    yield attempt(
        "module_path",
        "out = [p for p in sys.path if p.startswith(H['dir']) and not p.startswith(H['r'])]",
        gives([]),
    )
    yield attempt("host_module", "import nx_host_private_module", raises("ModuleNotFoundError"))
    yield attempt("command_line_of_host", "open('/proc/%d/cmdline' % H['pid']).read()", denied())
    yield attempt("process_list", "os.listdir('/proc')", denied())
    yield attempt(
        "probe_pids",
        """
        out = []
        for pid in [*range(1, 300), H['pid'], H['sibling'], os.getppid()]:
            if pid != os.getpid() and refused(lambda: os.kill(pid, 0)) != 'EPERM':
                out.append(pid)
        """,
        gives([]),
    )
    yield attempt(
        "hostname",
        "out = socket.gethostname() == H['hostname']",
        gives(True),
        note="leak: uname answers",
    )
    yield attempt(
        "own_capabilities",
        """
        sets = ctypes.create_string_buffer(24)
        call('capget', struct.pack('<Ii', 0x20080522, 0), sets)
        out = struct.unpack('<6I', sets.raw)
        """,
        gives((0, 0, 0, 0, 0, 0)),
    )
    yield attempt("filter_mode", "out = call('prctl', 21, 0, 0, 0, 0)", gives(2))
    yield attempt("terminals", "out = [os.isatty(n) for n in range(3)]", gives([False] * 3))
    # From here on beyond the first corpus.
    yield attempt(
        "environment_block",
        """
        block = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')
        found, at = [], 0
        while block and block[at]:
            found.append(block[at])
            at += 1
        out = [entry for entry in found if b'SECRET' in entry]
        """,
        gives([]),
    )
    yield attempt(
        "heap_of_the_zygote",
        """
        import gc
        secret = H['env_secret_reversed'][::-1]
        strings = [o for o in gc.get_objects() if isinstance(o, dict)]
        out = [1 for d in strings for v in list(d.values()) if isinstance(v, str) and v == secret
               and d is not globals()]
        """,
        gives([]),
    )
    yield attempt(
        "host_side_modules",
        "out = sorted(m for m in sys.modules if m.startswith('nxkernel.host'))",
        gives([]),
    )
    yield attempt("no_new_privileges", "out = call('prctl', 39, 0, 0, 0, 0)", gives(1))
    yield attempt("umask", "out = os.umask(0)", gives(0o077))
    yield attempt(
        "input_is_null",
        "import stat\nout = stat.S_ISCHR(os.fstat(0).st_mode) and os.read(0, 1) == b''",
        gives(True),
    )
    yield attempt("threads_of_the_zygote", "out = len(sys._current_frames())", gives(1))
    yield attempt(
        "bounding_set",
        """
        out = 0
        for capability in range(64):
            try:
                out += call('prctl', 23, capability, 0, 0, 0)
            except OSError:
                break
        if os.getuid():
            out = 0  # an ordinary user cannot empty it, and has no exec to use it
        """,
        gives(0),
    )
    for name, attempt_code, refusal in [
        ("cpu_clock", "time.clock_gettime(~H['pid'] << 3 | 2)", "EINVAL"),
        ("group", "os.getpgid(H['pid'])", "EPERM"),
        ("session", "os.getsid(H['pid'])", "EPERM"),
        ("affinity", "os.sched_getaffinity(H['pid'])", "EPERM"),
        ("scheduler", "os.sched_getscheduler(H['pid'])", "EPERM"),
        ("priority", "os.getpriority(os.PRIO_PROCESS, H['pid'])", "EPERM"),
        ("limits", "resource.prlimit(H['pid'], resource.RLIMIT_CPU)", "EPERM"),
        ("robust_list", "call('get_robust_list', H['pid'], bytes(8), bytes(8))", "EPERM"),
    ]:
        yield attempt(f"{name}_of_host", attempt_code, denied(refusal))
    yield attempt(
        "capabilities_of_host",
        """
        sets = ctypes.create_string_buffer(24)
        call('capget', struct.pack('<Ii', 0x20080522, H['pid']), sets)
        out = len(sets.raw)
        """,
        gives(24),
        note="leak: the pid is behind a pointer, so capget tells whether a process exists",
    )
    yield attempt(
        "machine",
        "out = os.uname().sysname, os.cpu_count() > 0",
        gives(("Linux", True)),
        note="leak: uname, sysinfo, the number of processors and timing",
    )


#: Every attempt, group by group.
ATTEMPTS: tuple[Attempt, ...] = (
    *_control(),
    *_read(),
    *_write(),
    *_net(),
    *_net_allow(),
    *_proc(),
    *_kernel(),
    *_resource(),
    *_leak(),
)
