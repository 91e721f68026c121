"""``nxkernel doctor`` on reports of machines that we do not have."""

from __future__ import annotations

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
    shown = run("doctor")
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
    shown = run("doctor")
    assert shown.out.splitlines()[3].endswith(f"{seen}  {word}")
    assert shown.code == (0 if word != "NOT AS PROMISED" else 5)
