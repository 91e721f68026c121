"""The second half of a worker's start: the confined process loads its plugin and serves it."""

from __future__ import annotations

from collections.abc import Callable

from nxkernel._canonical import encode, read
from nxkernel._wire import Compiled, Refused, Setup
from nxkernel.errors import NxError
from nxkernel.worker.arena import Arena
from nxkernel.worker.chance import Chance
from nxkernel.worker.compiled import compile_ahead
from nxkernel.worker.denials import Fence, Lookout
from nxkernel.worker.failure import describe
from nxkernel.worker.loader import load
from nxkernel.worker.outfit import file_shims
from nxkernel.worker.pipe import Pipe
from nxkernel.worker.runner import Runner
from nxkernel.worker.template import NURSERY_FD, Template

__all__ = ["serve"]


def serve(pipe: Pipe, level: str, debugged: bool, arena: tuple[int, ...]) -> int:
    """Load the plugin that the host names, serve its calls, and return an exit status.

    *level*: that of this process. *debugged*: standard input is the terminal of a debugger.
    *arena*: its two descriptors, or none.
    """
    message = _setup(pipe, arena)
    file_shims().cover(message.write_roots)
    lookout = Lookout(_fence(message, level))
    chance = Chance(message.guard, code_dir=message.code_dir, import_seed=message.import_seed)
    # A template has its nursery there: what its calls are given would be theirs together.
    shared = Arena(*arena) if arena and message.call_filter is None else None
    runner = Runner(pipe, message, read(message.settings), lookout, chance, shared)
    lookout.install()
    chance.install()
    if debugged:
        from nxkernel.worker.debugger import install

        runner.watched = install(message.plugin, 0).watched
    try:
        # Before anything of the plugin runs here: what is compiled is what its sources say.
        fresh = compile_ahead(message.code_dir, message.compile, _teller(pipe))
        with runner.watched(False):
            impls = load(message, runner.context, fresh)
        if message.call_filter is not None:
            runner.template = Template(runner, message.call_filter)
            runner.template.settle()
    except BaseException as error:
        runner.tell(0, error)
        pipe.send(_refusal(error, message))
        return 0
    runner.serve(impls)
    return 0


def _setup(pipe: Pipe, arena: tuple[int, ...]) -> Setup:
    """Receive what is to be served."""
    message = pipe.receive()
    if not isinstance(message, Setup):
        raise NxError("expected Setup")
    if message.call_filter is not None and NURSERY_FD not in arena:
        raise NxError("a template came without its nursery")
    return message


def _refusal(error: BaseException, setup: Setup) -> Refused:
    """What is said of a plugin that cannot be served."""
    failure = describe(error, setup)
    return Refused(
        code=error.code if isinstance(error, NxError) else "plugin.start",
        message=failure.message,
        details=encode(failure.details),
    )


def _teller(pipe: Pipe) -> Callable[[str, bytes], None]:
    return lambda path, data: pipe.send(Compiled(path=path, data=data))


def _fence(setup: Setup, level: str) -> Fence:
    told = setup.fence
    return Fence(
        level=level,
        read=tuple(told.read),
        write=tuple(setup.write_roots),
        connect=frozenset(told.connect),
        listen=frozenset(told.listen),
        processes=told.processes,
    )
