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
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nxkernel import _linux
from nxkernel.host.sandbox.linux.policy import ConfinementPlan, default_read_paths
from nxkernel.settings import Limits
from tests.escapes.cage import Cage, Running
from tests.support.interpreter import Interpreter

__all__ = ["SECRET_NAME", "SECRET_VALUE", "Victim"]

SECRET_NAME, SECRET_VALUE = "NX_HOST_SECRET", "the environment of the host is private"
_SECRET = "a secret of the host\n"
_PR_SET_CHILD_SUBREAPER = 36
_LIMITS = [name for name in dir(resource) if name.startswith("RLIMIT_")]


class Victim:
    """The host that attempts are made against, with its belongings below *folder*."""

    def __init__(self, folder: Path, interpreter: Interpreter) -> None:
        self.folder = folder
        _lay_out_files(folder)
        self._contacts: list[str] = []
        self._listeners = _listeners(folder)
        self._reserved, bind_ok = _reserved_port()
        self._facts = self._gather_facts(bind_ok)
        # Whatever a plugin could leave behind becomes a child of this process, and is seen.
        _linux.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self.cage = Cage(interpreter, self._plans(), {"tight": {"CPU": (1, 2)}})
        self._serve_listeners()
        self._sibling = self._start_sibling()
        self._facts["sibling"] = self._sibling.pid
        self._before = self._state()

    @property
    def facts(self) -> dict[str, Any]:
        """What an attempt sees as `H`."""
        return dict(self._facts)

    def damage(self) -> list[str]:
        """Name every way in which the host is not what it was; clean the plugin's folders."""
        found = list(_planted(self.folder / "w")) + list(_planted(self.folder / "scratch"))
        for name in ("w", "scratch"):
            _empty(self.folder / name)
        self._serve_pending()
        found += self._contacts
        self._contacts.clear()
        before, now = self._before, self._state()
        self._before = now  # a change is the fault of one attempt, not of those after it
        changed = [k for k in sorted(now.keys() | before.keys()) if now.get(k) != before.get(k)]
        return found + [f"{key}: {before.get(key)} became {now.get(key)}" for key in changed]

    def close(self) -> None:
        """End every process and close every socket."""
        self.cage.kill(self._sibling)
        self.cage.close()
        for _, listener in self._listeners.values():
            listener.close()
        self._reserved.close()

    def _gather_facts(self, bind_ok: int) -> dict[str, Any]:
        folder = str(self.folder)
        names = {name: where for name, (where, _) in self._listeners.items()}
        return {
            "pid": os.getpid(),
            "dir": folder,
            **{name: f"{folder}/{name}" for name in ("r", "w", "other", "scratch")},
            "secret": f"{folder}/secret.txt",
            "secret_size": len(_SECRET),
            "env_secret_reversed": SECRET_VALUE[::-1],
            **names,
            "bind_ok": bind_ok,
            "blockdev": _block_device(),
            "hostname": socket.gethostname(),
            "channel": 3,
            "fds": [0, 1, 2, 3],
            "library": [path for path in sys.path if path and "private" not in path],
        }

    def _plans(self) -> dict[str, ConfinementPlan]:
        standard = {
            "code": (*default_read_paths(_import_path()), str(self.folder / "r")),
            "write": (str(self.folder / "w"), str(self.folder / "scratch")),
            "protected": (str(self.folder / "private"),),
            "limits": Limits(file_size_mb=16),
        }
        small = Limits(memory_mb=192, open_files=64, file_size_mb=16)
        return {
            "standard": ConfinementPlan(**standard),
            "tight": ConfinementPlan(**{**standard, "limits": small}),
            "connect": ConfinementPlan(**standard, connect_tcp=(self._facts["tcp_ok"],)),
            "listen": ConfinementPlan(**standard, bind_tcp=(self._facts["bind_ok"],)),
        }

    def _start_sibling(self) -> Running:
        return self.cage.start("import signal\nsignal.pause()", self._facts, "standard")

    def _serve_listeners(self) -> None:
        for name, (_, listener) in self._listeners.items():
            self.cage.selector.register(listener, 1, self._on_contact(name))

    def _on_contact(self, name: str) -> Callable[[socket.socket], None]:
        def contact(listener: socket.socket) -> None:
            if listener.type == socket.SOCK_DGRAM:
                self._contacts.append(f"{name} received {listener.recv(4096)!r}")
                return
            peer, _ = listener.accept()
            with peer:
                if name == "tcp_ok":
                    with contextlib.suppress(OSError):  # an attempt need not wait for it
                        peer.sendall(b"ok")
                else:
                    self._contacts.append(f"{name} was connected to")

        return contact

    def _serve_pending(self) -> None:
        while events := self.cage.selector.select(0):
            for key, _ in events:
                key.data(key.fileobj)

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"hostname": socket.gethostname(), "children": _children()}
        for path in sorted(self.folder.rglob("*")):
            if path.relative_to(self.folder).parts[0] not in ("w", "scratch"):
                state[f"file {path.name}"] = _identity(path)
        pids = {"host": os.getpid(), "zygote": self.cage.zygote_pid, "sibling": self._sibling.pid}
        for role, pid in pids.items():
            state |= {f"{role} {key}": value for key, value in _process_state(pid).items()}
        return state


def _lay_out_files(folder: Path) -> None:
    for name in ("r/__pycache__", "w", "scratch", "other", "private"):
        (folder / name).mkdir(parents=True, mode=0o700)
    (folder / "secret.txt").write_text(_SECRET)
    (folder / "secret.txt").chmod(0o600)
    (folder / "r/data.txt").write_text("plugin data")
    (folder / "r/plugin.py").write_text("")
    (folder / "other/token").write_text("token of another plugin")
    (folder / "other/nx_other_module.py").write_text("")
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
    for _, listener in found.values():
        listener.setblocking(False)
    return found


def _reserved_port() -> tuple[socket.socket, int]:
    """Hold a port that another process of this user may bind as well."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(("127.0.0.1", 0))
    return holder, holder.getsockname()[1]


def _import_path() -> list[str]:
    return [path for path in sys.path if os.path.isdir(path) and "private" not in path]


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
    """Return the children of *pid*; those of this process are compared by their number."""
    me = os.getpid() if pid is None else pid
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if int(_linux.status_fields(entry)["PPid"]) == me:
                    found.append(int(entry))
    return sorted(found)


def _empty(folder: Path) -> None:
    """Remove what is in *folder*, not the folder: a ruleset names it by identity, not by name."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _planted(folder: Path) -> Iterator[str]:
    """Find what a plugin must not be able to leave for its host to trip over."""
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or mode & 0o6000:
            yield f"planted {path.relative_to(folder)} with mode {oct(mode)}"
