"""A worker that is a function: real pipes and every real part of the host, and no process.

For storms of frames, at thousands a second. Where ``fake_workers`` has a process and two threads
for each worker, this has neither: what the worker says to a message is written to its pipe in the
moment in which the host has sent that message, and the rest when the host has read what was there.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import termios
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from nxkernel._blob import Blobs
from nxkernel._clock import SystemClock
from nxkernel._wire import VERSION, Confine, Inbox, unpack_from_host
from nxkernel.dispatch.drivers import Bell, run_blocking
from nxkernel.dispatch.effects import Effects
from nxkernel.host.channel import Channel
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.keeper import Keeper
from nxkernel.host.launch import Launch
from nxkernel.host.logs import LogTail
from nxkernel.host.slot import Slot
from nxkernel.host.supervision import Policy
from nxkernel.host.supervisor import Supervisor
from nxkernel.host.transport import Brokered, Transport
from nxkernel.host.workers import Exit, Worker
from nxkernel.kernel.impls import agree
from nxkernel.types import Call, ImplFacts, Outcome, PluginId
from tests.support.fake_workers import a_launch, the_call

__all__ = ["CLOSE", "Says", "ScriptedHost"]

#: However many workers die, the next one starts at once.
PATIENT = Policy(intensity=10**9, period_s=0.001, backoff_s=0.0, backoff_max_s=0.0)
#: Said last by a worker that closes its end.
CLOSE = None
#: What a worker says to a message of the host: pieces of bytes, each written when the host has
#: read the one before.
Says = Callable[[Any], Iterator[bytes | None]]


@attrs.define
class _Process:
    """A process that is not there; it ends at once when it is killed."""

    pid: int
    worker: Worker | None = None

    @property
    def number(self) -> int:
        return self.pid

    def kill(self) -> None:
        if self.worker is not None and self.worker.exit is None:
            self.worker.exit = Exit(status=None, signal=9)

    terminate = kill

    def has_ended(self) -> bool:
        return self.worker is not None and self.worker.exit is not None

    def allow_cpu(self, seconds: float) -> None:
        """It uses none."""

    def overdue(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is held."""


class _Housekeeper(Housekeeper):
    """Has nothing to keep: these workers write no log, and their ends are known at once."""

    def watch(self, worker: Worker) -> None:
        """Nothing is to be watched."""


class _Reporter:
    """Of workers that report nothing."""

    gone = False
    exits_fd = -1

    def exits(self) -> list[tuple[int, Exit]]:
        return []


class _Channel(Channel):
    """The host's channel, with the worker behind it."""

    def __init__(self, command: int, result: int, max_frame: int, says: Says) -> None:
        super().__init__(command, result, max_frame)
        self._says = says
        self._told = Inbox(1 << 30)
        self._pieces: list[Iterator[bytes | None]] = []
        self._rest = memoryview(b"")
        self.ends = [-1, -1]

    def send(self, message: Any) -> None:
        super().send(message)
        self._hear()

    def pump(self) -> None:
        super().pump()
        self._hear()

    def next(self) -> Any:
        message = super().next()
        if message is None and not self.closed and not self._unread():
            self._speak()  # The host has read all that was said, and waits for more.
        return message

    @property
    def silent(self) -> bool:
        """Whether the worker lives and has said nothing that nobody took yet, or will read."""
        return self.quiet and not self._unread() and not self._rest

    def _unread(self) -> int:
        """Bytes that the host has not read yet."""
        count = fcntl.ioctl(self.result, termios.FIONREAD, bytes(4))
        return int.from_bytes(count, "little")

    def _hear(self) -> None:
        """Read what the host wrote, and begin to answer it."""
        if self.ends[0] < 0:
            return
        try:
            self._told.feed(os.read(self.ends[0], 1 << 20))
        except BlockingIOError:
            return
        while (body := self._told.next()) is not None:
            self._pieces.append(self._says(unpack_from_host(body)))
        self._speak()

    def _speak(self) -> None:
        """Write the next piece, if the pipe has room for it."""
        while self.ends[1] >= 0 and (self._rest or self._pieces):
            if not self._rest and not self._next_piece():
                return
            try:
                self._rest = self._rest[os.write(self.ends[1], self._rest) :]
            except BlockingIOError:
                return
            if not self._rest:
                return

    def _next_piece(self) -> bool:
        while self._pieces:
            for piece in self._pieces[0]:
                if piece is CLOSE:
                    self.hang_up()
                    return False
                if piece:
                    self._rest = memoryview(piece)
                    return True
            self._pieces.pop(0)
        return False

    def hang_up(self) -> None:
        """Close the worker's ends."""
        ends, self.ends = self.ends, [-1, -1]
        for fd in ends:
            if fd >= 0:
                os.close(fd)

    def close(self) -> None:
        super().close()
        self.hang_up()


@attrs.define
class _Launcher:
    """Starts workers that say what they are told to say."""

    says: Says
    pids: Iterator[int] = attrs.Factory(lambda: itertools.count(1))

    def start(self, launch: Launch, log: LogTail, generation: int) -> Worker:
        command_read, command_write = os.pipe()
        result_read, result_write = os.pipe()
        for fd in (command_read, result_write):
            os.set_blocking(fd, False)
        channel = _Channel(command_write, result_read, launch.max_frame, self.says)
        channel.ends = [command_read, result_write]
        channel.send(Confine(VERSION, launch.level, b"", {}, {}, launch.run_dir))
        process = _Process(next(self.pids))
        worker = process.worker = Worker(
            process=process,
            channel=channel,
            log=log,
            log_fd=-1,
            generation=generation,
            level=launch.level,
            reporter=_Reporter(),
        )
        return worker


@attrs.define
class ScriptedHost:
    """The host's parts for some plugins whose workers are functions."""

    #: Plugin id -> what its workers say.
    plugins: Mapping[str, Says]
    #: What every plugin declares.
    declared: Sequence[ImplFacts]
    #: Answers brokered calls.
    broker: Callable[[Call, str, bytes, float], Effects[Brokered]]
    max_frame: int = 1 << 20
    clock: Any = attrs.Factory(SystemClock)
    bell: Bell = attrs.Factory(Bell)
    keepers: dict[PluginId, Keeper] = attrs.Factory(dict)
    transport: Transport = attrs.field(init=False)
    _housekeeper: _Housekeeper = attrs.field(init=False)

    def __enter__(self) -> ScriptedHost:
        self._housekeeper = _Housekeeper(self.bell.ring)
        for name, says in self.plugins.items():
            self.keepers[PluginId(name)] = self._keeper(PluginId(name), says)
        self.transport = Transport(self.keepers, self, self.clock)
        return self

    def _keeper(self, plugin: PluginId, says: Says) -> Keeper:
        return Keeper(
            plugin,
            slot=Slot(threading.Lock(), self.bell.ring),
            plan=lambda: a_launch(plugin, max_frame=self.max_frame),
            launcher=_Launcher(says),
            housekeeper=self._housekeeper,
            supervisor=Supervisor(plugin, PATIENT, self.clock, _nothing),
            check_status=None,
            report=_nothing,
            log_tail=1000,
            start_timeout_s=20.0,
            cpu_seconds=None,
        )

    def __exit__(self, *exc_info: object) -> None:
        self._housekeeper.stop()
        for keeper in self.keepers.values():
            keeper.close()

    # -- what the transport asks -------------------------------------------------------------

    def brokered(
        self, parent: Call, hook: str, payload: bytes, blobs: Blobs, deadline: float
    ) -> Effects[Brokered]:
        return self.broker(parent, hook, payload, deadline)

    def retrying(self, lost: Call, outcome: Outcome, again: Call) -> None:
        """No call is made again here."""

    def accept(self, plugin: PluginId, edition: int, impls: Sequence[ImplFacts]) -> None:
        agree(plugin, self.declared, impls)

    def told(self, call: Call) -> Outcome | None:
        """Nobody was told of it at the start."""

    def history(self, plugin: PluginId, edition: int, starter: str) -> Effects[None]:
        return
        yield

    # -- what tests do -----------------------------------------------------------------------

    def call(self, plugin: str, **changes: Any) -> Outcome:
        """Make a call of the hook in this thread."""
        call = the_call(self.clock, plugin=plugin, **changes)
        outcome: Outcome = run_blocking(self.transport.exchange(call), self.clock, self.bell)
        return outcome


def _nothing(kind: str, plugin: str, data: Mapping[str, Any]) -> None:
    """Nobody wants a report."""
