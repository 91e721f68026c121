"""``nxkernel doctor`` on reports of machines that we do not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel.kernel.probe as probe_module
from nxkernel.kernel.probe import Axis, ProbeReport
from tests.unit.cli.conftest import run

AXIS = Axis(
    name="read.passwd",
    mechanism="landlock",
    tried="read /etc/passwd",
    seen="EACCES",
    expected=("EACCES",),
    promised=True,
)


def machine(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    """Let the probe report *facts*."""

    def probe(level: str) -> ProbeReport:
        given: dict[str, Any] = {"ok": True, "axes": (AXIS,), "machine": {"system": "Linux"}}
        return ProbeReport(level=level, **{**given, **facts})

    monkeypatch.setattr(probe_module, "probe", probe)


def test_a_level_that_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each axis is a row with what was tried and what it met."""
    machine(monkeypatch)
    shown = run("doctor", "--level", "confined")
    assert shown.code == 0
    lines = [line.split() for line in shown.out.splitlines()]
    assert lines[0] == ["level", "confined:", "holds"]
    row = ["read.passwd", "landlock", "read", "/etc/passwd", "EACCES", "ok"]
    assert row in lines
    assert ["system", "Linux"] in lines


def test_a_level_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 5, the missing guarantee, and what to do."""
    machine(monkeypatch, ok=False, axes=(), missing="no Landlock here", next_step="upgrade")
    shown = run("doctor", "--level", "isolated")
    assert shown.code == 5
    assert "level isolated: CANNOT BE HAD HERE" in shown.out
    assert "error [sandbox.unavailable]: no Landlock here" in shown.err
    assert "  next: upgrade" in shown.err
    data = run("doctor", "--json").data
    assert data["ok"] is False
    assert data["error"]["code"] == "sandbox.unavailable"
    assert data["machine"] == {"system": "Linux"}


@pytest.mark.parametrize(
    ("seen", "promised", "word"),
    [
        ("EACCES", True, "ok"),
        ("EACCES", False, "ok, not promised"),
        ("went through", True, "NOT AS PROMISED"),
        ("went through", False, "not promised"),
    ],
)
def test_each_axis_has_a_verdict(
    monkeypatch: pytest.MonkeyPatch, seen: str, promised: bool, word: str
) -> None:
    """What was not promised is shown and not counted; a broken promise stands out."""

    axis = attrs.evolve(AXIS, seen=seen, promised=promised)
    machine(monkeypatch, axes=(axis,), ok=axis.denied or not promised)
    shown = run("doctor", "--level", "confined")
    assert shown.out.splitlines()[3].endswith(f"{seen}  {word}")
    assert shown.code == (0 if word != "NOT AS PROMISED" else 5)


APP = """\
import nxkernel as nx

run = nx.Run.create({data!r})
hosting = nx.Hosting(inproc_allowlist={allowed!r})


def build():
    return nx.Kernel("p", specs=[], run=run, middleware=[], hosting=hosting)
"""


@pytest.mark.parametrize("allowed", [{}, {"hello.shout": "stepping through greet"}])
def test_plugins_that_nothing_holds_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, allowed: dict[str, str]
) -> None:
    """The in-process allowlist of an application is shown with its reasons; nothing is booted."""
    machine(monkeypatch)
    module = f"doctored_{len(allowed)}"
    (tmp_path / f"{module}.py").write_text(APP.format(data=str(tmp_path / "data"), allowed=allowed))
    monkeypatch.chdir(tmp_path)
    shown = run("doctor", "--app", f"{module}:build")
    told = "NOTHING HOLDS hello.shout, which runs in the host's process: stepping through greet"
    expected = told if allowed else "no plugin runs in the host's process"
    assert f"{module}:build: {expected}\n" in shown.out
    assert run("doctor", "--app", f"{module}:build", "--json").data["inproc"] == allowed


def levels(monkeypatch: pytest.MonkeyPatch, *held: str) -> None:
    """Let a machine give the levels *held* and no other."""

    def probe(level: str) -> ProbeReport:
        facts: dict[str, Any] = {"axes": (AXIS,), "machine": {"system": "Linux"}}
        if level in held:
            return ProbeReport(level=level, ok=True, **facts)
        lack = {"missing": f"{level} lacks namespaces", "guarantee": "namespaces", "errno": 1}
        return ProbeReport(level=level, ok=False, next_step="allow them", **lack, **facts)

    monkeypatch.setattr(probe_module, "probe", probe)


def test_without_a_level_all_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which levels can be had, the best of them, and why the others cannot."""
    levels(monkeypatch, "confined", "process")
    shown = run("doctor")
    assert shown.code == 0
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["isolated", "cannot", "be", "had", "isolated", "lacks", "namespaces"] in lines
    assert ["confined", "holds"] in lines
    assert "best level here: confined; demanded by default: confined" in shown.out
    data = run("doctor", "--json").data
    assert data["best"] == data["level"] == "confined"
    assert [each["ok"] for each in data["levels"]] == [False, True, True]
    assert data["levels"][0] == {
        "level": "isolated",
        "ok": False,
        "guarantee": "namespaces",
        "errno": 1,
        "missing": "isolated lacks namespaces",
        "next_step": "allow them",
    }


def test_without_the_demanded_level_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weaker level is shown and is no success."""
    levels(monkeypatch, "process")
    shown = run("doctor", "--json")
    assert (shown.code, shown.data["best"]) == (5, "process")
    levels(monkeypatch)
    assert "best level here: none" in run("doctor").out


def test_warnings_are_told_and_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a level holds without is said beside its axes."""
    machine(monkeypatch, warnings=("no control group",))
    shown = run("doctor", "--level", "confined")
    assert shown.code == 0
    assert "warning: no control group" in shown.err
