"""`plugins quarantined` and `plugins release`."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.kernel.quarantine import QuarantineRecord, quarantines
from tests.support.calls import FakeClock
from tests.unit.cli.conftest import run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with two plugins in quarantine."""
    clock = FakeClock()
    QuarantineRecord(tmp_path, "b.two", "sha256:00", clock).write(None)
    QuarantineRecord(tmp_path, "a.one", "sha256:00", clock).write(60.0)
    return tmp_path


def test_they_are_listed(data: Path) -> None:
    """With the time at which each is tried again."""
    assert [line.split()[0] for line in run("plugins", "quarantined", data).out.splitlines()] == [
        *("id", "a.one", "b.two")
    ]
    shown = run("plugins", "quarantined", data, "--json")
    assert (shown.code, [row["plugin"] for row in shown.data["plugins"]]) == (0, ["a.one", "b.two"])
    assert [row["until_ns"] for row in shown.data["plugins"]] == [1060 * 10**9, None]


def test_a_release_lifts_one(data: Path) -> None:
    """The other one stays where it is."""
    shown = run("plugins", "release", "a.one", data)
    assert (shown.code, shown.out) == (0, "a.one is released: its next call starts a worker\n")
    assert [entry.plugin for entry in quarantines(data)] == ["b.two"]


def test_nothing_to_release_is_a_failure(data: Path) -> None:
    """A typing error must not look like a success."""
    shown = run("plugins", "release", "c.three", data)
    assert (shown.code, shown.out) == (1, "")
    assert "c.three is not in quarantine" in shown.err
    assert run("plugins", "release", "c.three", data, "--json").data["released"] is False


def test_the_current_folder_is_meant_where_none_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for the other commands about a data directory."""
    monkeypatch.chdir(data)
    assert run("plugins", "release", "b.two", "--json").data == {
        "schema_version": 1,
        "ok": True,
        "plugin": "b.two",
        "released": True,
    }
