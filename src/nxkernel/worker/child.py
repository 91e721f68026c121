"""The first steps of a worker after the fork: descriptors, confinement, the plugin, the loop.

The order is the argument: nothing of the plugin is read before the process is confined and has
said so (``Hello``), and the confinement itself is the last thing that needs privileges.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import NoReturn

from nxkernel._canonical import decode, encode
from nxkernel._wire import EXIT_CONFINE, VERSION, Confine, Hello, Refused, Setup
from nxkernel.errors import NxError
from nxkernel.worker.confine import confine, restrict, self_test
from nxkernel.worker.guards import install_file_shims
from nxkernel.worker.pipe import COMMAND_FD, RESULT_FD, HostGone, Pipe

__all__ = ["main"]

#: Where the ruleset's descriptor is put.
RULESET_FD = 5


def main(fds: list[int], *, with_ruleset: bool, parent: int) -> NoReturn:
    """Become a worker; never returns.

    *fds*: command pipe to read, result pipe to write, log pipe to write, and the Landlock ruleset
    if there is one. *parent*: the zygote's pid, taken before the fork.
    """
    status = EXIT_CONFINE
    try:
        _lay_out(fds, with_ruleset)
        _reset_signals()
        pipe = Pipe()
        _lock_in(pipe, RULESET_FD if with_ruleset else -1, parent)
        gc.enable()
        status = _serve(pipe)
    except HostGone:
        status = 0
    except BaseException as error:
        # The log pipe is the only place left to say why.
        os.write(2, f"worker: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))
    finally:
        _flush()
        os._exit(status)


def _lay_out(fds: list[int], with_ruleset: bool) -> None:
    """Put the descriptors where they belong and close every other one."""
    command, result, log = fds[:3]
    moved = [os.dup(fd) for fd in (command, result, log, *fds[3:])]
    # dup() gives the lowest free number: lift all above the final ones before overwriting those.
    high = [_lift(fd) for fd in moved]
    null = _lift(os.open("/dev/null", os.O_RDWR))
    for source, target in ((null, 0), (high[2], 1), (high[2], 2)):
        os.dup2(source, target)
    os.dup2(high[0], COMMAND_FD)
    os.dup2(high[1], RESULT_FD)
    if with_ruleset:
        os.dup2(high[3], RULESET_FD)
    os.closerange(RULESET_FD + 1 if with_ruleset else RULESET_FD, 1 << 20)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _lift(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


def _reset_signals() -> None:
    # SIGPIPE stays ignored, as Python has it: a closed pipe is a BrokenPipeError, not a death.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _lock_in(pipe: Pipe, ruleset: int, parent: int) -> None:
    message = pipe.receive()
    if not isinstance(message, Confine) or message.version != VERSION:
        raise NxError(f"expected Confine of protocol version {VERSION}")
    os.environ.clear()
    os.environ.update(message.environment)
    os.chdir(message.run_dir)
    confined = message.level in ("confined", "isolated")
    if confined and (ruleset < 0 or not message.program):
        raise NxError(f"level {message.level} came without its ruleset or its filter")
    if confined:
        confine(ruleset, message.program, message.limits, parent=parent)
    else:
        restrict(message.limits, parent=parent)
    witnessed = self_test() if confined else {}
    pipe.send(Hello(version=VERSION, witnessed=witnessed))


def _serve(pipe: Pipe) -> int:
    from nxkernel.worker.failure import describe
    from nxkernel.worker.loader import load
    from nxkernel.worker.runner import Runner

    message = pipe.receive()
    if not isinstance(message, Setup):
        raise NxError("expected Setup")
    install_file_shims(message.write_roots)
    runner = Runner(pipe, message, decode(message.settings))
    try:
        impls = load(message, runner.context)
    except BaseException as error:
        failure = describe(error, message)
        pipe.send(
            Refused(
                code=getattr(error, "code", "plugin.start"),
                message=failure.message,
                details=encode(failure.details),
            )
        )
        return 0
    runner.serve(impls)
    return 0


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            continue
