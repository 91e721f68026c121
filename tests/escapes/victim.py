"""What a plugin could hurt: a host with secrets, files, listeners and limits, and how it fares.

Everything is real: the secret is readable for the plugin's user, the ports are open, the pids are
alive. `Victim.damage` compares the host with what it was before an attempt.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import socket
import sqlite3
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nxkernel import _linux
from tests.escapes.arena import Arena

__all__ = ["SECRET_NAME", "SECRET_VALUE", "Victim", "empty"]

SECRET_NAME, SECRET_VALUE = "NX_HOST_SECRET", "the environment of the host is private"
_SECRET = "a secret of the host\n"
_PR_SET_CHILD_SUBREAPER = 36
_LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_")]


class Victim:
    """The host that attempts are made against, with its belongings below *folder*.

    *interpreter*: what the interpreter of workers needs in its environment.
    """

    def __init__(self, folder: Path, interpreter: Mapping[str, str]) -> None:
        self.folder = folder
        _lay_out_files(folder)
        self._listeners = _listeners(folder)
        self._reserved, bind_ok = _reserved_port()
        self._facts = {**self._gather_facts(bind_ok), "interpreter": dict(interpreter)}
        # Whatever a plugin could leave behind becomes a child of this process, and is seen.
        _linux.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        threading.Thread(target=self._serve_granted_port, daemon=True).start()
        self._arenas: dict[str, Arena] = {}
        self._before: dict[str, Any] = {}

    def arena(self, level: str) -> Arena:
        """Return the kernel at *level*, started when it is first asked for."""
        if level not in self._arenas:
            self._arenas[level] = Arena(self.folder / "levels" / level, level, self._facts)
            self._before = self._state()
        return self._arenas[level]

    def damage(self) -> list[str]:
        """Name every way in which the host is not what it was; clean the plugins' folders."""
        found = []
        for folder in [f for arena in self._arenas.values() for f in arena.folders]:
            found += _planted(folder)
            empty(folder)
        found += self._contacts()
        before, now = self._before, self._state()
        self._before = now  # a change is the fault of one attempt, not of those after it
        changed = [k for k in sorted(now.keys() | before.keys()) if now.get(k) != before.get(k)]
        return found + [f"{key}: {before.get(key)} became {now.get(key)}" for key in changed]

    def close(self) -> None:
        """End every process and close every socket."""
        for arena in self._arenas.values():
            arena.close()
        # Wakes the thread that waits there.
        self._listeners["tcp_ok"][1].shutdown(socket.SHUT_RDWR)
        for _, listener in self._listeners.values():
            listener.close()
        self._reserved.close()

    def _gather_facts(self, bind_ok: int) -> dict[str, Any]:
        folder = str(self.folder)
        return {
            "pid": os.getpid(),
            "dir": folder,
            "secret": f"{folder}/secret.txt",
            "secret_size": len(_SECRET),
            "env_secret_reversed": SECRET_VALUE[::-1],
            **{name: where for name, (where, _) in self._listeners.items()},
            "bind_ok": bind_ok,
            "blockdev": _block_device(),
            "hostname": socket.gethostname(),
        }

    def _serve_granted_port(self) -> None:
        _, listener = self._listeners["tcp_ok"]
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer, contextlib.suppress(OSError):  # an attempt need not wait for it
                    peer.sendall(b"ok")

    def _contacts(self) -> list[str]:
        """Name what arrived at the listeners that nobody may reach."""
        found = []
        for name, (_, listener) in sorted(self._listeners.items()):
            if name != "tcp_ok":
                found += _contacts(name, listener)
        return found

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"hostname": socket.gethostname(), "children": _children()}
        kept = [path for arena in self._arenas.values() for path in arena.kept]
        for path in sorted({*self.folder.iterdir(), *(f for k in kept for f in k.rglob("*"))}):
            state["file " + str(path).removeprefix(f"{self.folder}/")] = _identity(path)
        pids = {"host": os.getpid()} | {
            f"sibling at {level}": arena.sibling for level, arena in self._arenas.items()
        }
        pids |= {f"process {pid}": pid for pid in _zygotes()}
        for role, pid in pids.items():
            state |= {f"{role} {key}": value for key, value in _process_state(pid).items()}
        return state


def _contacts(name: str, listener: socket.socket) -> Iterator[str]:
    with contextlib.suppress(BlockingIOError):
        while True:
            if listener.type == socket.SOCK_DGRAM:
                yield f"{name} received {listener.recv(4096)!r}"
            else:
                listener.accept()[0].close()
                yield f"{name} was connected to"


def _zygotes() -> list[int]:
    """Return this process's children and theirs that are zygotes too: with namespaces, a pair."""
    outer = _children()
    return sorted({*outer, *(inner for pid in outer for inner in _children(pid)[:1])})


def _lay_out_files(folder: Path) -> None:
    for name in ("private", "levels"):
        (folder / name).mkdir(parents=True, mode=0o700)
    (folder / "secret.txt").write_text(_SECRET)
    (folder / "secret.txt").chmod(0o600)
    (folder / "private/nx_host_private_module.py").write_text("")
    with contextlib.closing(sqlite3.connect(folder / "store.sqlite")) as store, store:
        store.execute("create table t(x)")
        store.execute("insert into t values ('private')")


def _listeners(folder: Path) -> dict[str, tuple[Any, socket.socket]]:
    """Return name -> (address as a plugin would write it, open socket)."""
    found: dict[str, tuple[Any, socket.socket]] = {}
    for name in ("tcp", "tcp_ok"):
        listener = socket.create_server(("127.0.0.1", 0))
        found[name] = (listener.getsockname()[1], listener)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    found["udp"] = (datagrams.getsockname()[1], datagrams)
    abstract = f"\0nx-victim-{os.getpid()}"
    for name, address, kind in (
        ("usock", f"{folder}/u.sock", socket.SOCK_STREAM),
        ("abs", abstract, socket.SOCK_STREAM),
        ("dsock", f"{folder}/d.sock", socket.SOCK_DGRAM),
    ):
        local = socket.socket(socket.AF_UNIX, kind)
        local.bind(address)
        if kind == socket.SOCK_STREAM:
            local.listen()
        found[name] = (address, local)
    for name, (_, listener) in found.items():
        listener.setblocking(name == "tcp_ok")
    return found


def _reserved_port() -> tuple[socket.socket, int]:
    """Hold a port that another process of this user may bind as well."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]


def _block_device() -> str:
    for entry in sorted(os.listdir("/dev")):
        with contextlib.suppress(OSError):
            if stat.S_ISBLK(os.stat(f"/dev/{entry}").st_mode):
                return f"/dev/{entry}"
    return "/dev/sda"


def _identity(path: Path) -> tuple[Any, ...]:
    facts = path.lstat()
    content = ""
    if stat.S_ISREG(facts.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return (oct(facts.st_mode), facts.st_uid, facts.st_nlink, facts.st_mtime_ns, content)


def _process_state(pid: int) -> dict[str, Any]:
    limits = {name: resource.prlimit(pid, getattr(resource, name)) for name in _LIMITS}
    return {
        **limits,
        "affinity": sorted(os.sched_getaffinity(pid)),
        "priority": os.getpriority(os.PRIO_PROCESS, pid),
        "scheduler": os.sched_getscheduler(pid),
        "group": os.getpgid(pid),
        "children": sorted(_children(pid)),
    }


def _children(pid: int | None = None) -> list[int]:
    """Return the children of *pid*, or of this process."""
    me = os.getpid() if pid is None else pid
    found = []
    for task in os.listdir(f"/proc/{me}/task"):
        with contextlib.suppress(OSError):  # a thread may end meanwhile, and is then no parent
            found += Path(f"/proc/{me}/task/{task}/children").read_text().split()
    return sorted(map(int, found))


def empty(folder: Path) -> None:
    """Remove what is in *folder*, but for the folders that the kernel made for a plugin."""
    for path in folder.iterdir():
        if path.name in ("home", "tmp"):
            empty(path)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _planted(folder: Path) -> Iterator[str]:
    """Find what a plugin must not be able to leave for its host to trip over."""
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or mode & 0o6000:
            yield f"planted {path.relative_to(folder)} with mode {oct(mode)}"
