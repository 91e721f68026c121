"""Children: every end is heard once, by epoll and by threads alike, whoever collects them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from nxkernel._system import BSD, Children, System
from nxkernel._system.linux import LINUX
from tests.support.descriptors import open_files

ECHO = [sys.executable, "-S", "-c", "import sys; sys.exit(int(sys.stdin.readline()))"]
FENCE_S = 60.0


@pytest.fixture(params=[LINUX, BSD], ids=lambda system: system.name)
def children(request: pytest.FixtureRequest) -> Iterator[Children]:
    system: System = request.param
    descriptors, threads = open_files(), set(threading.enumerate())
    made = system.children()
    yield made
    made.finish()
    made.ended()
    made.close()
    assert open_files() == descriptors
    assert set(threading.enumerate()) <= threads


def start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(ECHO, stdin=subprocess.PIPE)


def tell(child: subprocess.Popen[bytes], status: int) -> None:
    assert child.stdin is not None
    child.stdin.write(b"%d\n" % status)
    child.stdin.close()


def heard(children: Children, count: int = 1) -> list[tuple[int, int | None]]:
    """Wait until *count* ends were heard."""
    found: list[tuple[int, int | None]] = []
    while len(found) < count:
        assert LINUX.poll([], children.fd, FENCE_S)
        found += children.ended()
    return found


def quiet(children: Children) -> bool:
    return children.ended() == [] and not LINUX.poll([], children.fd, 0)


def test_each_end_is_heard_once_with_its_code(children: Children) -> None:
    """In any order, and none of those that live."""
    started = [start() for _ in range(3)]
    held = [children.adopt(child, {}) for child in started]
    assert quiet(children)
    tell(started[1], 3)
    assert heard(children) == [(held[1].number, 3)]
    assert held[1].has_ended()
    assert not held[0].has_ended()
    held[0].kill()
    tell_nobody(started[0])
    tell(started[2], 0)
    assert sorted(heard(children, 2)) == [(held[0].number, -9), (held[2].number, 0)]
    assert quiet(children)
    for process in held:
        process.kill()
        process.terminate()
        process.close()


def test_an_end_before_it_was_adopted_is_heard_too(children: Children) -> None:
    """A child may be over before anybody watches it."""
    child = start()
    tell(child, 7)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    process = children.adopt(child, {})
    process.close()
    assert heard(children) == [(process.number, 7)]


def test_a_child_that_another_collected_has_ended(children: Children) -> None:
    """How is not known then; guessing would put a lie on record."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        child = start()
        process = children.adopt(child, {})
        tell(child, 7)
        assert heard(children) == [(process.number, None)]
    finally:
        signal.signal(signal.SIGCHLD, before)
    process.kill()
    process.close()


def test_the_end_is_asked_for_gently(children: Children) -> None:
    """SIGTERM is the step before the last."""
    child = start()
    process = children.adopt(child, {})
    process.terminate()
    assert heard(children) == [(process.number, -signal.SIGTERM)]
    tell_nobody(child)
    process.close()


def test_finishing_ends_and_collects_the_rest(children: Children) -> None:
    """No child is left, not even as a zombie, and their ends can still be heard."""
    started = [start() for _ in range(3)]
    held = [children.adopt(child, {}) for child in started]
    children.finish()
    assert sorted(children.ended()) == [(process.number, -9) for process in held]
    for child, process in zip(started, held, strict=True):
        tell_nobody(child)
        process.close()
        with pytest.raises(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)


def tell_nobody(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.close()


@pytest.mark.parametrize("system", [LINUX, BSD], ids=lambda system: system.name)
def test_a_forked_process_lets_go_without_a_word(system: System) -> None:
    """The children are not its own: it neither ends them nor keeps what they were watched by."""
    children = system.children()
    child = start()
    process = children.adopt(child, {})
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            children.abandon()
            process.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    tell(child, 5)
    assert heard(children) == [(process.number, 5)]
    process.close()
    children.close()
