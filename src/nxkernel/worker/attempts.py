"""What the interpreter's audit events say of an attempt: its kind, and its path or address."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

__all__ = ["ATTEMPTS", "NAMELESS", "TCP"]

#: Kinds whose refusal comes without a path.
NAMELESS: Final = frozenset(
    {"connect", "listen", "resolve", "socket", "exec", "fork", "signal", "unix"}
)
#: The target of `socket` for a TCP socket.
TCP: Final = "tcp"
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_AF_UNIX, _AF_INETS = 1, (2, 10)
_SOCK_STREAM, _SOCK_TYPE = 1, 0xF

_Tried = Iterator[tuple[str, str]]


def _path(kind: str, *positions: int) -> Callable[[tuple[Any, ...]], _Tried]:
    def read(arguments: tuple[Any, ...]) -> _Tried:
        for position in positions:
            path = arguments[position]
            if path is None:
                path = "."
            if not isinstance(path, int):
                yield kind, os.fsdecode(path)

    return read


def _open(arguments: tuple[Any, ...]) -> _Tried:
    path, _, flags = arguments
    if not isinstance(path, int):
        yield "write" if flags & _WRITES else "read", os.fsdecode(path)


def _library(arguments: tuple[Any, ...]) -> _Tried:
    name = arguments[0]
    if isinstance(name, str | bytes) and os.path.isabs(os.fsdecode(name)):
        yield "read", os.fsdecode(name)


def _address(kind: str) -> Callable[[tuple[Any, ...]], _Tried]:
    def read(arguments: tuple[Any, ...]) -> _Tried:
        address = arguments[1]
        if isinstance(address, tuple):
            yield kind, f"{address[0]}:{address[1]}"
        else:
            yield "unix", os.fsdecode(address)

    return read


def _resolving(arguments: tuple[Any, ...]) -> _Tried:
    host, port = arguments[0], arguments[1]
    yield "resolve", f"{_shown(host)}:{_shown(port)}"


def _shown(part: Any) -> str:
    return "" if part is None else os.fsdecode(part) if isinstance(part, bytes) else str(part)


def _program(arguments: tuple[Any, ...]) -> _Tried:
    yield "exec", os.fsdecode(arguments[0])


def _shell(_: tuple[Any, ...]) -> _Tried:
    yield "exec", "/bin/sh"


def _popen(arguments: tuple[Any, ...]) -> _Tried:
    executable, command = arguments[0], arguments[1]
    if executable is None:
        executable = command if isinstance(command, str | bytes | os.PathLike) else command[0]
    yield "exec", os.fsdecode(executable)


def _plain(kind: str, position: int | None = None) -> Callable[[tuple[Any, ...]], _Tried]:
    def read(arguments: tuple[Any, ...]) -> _Tried:
        yield kind, "" if position is None else str(arguments[position])

    return read


def _socket(arguments: tuple[Any, ...]) -> _Tried:
    family, type_ = int(arguments[1]), int(arguments[2]) & _SOCK_TYPE
    if family != _AF_UNIX:
        yield (
            "socket",
            TCP if family in _AF_INETS and type_ == _SOCK_STREAM else f"{family}/{type_}",
        )


def _database(arguments: tuple[Any, ...]) -> _Tried:
    name = os.fsdecode(arguments[0])
    if name == ":memory:" or not name:
        return
    path, _, query = name.removeprefix("file:").partition("?")
    if not name.startswith("file:"):
        path, query = name, ""
    only_reads = "mode=ro" in query or "immutable=1" in query
    yield "database to read" if only_reads else "database", path


#: Event -> what it says of an attempt: kinds and targets, as `Denial` has them.
ATTEMPTS: Final[Mapping[str, Callable[[tuple[Any, ...]], _Tried]]] = {
    "open": _open,
    "os.listdir": _path("read", 0),
    "os.scandir": _path("read", 0),
    "os.mkdir": _path("write", 0),
    "os.remove": _path("write", 0),
    "os.rename": _path("write", 0, 1),
    "os.rmdir": _path("write", 0),
    "os.link": _path("write", 1),
    "os.symlink": _path("write", 1),
    "os.truncate": _path("write", 0),
    "os.chmod": _path("mode", 0),
    "os.chown": _path("mode", 0),
    "os.lchown": _path("mode", 0),
    "os.utime": _path("mode", 0),
    "sqlite3.connect": _database,
    "ctypes.dlopen": _library,
    "socket.__new__": _socket,
    "socket.connect": _address("connect"),
    "socket.bind": _address("listen"),
    "socket.sendto": _address("connect"),
    "socket.getaddrinfo": _resolving,
    "subprocess.Popen": _popen,
    "os.exec": _program,
    "os.posix_spawn": _program,
    "os.system": _shell,
    "os.fork": _plain("fork"),
    "os.forkpty": _plain("fork"),
    "os.kill": _plain("signal", 0),
    "os.killpg": _plain("signal", 0),
}
