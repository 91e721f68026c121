"""A debugger in a confined worker: attach from another terminal, look, go on."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.kernel.debugging import attach, socket_path
from tests.process.conftest import Opens
from tests.support.descriptors import open_files
from tests.support.dialogue import Dialogue
from tests.support.zoo import Zoo, allow, code_of, events, eventually, patient

#: Shorter than any person, and than any test: it must not apply.
HASTE = nx.Hosting(debug="resides", timeout_s=0.2)


@pytest.fixture
def zoo(open_zoo: Opens, capfd: pytest.CaptureFixture[str]) -> Zoo:
    rules = allow("resides", "echo", "act")
    return open_zoo(patient, "resides", "inspects", "sleeps", hosting=HASTE, rules=rules)


@pytest.fixture
def caller(zoo: Zoo) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool
        zoo.kernel.close()  # else a call of a test that failed would wait at its prompt


@pytest.fixture
def terminal(zoo: Zoo) -> Iterator[Dialogue]:
    """``nxkernel plugins debug resides`` on a terminal."""
    data = zoo.kernel.run.data_dir
    with Dialogue("-m", "nxkernel_cli", "plugins", "debug", "resides", data) as dialogue:
        dialogue.expect("attached to resides; Ctrl-] detaches\r\n")
        yield dialogue


def begin(caller: ThreadPoolExecutor, zoo: Zoo, *value: Any) -> Future[nx.Outcome]:
    """Call the plugin in a thread: it will take as long as a person does."""
    return caller.submit(zoo.act, "resides", list(value), timeout=0.2)


def test_person_attaches_looks_and_goes_on(
    zoo: Zoo, caller: ThreadPoolExecutor, terminal: Dialogue
) -> None:
    """It stops at the first line of the first call; ``where``, ``p`` and ``c`` do what they do."""
    call = begin(caller, zoo, "mutate", [1])
    assert ")act()" in terminal.expect("plugin resides: stopped", "(Pdb) ")
    assert "-> what, *rest = value" in terminal.ask("where")
    assert terminal.ask("p value") == "['mutate', [1]]\r\n"
    assert not call.done()
    terminal.type("c\n")
    assert call.result().value == [1, "mine"]
    # Later calls do not stop by themselves.
    assert zoo.answers("resides")


def test_breakpoints_hold_for_later_calls(
    zoo: Zoo, caller: ThreadPoolExecutor, terminal: Dialogue
) -> None:
    """One that was set in the first call stops the second, and so does ``breakpoint()``."""
    first = begin(caller, zoo, "where")
    terminal.expect("(Pdb) ")
    assert "Breakpoint 1 at" in terminal.ask("b helper.fail")
    terminal.type("c\n")
    assert first.result().ok
    second = begin(caller, zoo, "raise")
    assert "fail()" in terminal.expect("(Pdb) ")
    terminal.type("c\n")
    terminal.expect("post-mortem of LookupError", "fail()", "(Pdb) ")
    terminal.type("c\n")
    assert code_of(second.result()) == "plugin.raised"
    third = begin(caller, zoo, "break")
    terminal.expect("_break()", "(Pdb) ")
    assert terminal.ask("p answer") == "42\r\n"
    terminal.ask("answer = 43")
    terminal.type("c\n")
    assert third.result().value == 43


def test_worker_stays_confined(zoo: Zoo, caller: ThreadPoolExecutor, terminal: Dialogue) -> None:
    """Whoever types there may do what the plugin may, and nothing else."""
    call = begin(caller, zoo, "where")
    terminal.expect("(Pdb) ")
    assert "PermissionError" in terminal.ask("open('/etc/passwd')")
    assert "PermissionError" in terminal.ask("__import__('os').fork()")
    typed = "__import__('fcntl').ioctl(0, __import__('termios').TIOCSTI, b'x')"
    assert "OSError" in terminal.ask(typed)
    terminal.type("c\n")
    assert call.result().ok


def test_ctrl_c_stops_a_busy_plugin(
    zoo: Zoo, caller: ThreadPoolExecutor, terminal: Dialogue
) -> None:
    """An interrupt opens the prompt where the plugin is; it costs neither call nor worker."""
    call = begin(caller, zoo, "spin")
    terminal.expect("(Pdb) ")
    terminal.type("c\n")
    eventually(lambda: "spinning" in zoo.log("resides"), "the plugin is busy")
    terminal.type("\x03")
    terminal.expect("_spin()", "(Pdb) ")
    terminal.ask("self.spinning = False")
    terminal.type("c\n")
    assert call.result().value == "stopped"


def test_quitting_ends_the_call_alone(
    zoo: Zoo, caller: ThreadPoolExecutor, terminal: Dialogue
) -> None:
    """``q`` is an exception in the plugin: the call fails, the worker lives."""
    call = begin(caller, zoo, "where")
    terminal.expect("(Pdb) ")
    terminal.type("q\n")
    error = call.result().error
    assert error is not None
    assert (error.code, error.message) == ("plugin.raised", "BdbQuit")
    assert zoo.answers("resides")
    assert zoo.kernel.plugins["resides"].starts == 1


def test_detaching_leaves_the_plugin_where_it_is(
    zoo: Zoo, caller: ThreadPoolExecutor, terminal: Dialogue
) -> None:
    """Ctrl-] ends the program and restores the terminal; who attaches again sees the prompt."""
    call = begin(caller, zoo, "where")
    terminal.expect("(Pdb) ")
    terminal.type("\x1d")
    assert terminal.end() == 0
    assert terminal.is_restored()
    data = zoo.kernel.run.data_dir
    with Dialogue("-m", "nxkernel_cli", "plugins", "debug", "resides", data) as again:
        again.expect("stopped at a call", "(Pdb) ")
        again.type("c\n")
        assert call.result().ok


def test_terminal_outlives_workers_and_editions(
    zoo: Zoo, caller: ThreadPoolExecutor, terminal: Dialogue
) -> None:
    """A new worker after a death, and a new edition beside the old one, stop at the same prompt."""
    changes = (lambda: kill_worker(zoo), lambda: zoo.kernel.reload("resides"), lambda: None)
    for change in changes:
        call = begin(caller, zoo, "mutate", [])
        terminal.expect("stopped at a call", "(Pdb) ")
        assert terminal.ask("p value") == "['mutate', []]\r\n"
        terminal.type("c\n")
        assert call.result().ok
        change()


def kill_worker(zoo: Zoo) -> None:
    pid = zoo.kernel.plugins["resides"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: zoo.kernel.plugins["resides"].pid != pid, "its end was noticed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_terminal_is_restored_when_the_program_is_ended(
    terminal: Dialogue, number: signal.Signals
) -> None:
    """Raw mode does not outlive the program."""
    eventually(lambda: not terminal.is_restored(), "the terminal is in raw mode")
    terminal.signal(number)
    assert terminal.end() == 128 + number
    assert terminal.is_restored()


def test_end_of_the_host_ends_the_program(zoo: Zoo, terminal: Dialogue) -> None:
    """Nobody is left at a dead prompt; nothing of socket or thread remains."""
    path = socket_path(zoo.kernel.run.dir, "resides")
    zoo.kernel.close()
    assert terminal.end() == 0
    assert terminal.is_restored()
    assert not path.exists()


def test_plugin_cannot_steer_the_terminal(
    zoo: Zoo, caller: ThreadPoolExecutor, terminal: Dialogue
) -> None:
    """Escape sequences are shown, not obeyed."""
    call = begin(caller, zoo, "where")
    terminal.expect("(Pdb) ")
    assert "\\x1b]0;owned\\x07" in terminal.ask("!__import__('os').write(0, b'\\x1b]0;owned\\x07')")
    terminal.type("c\n")
    assert call.result().ok


def test_it_is_said_loudly(zoo: Zoo, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard error names plugin and command, the audit what is suspended."""
    told = capfd.readouterr().err
    assert "nxkernel: DEBUGGING resides: no deadline and no limit of time applies to it." in told
    assert f"nxkernel plugins debug resides {zoo.kernel.run.data_dir}\n" in told
    (event,) = events(zoo.kernel.run, "hosting.debug")
    assert event.plugin == "resides"
    assert event.data == {
        "suspended": ["cpu_seconds_per_call", "deadline", "ping", "start_timeout_s"]
    }


def test_socket_is_the_users_alone(zoo: Zoo) -> None:
    """Mode 0600 in a folder of mode 0700; a second terminal is told that there is a first one."""
    path = socket_path(zoo.kernel.run.dir, "resides")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    data = zoo.kernel.run.data_dir
    with attach(data, "resides"), attach(data, "resides") as second:
        assert second.recv(100) == b"another terminal is attached\r\n"
        assert second.recv(100) == b""


def test_other_users_are_refused(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one who got past the modes: the host asks the kernel who is there."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with attach(zoo.kernel.run.data_dir, "resides") as stranger:
        assert stranger.recv(100) == b""


def test_other_plugins_have_no_terminal(zoo: Zoo) -> None:
    """Their standard input is /dev/null, and their deadlines hold."""
    assert zoo.act("inspects").value["terminal"] is False
    slow = zoo.act("sleeps", 3600, timeout=0.2)
    assert code_of(slow) == "plugin.timeout"


def test_nobody_debugs_is_an_error(zoo: Zoo) -> None:
    """It says what the application has to do."""
    with pytest.raises(nx.StorageError, match=r"nobody debugs 'sleeps' in run r000001: compose"):
        attach(zoo.kernel.run.data_dir, "sleeps")


@pytest.mark.parametrize(
    ("hosting", "message"),
    [
        (nx.Hosting(debug="print"), "Hosting(debug=): no plugin 'print' was found; found: prints"),
        (
            nx.Hosting(debug="prints", inproc_allowlist={"prints": "to debug it"}),
            "Hosting(debug=) and Hosting(inproc_allowlist=) both name 'prints'",
        ),
        (nx.Hosting(debug_here=True), "Hosting(debug_here=True) needs debug="),
        (nx.Hosting(debug="prints", launcher="spawn"), "Hosting(debug=) needs Linux and its zyg"),
    ],
    ids=["unknown", "twice", "nobody", "spawn"],
)
def test_what_cannot_be_debugged_stops_the_boot(
    confinement: None, tmp_path: Path, hosting: nx.Hosting, message: str
) -> None:
    """A mistake is not a silent run without a debugger."""
    sandbox = nx.Sandbox(require="process")
    kernel = patient(tmp_path, "prints", hosting=hosting, sandbox=sandbox)
    with pytest.raises(nx.KernelConfigError, match=re.escape(message)), kernel:
        pass


def test_sockets_are_closed_with_the_kernel(confinement: None, tmp_path: Path) -> None:
    """Pty, socket and thread end with the kernel, also when nobody attached and nobody called."""
    before = open_files()
    with patient(tmp_path, "resides", hosting=HASTE):
        assert len(open_files()) > len(before)
    assert open_files() == before


def test_the_hosts_own_terminal(confinement: None, tmp_path: Path) -> None:
    """A program that is run by hand can have the prompt where it was started."""
    with Dialogue("-m", "tests.support.embedder", "debug_here", tmp_path / "data") as program:
        program.expect("nxkernel: DEBUGGING resides", "its debugger speaks here", "(Pdb) ")
        assert program.ask("p value") == "['break']\r\n"
        program.type("c\n")
        program.expect("_break()", "(Pdb) ")
        program.ask("answer = 43")
        program.type("c\n")
        program.expect('{"value": 43}')
        assert program.end() == 0
        assert program.is_restored()


def test_a_service_has_no_terminal_of_its_own(confinement: None, tmp_path: Path) -> None:
    """Asking for it there stops the boot, with the other way."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.embedder", "debug_here", tmp_path / "data"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert done.returncode == 1
    assert "[kernel.config] Hosting(debug_here=True): this process has no terminal" in done.stderr
