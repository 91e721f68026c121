"""The handle on the zygote: what it is given, and what is said when it does not start."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

import pytest

from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.host.workers import Exit
from nxkernel.host.zygote import Profile, Zygote
from tests.support.descriptors import open_files

#: Answers as a zygote does, reports one exit, and ends with its control socket.
READY = """
import os, socket, struct
control = socket.socket(fileno=3)
control.recv(65536)
control.send(b"ready")
os.write(4, struct.pack("<ii", 77, 9))
while control.recv(100):
    control.send(b"no process")
"""


def profile(tmp_path: Path, code: str) -> Profile:
    script = tmp_path / "bootstrap.py"
    script.write_text(code)
    return Profile(
        python=Path(sys.executable), bootstrap=script, sys_path=(), environment={"PYTHONUTF8": "1"}
    )


def test_an_interpreter_that_fails_is_quoted(tmp_path: Path) -> None:
    """Its last line says what to mend; nothing of it stays."""
    before = open_files()
    with pytest.raises(KernelConfigError, match="ImportError: no module of ours"):
        Zygote(profile(tmp_path, "raise ImportError('no module of ours')"))
    assert open_files() == before


def test_an_interpreter_that_says_nothing_is_told_so(tmp_path: Path) -> None:
    """Silence is an answer too."""
    with pytest.raises(KernelConfigError, match="said: nothing"):
        Zygote(profile(tmp_path, "raise SystemExit(3)"))


def test_a_zygote_gets_no_environment_but_its_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the embedder's environment is inherited."""
    monkeypatch.setenv("SECRET", "of the embedder")
    code = "import os; raise SystemExit(str(sorted(set(os.environ) - {'LC_CTYPE'})))"
    with pytest.raises(KernelConfigError, match=r"\['PYTHONUTF8'\]"):
        Zygote(profile(tmp_path, code))


@pytest.mark.parametrize("opened", [0, 190, 195, 196, 197, 198, 199, 200])
def test_any_number_of_files_may_be_open(tmp_path: Path, opened: int) -> None:
    """Whatever numbers its two descriptors have in the host, they arrive where they belong."""
    held = []
    while opened and (fd := os.open(os.devnull, os.O_RDONLY)) < opened:
        held.append(fd)
    if opened:
        held.append(fd)
    try:
        zygote = Zygote(profile(tmp_path, READY))
        poll = select.poll()
        poll.register(zygote.exits_fd, select.POLLIN)
        assert poll.poll(20_000)
        assert zygote.exits() == [(77, Exit.of(-9))]
        zygote.end()
        assert zygote.exits() == []
        assert zygote.gone
        zygote.close()
    finally:
        for each in held:
            os.close(each)


def test_a_zygote_that_is_gone_starts_no_worker(tmp_path: Path) -> None:
    """An answer without a process, or none at all, is an error that says so."""
    zygote = Zygote(profile(tmp_path, READY))
    with pytest.raises(SandboxUnavailable, match="zygote is gone"):
        zygote.spawn([0], with_ruleset=False)
    zygote.end()
    with pytest.raises(SandboxUnavailable, match="zygote is gone"):
        zygote.spawn([0], with_ruleset=False)
    zygote.close()


#: Answers a request that was given up before it answers the one that it got.
LATE = """
import os, signal, socket, struct
control = socket.socket(fileno=3)
control.recv(65536)
control.send(b"ready")

def child():
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    return pid, os.pidfd_open(pid)

number, _, _ = struct.unpack("<I?I", control.recv(100))
pids = []
for answered in (number - 1, number):
    pid, pidfd = child()
    pids.append(pid)
    socket.send_fds(control, [struct.pack("<Ii", answered, pid)], [pidfd])
_, status = os.waitpid(pids[0], 0)
os.write(4, struct.pack("<Ii", number, status))
control.recv(100)
os.kill(pids[1], signal.SIGKILL)
"""


def test_an_interrupted_request_leaves_no_answer_to_the_next(tmp_path: Path) -> None:
    """An answer that comes late is not taken for another worker; its worker is ended."""
    zygote = Zygote(profile(tmp_path, LATE))
    spawned = zygote.spawn([0], with_ruleset=False)
    poll = select.poll()
    poll.register(zygote.exits_fd, select.POLLIN)
    assert poll.poll(20_000)
    assert zygote.exits() == [(spawned.number, Exit.of(-signal.SIGKILL))]
    spawned.close()
    zygote.end()
    zygote.close()
