"""Orders: what the host says to a worker."""

from __future__ import annotations

from typing import Final

import msgspec

from nxkernel._wire.message import Message
from nxkernel._wire.pieces import Piece

__all__ = [
    "EXIT_CONFINE",
    "Confine",
    "Environment",
    "Fence",
    "Fork",
    "Forsake",
    "FromHost",
    "Guard",
    "Halt",
    "Invoke",
    "More",
    "Pause",
    "Ping",
    "Reply",
    "Root",
    "Setup",
    "Stop",
    "Window",
]

#: Exit status of a worker that could not confine itself or speak to its host.
EXIT_CONFINE: Final = 70


class Root(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a worker's own root holds, with the same paths as outside."""

    read: list[str]
    write: list[str]
    #: Symbolic links: path, target.
    links: list[tuple[str, str]]
    #: Folders that become one file system in memory, and its size in MiB.
    scratch: list[str]
    scratch_mb: int


class Confine(Message):
    """The first message: lock yourself in, then say hello. No plugin data is in it."""

    version: int
    level: str
    #: Seccomp program, 8 bytes an instruction, empty below ``confined``.
    program: bytes
    #: ``RLIMIT_*`` suffix -> [soft, hard].
    limits: dict[str, tuple[int, int]]
    #: The whole environment of the worker.
    environment: dict[str, str]
    #: The working directory: the plugin's own run directory.
    run_dir: str
    #: At level ``isolated``: the root to build before everything else.
    root: Root | None = None


class Fence(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Where a worker's walls stand: for its error messages, not to hold anything."""

    #: Files and folders that it may read, beside what it may write.
    read: list[str]
    #: TCP ports.
    connect: list[int]
    listen: list[int]
    #: Whether it may start other programs.
    processes: bool


class Environment(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Where a plugin's own libraries lie."""

    #: The virtual environment.
    prefix: str
    #: Its interpreter, as the plugin sees it.
    python: str
    #: Its folder of packages.
    site: str


class Guard(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What of a plugin's randomness is seen; each ``off``, ``warn`` or ``strict``."""

    chance: str
    clocks: str
    environment: str
    #: Whether the global generators are seeded for each call.
    rng_global: bool


class Setup(Message):
    """Load this plugin."""

    plugin: str
    project: str
    #: ``module:object``.
    entrypoint: str
    #: The verified copy of the plugin's files.
    code_dir: str
    #: Canonical bytes of the effective settings.
    settings: bytes
    run_dir: str
    #: Roots below which the plugin may write.
    write_roots: list[str]
    #: Seed of ``random`` before the plugin's first import.
    import_seed: bytes
    #: Wall nanoseconds of the run's start: the base of ``context.now()``.
    run_started_ns: int
    #: Largest payload that the host takes, in bytes.
    max_payload: int
    #: Folder of the application's modules that plugins may import, or empty.
    api_dir: str
    fence: Fence
    #: The plugin's own limit of an answer or a brokered call, in MiB, or None.
    output_mb: int | None
    guard: Guard
    #: The plugin's own libraries, or None where it has those of the application.
    environment: Environment | None = None
    #: Folder of the plugin's byte code, or empty.
    bytecode: str = ""
    #: Sources to compile and to hand over before anything of the plugin is imported.
    compile: list[str] = msgspec.field(default_factory=list)
    #: Where the manifest is in ``code_dir``, with slashes; of an installed plugin.
    inside: str = ""
    #: For a template, which forks its calls: the filter that each of these stacks, empty below
    #: ``confined``.
    call_filter: bytes | None = None

    def __repr__(self) -> str:
        return f"Setup(plugin={self.plugin!r})"  # settings may hold secrets


class Window(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What a stream may send in one turn: its turn ends with the item that uses up either."""

    items: int
    #: Bytes of values and of the blobs beside them.
    size: int


class Invoke(Message):
    """Run one phase of one hookimpl."""

    seq: int
    impl: str
    phase: str
    #: Canonical bytes: the arguments, or for ``teardown`` the inner result.
    payload: bytes
    #: The call key of the seed tree, or empty.
    seed: bytes
    #: For ``teardown``: the seq of the setup that is suspended.
    token: int = 0
    #: For ``teardown``: the error of the inner calls instead of a result.
    error: tuple[str, str, str] | None = None
    blobs: list[Piece] = msgspec.field(default_factory=list)
    #: For a hook that streams: what its first turn may send. None for every other call.
    window: Window | None = None
    #: The span around the call, as W3C Trace Context writes it, or empty.
    traceparent: str = ""


class More(Message):
    """Go on with a stream: its next turn begins."""

    seq: int
    #: The seq of the call that opened the stream.
    token: int
    window: Window


class Pause(Message):
    """End the turn that is under way after the next item: somebody else needs the worker."""

    token: int


class Halt(Message):
    """End a stream whose consumer wants no more of it; answered by its last message.

    In the middle of a turn that bears the turn's seq, and else this one.
    """

    seq: int
    token: int


class Reply(Message):
    """The answer to a brokered call."""

    seq: int
    payload: bytes
    #: ``code, message, origin``, or None when there is a value.
    error: tuple[str, str, str] | None = None
    blobs: list[Piece] = msgspec.field(default_factory=list)


class Forsake(Message):
    """End a wrapper or a stream that nothing will resume. The next ``Pong`` says that it has."""

    #: The seq of the setup that is suspended, or of the call that opened the stream.
    token: int


class Fork(Message):
    """Fork a process for one call. What it is to have lies in the template's nursery."""


class Ping(Message):
    """Are you there?"""

    seq: int


class Stop(Message):
    """End when the stack is empty."""


#: Whatever the host may say.
FromHost = Confine | Setup | Invoke | More | Pause | Halt | Reply | Forsake | Fork | Ping | Stop
