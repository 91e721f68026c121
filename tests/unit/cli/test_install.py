"""`plugins install`: what it builds, says, and how it fails."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nxkernel.plugins.environments.interpreters import here
from nxkernel.plugins.lockfile import read_lock
from nxkernel.types import PluginId
from tests.support.wheels import offline, write_wheel
from tests.unit.cli.conftest import run, write_plugin


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, and installers that know nothing else."""
    folder = tmp_path / "wheels"
    write_wheel(folder, "sample", "1.0")
    for name, value in offline(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_it_builds_what_manifests_ask_for(tmp_path: Path, wheels: Path) -> None:
    """One command makes plugins ready to run; the second time it keeps what is there."""
    plugins = tmp_path / "plugins"
    write_plugin(plugins / "plain", "p.plain")
    write_plugin(plugins / "own", "p.own", environment={"requirements": ["sample"]})
    first = run("plugins", "install", plugins, "--tool", "pip", "--json")
    assert first.code == 0
    (row,) = first.data["plugins"]
    assert (row["id"], row["built"]) == ("p.own", True)
    assert [(d["name"], d["version"]) for d in row["distributions"]] == [("sample", "1.0")]
    assert Path(row["folder"]).is_relative_to(tmp_path / "cache" / "nxkernel")
    again = run("plugins", "install", plugins, "--tool", "pip")
    assert (again.code, again.out.split()[:2]) == (0, ["kept", "p.own:"])
    info = run("plugins", "info", "p.own", plugins, "--json")
    assert info.data["plugin"]["environment"]["installed"]["digest"] == row["digest"]
    assert "sample" in run("plugins", "list", plugins).out


def test_one_that_fails_keeps_no_other_from_being_installed(tmp_path: Path, wheels: Path) -> None:
    """The exit code says that something failed, the lines say what."""
    plugins = tmp_path / "plugins"
    write_plugin(plugins / "a", "p.a", environment={"requirements": ["absent"]})
    write_plugin(plugins / "b", "p.b", environment={"requirements": ["sample"]})
    ran = run("plugins", "install", plugins, "--tool", "pip")
    assert ran.code == 1
    assert "failed p.a: [environment.unresolved]" in ran.out
    assert "built  p.b" in ran.out


def test_there_may_be_nothing_to_do(tmp_path: Path) -> None:
    """Plugins without an environment of their own need no installing."""
    write_plugin(tmp_path / "plugins" / "plain", "p.plain")
    ran = run("plugins", "install", tmp_path / "plugins")
    assert (ran.code, ran.out) == (0, "")
    assert "nothing to do" in ran.err


def test_the_lockfile_records_which_libraries_a_plugin_runs_with(
    tmp_path: Path, wheels: Path
) -> None:
    """What is reviewed with the plugin's files are its libraries too, each by its digest."""
    plugins = tmp_path / "plugins"
    write_plugin(plugins / "own", "p.own", environment={"requirements": ["sample"]})
    before = run("plugins", "lock", plugins, "--yes")
    assert before.code == 1
    assert "error [environment.missing]" in before.err
    installed = run("plugins", "install", plugins, "--tool", "pip", "--json").data["plugins"][0]
    assert run("plugins", "lock", plugins, "--yes").code == 0
    entry = read_lock(plugins / "nxkernel.lock").plugins[PluginId("p.own")]
    assert entry.environments == {here().abi: installed["digest"]}
    assert run("plugins", "lock", plugins, "--check").code == 0
    write_wheel(wheels, "sample", "1.0", **{"more.py": ""})
    shutil.rmtree(tmp_path / "cache" / "nxkernel" / "environments" / "records")
    assert run("plugins", "install", plugins, "--tool", "pip").code == 0
    drift = run("plugins", "lock", plugins, "--check")
    assert drift.code == 4
    assert f"p.own: environment {here().abi} changed" in drift.err
