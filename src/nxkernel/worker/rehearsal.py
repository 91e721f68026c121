"""A rehearsal of a start and a first call, with a plugin of our own that does nothing.

The interpreter writes into what it runs: it counts, makes quicker what it has run often, and
remembers where it found each attribute. Done here, once, that is shared by all workers; and a spare
worker that rehearses has copied the pages that it will need before anybody waits for it.

Nothing stays behind: no guard is put up, no wall is built, no file is read.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

from nxkernel import _linux
from nxkernel._canonical import encode
from nxkernel._hookimpls import find_hookimpls
from nxkernel._wire import VERSION, Confine, Fence, Guard, Hello, Invoke, Ping, Setup, Stop, pack
from nxkernel.hookspecs import HookimplMarker
from nxkernel.worker import outfit
from nxkernel.worker.chance import Chance
from nxkernel.worker.denials import Fence as Walls
from nxkernel.worker.denials import Lookout
from nxkernel.worker.loader import construct
from nxkernel.worker.pipe import Pipe
from nxkernel.worker.runner import Runner

__all__ = ["rehearse"]

_PROJECT = "nxkernel.rehearsal"
_KEY = bytes(32)
_marked = HookimplMarker(_PROJECT)


class _Part:
    """A plugin as they come, in a class."""

    @_marked
    def nothing(self, value: object) -> object:
        """Return *value*."""
        return value


_SETUP = Setup(
    plugin=_PROJECT,
    project=_PROJECT,
    entrypoint="plugin:Plugin",
    code_dir="/",
    settings=encode({}),
    run_dir="/",
    write_roots=[],
    import_seed=_KEY,
    run_started_ns=0,
    max_payload=1 << 20,
    api_dir="",
    fence=Fence([], [], [], False),
    output_mb=None,
    guard=Guard("off", "off", "off", False),
)


def rehearse(times: int) -> None:
    """Rehearse *times* starts."""
    before = signal.getsignal(signal.SIGINT)
    try:
        for _ in range(times):
            _start()
    finally:
        signal.signal(signal.SIGINT, before)


def _start() -> None:
    if sys.platform == "linux":
        _linux.syscall("getppid")  # a worker's first one would find C's library again
    frames = _frames()
    pipe = Pipe(read=lambda _: next(frames), write=len)
    pipe.receive()
    outfit.enter_environment(dict(os.environ))
    pipe.send(Hello(version=VERSION, witnessed={"list /": "EACCES"}))
    setup = pipe.receive()
    assert isinstance(setup, Setup)
    lookout = Lookout(Walls(level="process", read=("/",)))
    chance = Chance(setup.guard, code_dir=setup.code_dir, import_seed=setup.import_seed)
    runner = Runner(pipe, setup, {}, lookout, chance)
    with runner.watched(False):
        impls = find_hookimpls(setup.project, construct(_Part, runner.context))
    runner.serve(impls)


def _frames() -> Iterator[bytes]:
    """What a host would say."""
    yield pack(
        Confine(
            version=VERSION,
            level="process",
            program=b"",
            limits={"NOFILE": (1, 1)},
            environment={},
            run_dir="/",
        )
    )
    yield pack(_SETUP)
    payload = encode({"value": {"id": "", "box": [0]}})
    yield pack(Invoke(seq=1, impl="nothing", phase="call", payload=payload, seed=_KEY))
    yield pack(Ping(seq=2))
    yield pack(Stop())
