"""Starting one worker: what is opened is closed, whatever goes wrong."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from nxkernel._system import Process
from nxkernel._system.linux import PidfdProcess
from nxkernel._wire import Confine, Inbox, unpack_from_host
from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.host.launch import Launch, setup, start
from nxkernel.host.logs import LogTail
from nxkernel.host.workers import Worker
from nxkernel.host.zygote import Profile
from tests.support.descriptors import open_files


@attrs.frozen
class Confinement:
    ruleset_fd: int = -1
    program: bytes = b"12345678"
    root: None = None
    limits: Mapping[str, tuple[int, int]] = attrs.field(factory=lambda: {"AS": (1, 2)})


PROFILE = Profile(
    python=Path("/python"), bootstrap=Path("/bootstrap.py"), sys_path=(), environment={}
)
LAUNCH = Launch(
    profile=PROFILE,
    level="confined",
    confinement=Confinement(),
    environment={"TZ": "UTC"},
    run_dir="/run/p",
    max_frame=1000,
)


class Zygote:
    """Spawns nothing; keeps copies of what a worker would get."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.given: list[int] = []
        self.with_ruleset = False

    def spawn(self, fds: Sequence[int], *, with_ruleset: bool, tasks: int = 0) -> Process:
        if self.error is not None:
            raise self.error
        self.given, self.with_ruleset = [os.dup(fd) for fd in fds], with_ruleset
        return PidfdProcess(1234, -1)


def run(zygote: Zygote, launch: Launch = LAUNCH) -> Worker:
    return start(zygote, launch, LogTail(10), 3)  # type: ignore[arg-type]


def test_a_worker_is_told_to_confine_itself_first() -> None:
    """The first message holds the confinement and nothing of the plugin."""
    before, zygote = open_files(), Zygote()
    worker = run(zygote)
    inbox = Inbox(1000)
    inbox.feed(os.read(zygote.given[0], 1000))
    body = inbox.next()
    assert body is not None
    assert unpack_from_host(body) == Confine(
        1, "confined", b"12345678", {"AS": (1, 2)}, {"TZ": "UTC"}, "/run/p"
    )
    assert inbox.next() is None
    assert (worker.pid, worker.generation, worker.level) == (1234, 3, "confined")
    worker.channel.close()
    for fd in (*zygote.given, worker.log_fd):
        os.close(fd)
    assert open_files() == before


def test_the_ruleset_is_passed_and_kept() -> None:
    """The descriptor goes along; the host's own stays open for the next worker."""
    ruleset = os.open(os.devnull, os.O_RDONLY)
    zygote = Zygote()
    worker = run(zygote, attrs.evolve(LAUNCH, confinement=Confinement(ruleset_fd=ruleset)))
    assert (len(zygote.given), zygote.with_ruleset) == (6, True)
    os.fstat(ruleset)
    worker.channel.close()
    for fd in (*zygote.given, worker.log_fd, ruleset):
        os.close(fd)


def test_a_zygote_that_is_gone_leaves_no_pipe() -> None:
    """The error goes on, the six ends of the pipes do not stay."""
    before = open_files()
    with pytest.raises(SandboxUnavailable, match="gone"):
        run(Zygote(SandboxUnavailable("gone")))
    assert open_files() == before


def test_a_worker_is_given_what_the_host_sends_for_reading_alone() -> None:
    """The host writes through a descriptor that it keeps; what it lent is closed on its side."""
    before, zygote = open_files(), Zygote()
    worker = run(zygote)
    down, up = zygote.given[3:5]
    modes = [fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE for fd in (down, up)]
    assert modes == [os.O_RDONLY, os.O_RDWR]
    worker.channel.close()
    for fd in (*zygote.given, worker.log_fd):
        os.close(fd)
    assert open_files() == before


@pytest.mark.parametrize("name", ["memory_file", "read_only"])
def test_an_arena_that_cannot_be_made_leaves_nothing_open(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the worker start without it: the error says what to do."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(f"nxkernel.host.launch.{name}", refuse)
    before = open_files()
    with pytest.raises(SandboxUnavailable, match="raise the limit of open files"):
        run(Zygote())
    assert open_files() == before


@pytest.mark.parametrize("possible", [0, 1, 2])
def test_too_many_open_files_are_an_error_with_a_next_step(
    possible: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a bare OSError out of a call, and no leak of the pipes that could be made."""
    pipe, left = os.pipe, iter(range(possible))

    def limited() -> tuple[int, int]:
        if next(left, None) is None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return pipe()

    before = open_files()
    monkeypatch.setattr(os, "pipe", limited)
    with pytest.raises(SandboxUnavailable, match="raise the limit of open files"):
        run(Zygote())
    assert open_files() == before


def test_a_probe_has_nothing_to_load() -> None:
    """Asking for its Setup is a mistake of the host."""
    with pytest.raises(KernelConfigError):
        setup(LAUNCH)


def test_a_template_is_asked_for_and_has_no_terminal() -> None:
    """A terminal belongs to one process: a plugin that is debugged answers its calls itself."""
    template = attrs.evolve(LAUNCH, call_filter=b"filter")
    assert not LAUNCH.forks_calls
    assert template.forks_calls
    assert attrs.evolve(LAUNCH, call_filter=b"").forks_calls, "there are no walls"
    assert not attrs.evolve(template, terminal_fd=3).forks_calls
