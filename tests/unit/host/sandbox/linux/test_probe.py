"""Probes really try, elsewhere than in this process, and say what failed."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from nxkernel import _linux
from nxkernel.host.sandbox.linux import landlock, probe


def test_landlock_holds_here() -> None:
    """The ABI that the probe reports is the one of this kernel."""
    assert probe.landlock_abi() == probe.Probe(name="landlock", ok=True, value=landlock.abi())


def test_seccomp_holds_here() -> None:
    """A filter was loaded and refused something."""
    assert probe.seccomp_available() == probe.Probe(name="seccomp", ok=True, value=1)


def test_this_process_is_not_touched() -> None:
    """A probe restricts whoever runs it: never the host."""
    before = _linux.status_fields()
    probe.landlock_abi()
    probe.seccomp_available()
    after = _linux.status_fields()
    for field in ("NoNewPrivs", "Seccomp", "CapEff"):
        assert after[field] == before[field]


@pytest.mark.parametrize("name", ["landlock", "seccomp"])
def test_refused_call_is_reported_with_its_errno(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Where a container refuses the calls, the probe says which one and how."""
    broken = tmp_path / "_linux.py"
    source = Path(_linux.__file__).read_text()
    broken.write_text(
        source
        + "\ndef syscall(name, *args):\n    raise OSError(1, 'Operation not permitted', name)\n"
        + "def prctl(option, argument=0):\n    return 0\n"
    )
    monkeypatch.setattr(probe, "_LINUX", str(broken))
    found = probe._try(name)
    assert (found.ok, found.value, found.errno) == (False, 0, errno.EPERM)
    assert "not permitted" in found.detail


@pytest.mark.parametrize("name", ["landlock", "seccomp"])
def test_accepted_and_without_effect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """A kernel that says yes and does nothing is not believed."""
    hollow = tmp_path / "_linux.py"
    source = Path(_linux.__file__).read_text()
    hollow.write_text(
        source
        + "\ndef syscall(name, *args):\n    return 7\n"
        + "def prctl(option, argument=0):\n    return 0\n"
    )
    monkeypatch.setattr(probe, "_LINUX", str(hollow))
    found = probe._try(name)
    assert not found.ok
    assert "accepted, but" in found.detail


def test_probe_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """No interpreter, no guarantee: reported, not raised."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = probe.landlock_abi()
    assert (found.ok, found.errno) == (False, errno.ENOENT)


@pytest.mark.parametrize("names", [("LD_LIBRARY_PATH",), ()], ids=["set", "unset"])
def test_interpreter_whose_library_the_loader_has_to_find(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: tuple[str, ...]
) -> None:
    """A probe's interpreter finds its library where this process found it, and no more is told."""
    said, python = tmp_path / "environment", tmp_path / "python"
    python.write_text(f'#!/bin/sh\nenv > "{said}"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    for name in names:
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NX_HOST_SECRET", "the environment of the host is private")
    monkeypatch.setattr(sys, "executable", str(python))
    assert probe.seccomp_available().ok
    told = {line.partition("=")[0] for line in said.read_text().splitlines()}
    assert told - {"PWD", "OLDPWD", "SHLVL", "_"} == set(names), "those four are the shell's"


def test_unknown_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the calls have other numbers nothing is tried."""
    monkeypatch.setattr(probe, "unsupported_machine", lambda: "no table of system calls")
    assert probe.seccomp_available().detail == "no table of system calls"
