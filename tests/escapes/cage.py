"""Run code in a confined child and say what came of it.

`Cage.run_confined(code, facts, plan)` is the one door: what stands behind it may change.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
from collections.abc import Mapping
from typing import Any

import attrs

from nxkernel.host.sandbox.linux import check
from nxkernel.host.sandbox.linux.policy import Confinement, ConfinementPlan, build
from tests.support.interpreter import Interpreter

__all__ = ["OPEN", "STANDARD", "Cage", "Running", "Verdict"]

_HEADER = struct.Struct(">I")
#: The plan of most attempts, and the name of no plan at all: an unconfined process.
STANDARD, OPEN = "standard", "open"
#: A fence against hangs, far above what any attempt needs.
_WALL_SECONDS = 60.0


@attrs.frozen
class Verdict:
    """How a confined process ended."""

    #: `value`, `error`, `killed`, `exit` (without a report) or `timeout`.
    kind: str
    #: `repr` of what it left in `out`.
    value: str = ""
    #: Names of the exception's class and of its bases, and its errno's name or number.
    exceptions: tuple[str, ...] = ()
    errno: str = ""
    message: str = ""
    signal: str = ""
    status: int = 0
    log: str = ""


@attrs.define
class Running:
    """A confined process at work."""

    pid: int
    pidfd: int
    channel: socket.socket
    log: int
    #: Attempt -> errno that refused it, from its own self-test.
    witnessed: Mapping[str, str] = attrs.field(factory=dict)
    received: bytes = b""
    logged: bytes = b""
    status: int | None = None

    def close(self) -> None:
        self.channel.close()
        os.close(self.log)
        os.close(self.pidfd)


class Cage:
    """A zygote and the walls of each plan; confined processes come out of it."""

    def __init__(
        self,
        interpreter: Interpreter,
        plans: Mapping[str, ConfinementPlan],
        extra_limits: Mapping[str, Mapping[str, tuple[int, int]]],
    ) -> None:
        #: Whatever else is to be served while an attempt runs: a callback as `data`.
        self.selector = selectors.DefaultSelector()
        self._walls = {name: build(plan) for name, plan in plans.items()}
        self._extra_limits = extra_limits
        self._running: dict[int, Running] = {}
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._zygote = subprocess.Popen(
            interpreter.command("tests.escapes.zygote"),
            stdin=theirs,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **interpreter.environment},
            start_new_session=True,
        )
        theirs.close()
        self.selector.register(self._control, selectors.EVENT_READ, self._ended)

    @property
    def zygote_pid(self) -> int:
        return self._zygote.pid

    def run_confined(self, code: str, facts: Mapping[str, Any], plan: str) -> Verdict:
        """Run *code* under *plan* and return how it ended."""
        return self.finish(self.start(code, facts, plan))

    def start(self, code: str, facts: Mapping[str, Any], plan: str) -> Running:
        """Make a confined process, check it from outside, and give it *code*."""
        walls = self._walls[STANDARD if plan == OPEN else plan]
        running = self._fork(walls)
        limits = {**walls.limits, **self._extra_limits.get(plan, {})}
        program = None if plan == OPEN else walls.program.hex()
        _send(running.channel, {"program": program, "limits": limits})
        running.witnessed = self._hello(running)["witnessed"]
        if plan != OPEN:
            check.check_status(running.pid)
        running.channel.setblocking(False)
        _send(running.channel, {"code": code, "facts": dict(facts)})
        return running

    def finish(self, running: Running) -> Verdict:
        """Serve listeners, log and channel until *running* has ended."""
        self._watch(running)
        timed_out = False
        while running.status is None:
            events = self.selector.select(_WALL_SECONDS)
            if not events:
                timed_out = True
                signal.pidfd_send_signal(running.pidfd, signal.SIGKILL)
            for key, _ in events:
                key.data(key.fileobj)
        verdict = Verdict("timeout") if timed_out else _verdict(self._drained(running))
        running.close()
        return verdict

    def kill(self, running: Running) -> Verdict:
        """End *running* from outside."""
        signal.pidfd_send_signal(running.pidfd, signal.SIGKILL)
        return self.finish(running)

    def close(self) -> int:
        """End the zygote and everything with it; return its exit status."""
        self.selector.close()
        self._control.close()
        for walls in self._walls.values():
            walls.close()
        return self._zygote.wait()

    def _fork(self, walls: Confinement) -> Running:
        ours, theirs = socket.socketpair()
        log, their_log = os.pipe()
        socket.send_fds(self._control, [b"fork"], [theirs.fileno(), their_log, walls.ruleset_fd])
        theirs.close()
        os.close(their_log)
        reply, descriptors, _, _ = socket.recv_fds(self._control, 4096, 1)
        running = Running(json.loads(reply)["pid"], descriptors[0], ours, log)
        self._running[running.pid] = running
        return running

    def _hello(self, running: Running) -> dict[str, Any]:
        header = running.channel.recv(_HEADER.size, socket.MSG_WAITALL)
        if len(header) < _HEADER.size:
            raise RuntimeError(f"not confined: {os.read(running.log, 4096).decode()}")
        (length,) = _HEADER.unpack(header)
        message: dict[str, Any] = json.loads(running.channel.recv(length, socket.MSG_WAITALL))
        return message

    def _watch(self, running: Running) -> None:
        def read_channel(_: object) -> None:
            part = running.channel.recv(1 << 16)
            running.received += part
            if not part:
                self.selector.unregister(running.channel)

        def read_log(_: object) -> None:
            part = os.read(running.log, 1 << 16)
            running.logged = (running.logged + part)[-65536:]
            if not part:
                self.selector.unregister(running.log)

        self.selector.register(running.channel, selectors.EVENT_READ, read_channel)
        self.selector.register(running.log, selectors.EVENT_READ, read_log)

    def _drained(self, running: Running) -> Running:
        """Read what is left: the process is gone, so both ends are closed."""
        watched = self.selector.get_map()
        while running.channel in watched or running.log in watched:
            for fileobj in (running.channel, running.log):
                if fileobj in watched:
                    key = self.selector.get_key(fileobj)
                    key.data(fileobj)
        return running

    def _ended(self, _: object) -> None:
        message = json.loads(self._control.recv(4096))
        self._running.pop(message["pid"]).status = message["status"]


def _send(channel: socket.socket, message: Mapping[str, Any]) -> None:
    body = json.dumps(message).encode()
    channel.sendall(_HEADER.pack(len(body)) + body)


def _verdict(running: Running) -> Verdict:
    log = running.logged.decode(errors="replace")
    status = running.status or 0
    if status < 0:
        return Verdict("killed", signal=signal.Signals(-status).name, log=log)
    if len(running.received) < _HEADER.size:
        return Verdict("exit", status=status, log=log)
    report = json.loads(running.received[_HEADER.size :])
    if report["kind"] == "value":
        return Verdict("value", value=report["value"], log=log)
    number = report["errno"]
    return Verdict(
        "error",
        exceptions=tuple(report["exceptions"]),
        errno=errno.errorcode.get(number, str(number)),
        message=report["message"],
        log=log,
    )
