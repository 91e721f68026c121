"""Workers that are scripts in threads of the test, with all of the host's real parts before them.

Only the zygote is a stand-in: where the real one forks, it starts a process that does nothing and
a thread that speaks for it on the worker's pipes. Slot, keeper, housekeeper, channel and transport
are the real ones.
"""

from __future__ import annotations

import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nxkernel._blob import Blobs
from nxkernel._canonical import encode
from nxkernel._clock import SystemClock
from nxkernel._system import Process
from nxkernel._system.linux import PidfdProcess
from nxkernel._wire import (
    VERSION,
    Broker,
    Confine,
    Failure,
    Hello,
    Impl,
    Inbox,
    Invoke,
    Ready,
    Reply,
    Result,
    Setup,
    Stop,
    pack,
    unpack_from_host,
)
from nxkernel.dispatch.drivers import Bell, run_blocking
from nxkernel.dispatch.effects import Effects
from nxkernel.errors import NxError, PluginDisabled
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.keeper import Keeper
from nxkernel.host.launch import Fence, Launch, Load, start
from nxkernel.host.logs import LogTail
from nxkernel.host.slot import Slot
from nxkernel.host.supervision import Policy
from nxkernel.host.supervisor import Supervisor
from nxkernel.host.transport import Brokered, Transport
from nxkernel.host.workers import Worker
from nxkernel.host.zygote import Profile, Zygote
from nxkernel.settings import Limits
from nxkernel.types import Call, Outcome, PluginId
from tests.support.calls import a_call

__all__ = [
    "IMPL",
    "Ended",
    "Host",
    "Peer",
    "Script",
    "a_launch",
    "answering",
    "broker",
    "echo",
    "failure",
    "greeting",
    "the_call",
]

IMPL = Impl("hook", "hook", ("x",), (), False, False, False, False, False)


class Ended(Exception):
    """The host closed its end, or the process behind the script was killed, or is to end."""

    def __init__(self, status: int | None = None) -> None:
        super().__init__()
        #: The exit status with which the process ends; without one, it is killed.
        self.status = status


class Peer:
    """A worker's side of the wire."""

    def __init__(self, command: int, result: int, log: int, down: int, up: int) -> None:
        self._command, self.result, self.log, self._arena = command, result, log, (down, up)
        self._inbox = Inbox(1 << 30)
        #: The write end is closed when the process behind the script is dead.
        self._dead, self.death = os.pipe()

    def receive(self) -> Any:
        """The next message of the host."""
        while (body := self._inbox.next()) is None:
            self.wait(self._command)
            data = os.read(self._command, 1 << 16)
            if not data:
                raise Ended
            self._inbox.feed(data)
        return unpack_from_host(body)

    def wait(self, fd: int = -1) -> None:
        """Wait until *fd* can be read; without one, for the death of the process."""
        poll = select.poll()
        poll.register(self._dead, select.POLLIN)
        if fd >= 0:
            poll.register(fd, select.POLLIN)
        if self._dead in {ready for ready, _ in poll.poll()}:
            raise Ended

    def send(self, *messages: Any) -> None:
        for message in messages:
            self.write(pack(message))

    def write(self, data: bytes) -> None:
        try:
            os.write(self.result, data)
        except OSError:
            raise Ended from None

    def close(self) -> None:
        for fd in (self._command, self.result, self.log, *self._arena, self._dead):
            os.close(fd)


Script = Callable[[Peer], None]


def greeting(peer: Peer, impls: Sequence[Impl] = (IMPL,)) -> Setup:
    """What every good worker does first."""
    assert isinstance(peer.receive(), Confine)
    peer.send(Hello(VERSION, {"fork": "EPERM"}))
    setup = peer.receive()
    assert isinstance(setup, Setup)
    peer.send(Ready(list(impls)))
    return setup


def answering(answer: Callable[[Peer, Invoke], None]) -> Script:
    """A good worker that gives each call to *answer*."""

    def script(peer: Peer) -> None:
        greeting(peer)
        while not isinstance(message := peer.receive(), Stop):
            answer(peer, message)

    return script


def echo(peer: Peer, call: Invoke) -> None:
    """Answer a call with its arguments."""
    peer.send(Result(call.seq, call.payload, 7, []))


#: A process that does nothing until it is told with which status to end.
_PROCESS = ["sh", "-c", "read status && exit $status"]


PROFILE = Profile(
    python=Path("/python"), bootstrap=Path("/bootstrap.py"), sys_path=(), environment={}
)


class FakeZygote(Zygote):
    """Starts a process that does nothing, and a script that speaks for it, for each worker."""

    def __init__(self, script: Iterator[Script]) -> None:
        self._scripts = script
        self._threads: list[threading.Thread] = []
        self.exits_fd, self._exits = os.pipe()
        self.gone = False
        os.set_blocking(self.exits_fd, False)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.problems: list[BaseException] = []

    def start(self, launch: Launch, log: LogTail, generation: int) -> Worker:
        return start(self, launch, log, generation)

    def spawn(self, fds: Sequence[int], *, with_ruleset: bool, tasks: int = 0) -> Process:
        assert not with_ruleset
        process = subprocess.Popen(_PROCESS, stdin=subprocess.PIPE)
        pidfd = os.pidfd_open(process.pid)
        self.processes.append(process)
        peer = Peer(*(os.dup(fd) for fd in fds))
        script = next(self._scripts)
        speaker = threading.Thread(target=self._speak, args=(script, peer, process))
        reaper = threading.Thread(target=self._reap, args=(process, peer))
        self._threads += [speaker, reaper]
        for thread in (speaker, reaper):
            thread.start()
        return PidfdProcess(process.pid, pidfd)

    def _speak(self, script: Script, peer: Peer, process: subprocess.Popen[bytes]) -> None:
        status = None
        try:
            script(peer)
        except Ended as ended:
            status = ended.status
        except BaseException as problem:
            self.problems.append(problem)
        # Its last act is to end, which closes what it holds.
        if status is None:
            process.kill()
        process.communicate(b"%d\n" % (status or 0))
        peer.close()

    def _reap(self, process: subprocess.Popen[bytes], peer: Peer) -> None:
        status = process.wait()
        os.close(peer.death)
        os.write(self._exits, process.pid.to_bytes(4, "little") + _wait_status(status))

    def kill(self, number: int) -> None:
        """Kill one worker's process, and wait until nobody speaks for it any more."""
        self.processes[number].kill()
        for thread in self._threads[2 * number : 2 * number + 2]:
            thread.join()

    def finish_workers(self) -> None:
        for process in self.processes:
            process.kill()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive(), "a script does not end"

    def finish(self) -> None:
        os.close(self.exits_fd)
        os.close(self._exits)


def _wait_status(code: int) -> bytes:
    return (code << 8 if code >= 0 else -code).to_bytes(4, "little")


@attrs.frozen
class _Unconfined:
    ruleset_fd: int = -1
    program: bytes = b""
    root: None = None
    limits: Mapping[str, tuple[int, int]] = attrs.field(factory=dict)


def a_launch(plugin: str = "p", level: str = "process", max_frame: int = 1 << 20) -> Launch:
    """What starting a worker takes, with nothing real in it."""
    load = Load(
        plugin=plugin,
        project="t",
        entrypoint="plugin",
        code_dir="/code",
        settings=encode({}),
        write_roots=(),
        import_seed=b"",
        run_started_ns=0,
        fence=Fence(read=[], connect=[], listen=[], processes=False),
    )
    return Launch(
        profile=PROFILE,
        level=level,
        confinement=_Unconfined(),
        environment={},
        run_dir="/run",
        max_frame=max_frame,
        limits=Limits(),
        load=load,
    )


@attrs.define
class Host:
    """The host's parts for one plugin, and what they reported."""

    scripts: list[Script]
    level: str = "process"
    intensity: int = 5
    backoff_s: float = 0.0
    clock: Any = attrs.Factory(SystemClock)
    bell: Bell = attrs.Factory(Bell)
    reports: list[tuple[str, Mapping[str, Any]]] = attrs.Factory(list)
    #: Changes of the worker's state that were reported.
    moves: list[tuple[str, str]] = attrs.Factory(list)
    #: Calls that were made again, and why that cannot be put on record.
    retried: list[tuple[Call, Outcome, Call]] = attrs.Factory(list)
    unrecorded: NxError | None = None
    accepted: int = 0
    refuse: PluginDisabled | None = None
    #: Generators for brokered calls and for the history of a new worker.
    broker: Callable[[Call, str, bytes], Effects[Brokered]] | None = None
    replay: Callable[[], Effects[None]] | None = None
    zygote: FakeZygote = attrs.field(init=False)
    keeper: Keeper = attrs.field(init=False)
    transport: Transport = attrs.field(init=False)
    _housekeeper: Housekeeper = attrs.field(init=False)

    def __enter__(self) -> Host:
        self.zygote = FakeZygote(iter(self.scripts))
        self._housekeeper = Housekeeper(self.bell.ring)
        self._housekeeper.start()
        self._housekeeper.hear(self.zygote)
        self.keeper = Keeper(
            PluginId("p"),
            slot=Slot(threading.Lock(), self.bell.ring),
            plan=self._plan,
            launcher=self.zygote,
            housekeeper=self._housekeeper,
            supervisor=Supervisor(PluginId("p"), self._policy(), self.clock, self._report),
            check_status=None,
            report=self._report,
            log_tail=1000,
            start_timeout_s=20.0,
            cpu_seconds=None,
        )
        self.transport = Transport({PluginId("p"): self.keeper}, self, self.clock)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.zygote.finish_workers()
        self._housekeeper.stop()
        self.keeper.close()
        self.zygote.finish()
        assert self.zygote.problems == []

    def _policy(self) -> Policy:
        return Policy(intensity=self.intensity, backoff_s=self.backoff_s, backoff_max_s=1e9)

    def _report(self, kind: str, _plugin: str, data: Mapping[str, Any]) -> None:
        if kind == "worker.state":
            self.moves.append((data["from"], data["to"]))
        else:
            self.reports.append((kind, data))

    def _plan(self) -> Launch:
        return a_launch(level=self.level)

    # -- what the transport asks -------------------------------------------------------------

    def brokered(
        self, parent: Call, hook: str, payload: bytes, blobs: Blobs, deadline: float
    ) -> Effects[Brokered]:
        assert self.broker is not None
        return self.broker(parent, hook, payload)

    def retrying(self, lost: Call, outcome: Outcome, again: Call) -> None:
        if self.unrecorded is not None:
            raise self.unrecorded
        self.retried.append((lost, outcome, again))

    def accept(self, plugin: PluginId, edition: int, impls: Sequence[Any]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.accepted += 1

    def told(self, call: Call) -> Outcome | None:
        """Nobody was told of it at the start."""

    def history(self, plugin: PluginId, edition: int, starter: str) -> Effects[None]:
        return self.replay() if self.replay else _nothing()

    # -- what tests do -------------------------------------------------------------------------

    def drive(self, generator: Effects[Any]) -> Any:
        return run_blocking(generator, self.clock, self.bell)

    def call(self, **changes: Any) -> Outcome:
        """Make a call of the hook in this thread."""
        outcome: Outcome = self.drive(self.transport.exchange(the_call(self.clock, **changes)))
        return outcome

    @property
    def starts(self) -> int:
        return len(self.zygote.processes)


def the_call(clock: Any, timeout: float = 20.0, **changes: Any) -> Call:
    """A call of ``hook`` of plugin ``p`` with x=1."""
    given: dict[str, Any] = {
        "plugin": "p",
        "hook": "hook",
        "impl": "hook",
        "deadline": clock.monotonic() + timeout,
        **changes,
    }
    return a_call({"x": 1}, **given)


def _nothing() -> Effects[None]:
    return
    yield


def broker(peer: Peer, call: Invoke, seq: int = 1, **arguments: Any) -> Reply:
    """Make a brokered call for *call* and wait for its reply, which must come next."""
    peer.send(Broker(seq, call.seq, "other", encode(arguments), 0, []))
    reply = peer.receive()
    assert isinstance(reply, Reply)
    return reply


def failure(call: Invoke, code: str = "plugin.raised", **changes: Any) -> Failure:
    """A worker's word that *call* failed."""
    message, origin = changes.get("message", "ValueError: no"), changes.get("origin", "")
    details = changes.get("details", encode({}))
    return Failure(call.seq, code, message, details, origin, 3)
