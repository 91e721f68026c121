"""The cage's zygote: forks a child for each request, which confines itself as a worker does.

It runs as `python -m tests.escapes.zygote` with its control socket as standard input. A request is
one packet with the child's descriptors: channel, log, ruleset. Replies are packets of JSON with
`pid` (and a pidfd) when a child was made, with `pid` and `status` when it ended. Nothing of an
attempt goes through here: it travels on the child's own channel, after the walls are up.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

from nxkernel.worker.confine import confine, drop_bounding_set, self_test

CONTROL, CHANNEL = 0, 3
_RULESET, _FREE = 4, 100
_HEADER = struct.Struct(">I")


def serve() -> None:
    """Fork on request until the host goes away."""
    control = socket.socket(fileno=CONTROL)
    drop_bounding_set()
    gc.freeze()
    children: dict[int, int] = {}
    poll = select.poll()
    poll.register(control.fileno(), select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in children:
                poll.unregister(descriptor)
                _report_end(control, descriptor, children.pop(descriptor))
            else:
                pidfd, pid = _make_child(control)
                children[pidfd] = pid
                poll.register(pidfd, select.POLLIN)


def _make_child(control: socket.socket) -> tuple[int, int]:
    request, descriptors, _, _ = socket.recv_fds(control, 16, 3)
    if not request:
        os._exit(0)
    zygote = os.getpid()
    pid = os.fork()
    if pid == 0:
        control.detach()
        _become_child(descriptors, zygote)
    for descriptor in descriptors:
        os.close(descriptor)
    pidfd = os.pidfd_open(pid)
    socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [pidfd])
    return pidfd, pid


def _report_end(control: socket.socket, pidfd: int, pid: int) -> None:
    os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    control.send(json.dumps({"pid": pid, "status": os.waitstatus_to_exitcode(status)}).encode())


def _become_child(descriptors: list[int], zygote: int) -> NoReturn:
    status = 70
    try:
        _lay_out(*descriptors)
        send({"witnessed": _confine(receive(), zygote)})
        _attempt(receive())
        status = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def _confine(walls: dict[str, Any], zygote: int) -> dict[str, str]:
    if walls["program"] is None:  # the counter-check: the same attempts, without walls
        os.close(_RULESET)
        return {}
    confine(_RULESET, bytes.fromhex(walls["program"]), walls["limits"], parent=zygote)
    return self_test()


def _lay_out(channel: int, log: int, ruleset: int) -> None:
    """Place the descriptors, close the rest, and reset what a fork inherits."""
    null = os.open("/dev/null", os.O_RDWR)
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, _FREE) for fd in (null, log, log, channel, ruleset)]
    for target, source in enumerate(high):
        os.dup2(source, target)
    os.closerange(_RULESET + 1, 1 << 16)
    # SIGPIPE stays ignored, as everywhere in Python: a closed pipe is a BrokenPipeError.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _attempt(order: dict[str, Any]) -> None:
    facts = order["facts"]
    os.environ.clear()
    os.environ["TMPDIR"] = facts["w"]
    os.chdir(facts["w"])
    sys.argv[:] = ["worker"]
    sys.path[:] = [facts["r"], *facts["library"]]
    sys.dont_write_bytecode = True
    namespace: dict[str, Any] = {"__name__": "plugin", "H": facts}
    report = _run(order["code"], namespace)
    send(report)


def _run(code: str, namespace: dict[str, Any]) -> dict[str, Any]:
    try:
        exec(compile(code, "<attempt>", "exec"), namespace)
        return {"kind": "value", "value": repr(namespace.get("out"))}
    except BaseException as error:
        number = getattr(error, "errno", None)
        classes = [cls.__name__ for cls in type(error).__mro__]
        # An attempt on memory must not leave too little of it to say what came of it.
        namespace.clear()
        return {"kind": "error", "exceptions": classes, "errno": number, "message": _text(error)}


def _text(error: BaseException) -> str:
    with contextlib.suppress(Exception):
        return str(error)[:500]
    return "no message"


def receive() -> dict[str, Any]:
    """Read one frame from the channel; an end of file ends this process."""
    (length,) = _HEADER.unpack(_exactly(_HEADER.size))
    message: dict[str, Any] = json.loads(_exactly(length))
    return message


def _exactly(length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = os.read(CHANNEL, length - len(data))
        if not part:
            os._exit(0)
        data += part
    return data


def send(message: dict[str, Any]) -> None:
    """Write one frame to the channel."""
    body = json.dumps(message).encode()
    data = _HEADER.pack(len(body)) + body
    while data:
        data = data[os.write(CHANNEL, data) :]


if __name__ == "__main__":
    serve()
