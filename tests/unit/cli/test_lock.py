"""``nxkernel plugins lock``: nothing is recorded that nobody agreed to."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from nxkernel.plugins.lockfile import read_lock
from tests.unit.cli.conftest import run, write_plugin


@pytest.fixture
def locked(plugins: Path) -> Path:
    """A folder of plugins with a lockfile that fits."""
    assert run("plugins", "lock", plugins, "--yes").code == 0
    return plugins


def test_without_yes_nothing_is_written(plugins: Path) -> None:
    """Where nobody can be asked, the changes are shown and the exit code is 1."""
    shown = run("plugins", "lock", plugins)
    assert shown.code == 1
    assert "  + hello.shout: plugin 0.1.0" in shown.out.splitlines()
    assert "--yes accepts the changes" in shown.err
    assert not (plugins / "nxkernel.lock").exists()


def test_yes_writes_what_was_shown(plugins: Path) -> None:
    """The lockfile is valid, beside the plugins, and names each file."""
    shown = run("plugins", "lock", plugins, "--yes", "--json")
    assert shown.code == 0
    assert shown.data["written"] is True
    (entry,) = read_lock(plugins / "nxkernel.lock").plugins.values()
    assert sorted(entry.files) == ["plugin.json", "plugin.py"]
    assert shown.data["plugins"][0]["tree"] == entry.tree


def test_requested_permissions_are_shown_as_grants(plugins: Path) -> None:
    """Who accepts the lockfile has seen what it allows."""
    asked = {"network": ["tcp:443"], "read": ["{media_dir}"]}
    write_plugin(plugins / "net", "hello.net", permissions=asked, requires=["store"])
    lines = run("plugins", "lock", plugins, "--yes").out.splitlines()
    assert "  + hello.net: network tcp:443" in lines
    assert "  = hello.net 0.1.0 may: read {media_dir}; network tcp:443; calls store" in lines
    assert "  = hello.shout 0.1.0 may: nothing beyond the default policy" in lines
    grant = read_lock(plugins / "nxkernel.lock").plugins["hello.net"].grant
    assert (grant.read, grant.network, grant.calls) == (("{media_dir}",), ("tcp:443",), ("store",))


def test_a_second_lock_changes_nothing(locked: Path) -> None:
    """The same plugins give the same bytes, and need no ``--yes``."""
    before = (locked / "nxkernel.lock").read_bytes()
    shown = run("plugins", "lock", locked)
    assert shown.code == 0
    assert "no changes" in shown.err
    assert (locked / "nxkernel.lock").read_bytes() == before


def test_check_holds_to_the_lockfile(locked: Path) -> None:
    """An edited file is ``lock.mismatch``, with the file and the command that accepts it."""
    assert run("plugins", "lock", locked, "--check").code == 0
    before = (locked / "nxkernel.lock").read_bytes()
    (locked / "shout" / "plugin.py").write_text("print('other')\n")
    shown = run("plugins", "lock", locked, "--check")
    assert shown.code == 4
    assert "[lock.mismatch]" in shown.err
    assert "hello.shout: file plugin.py changed" in shown.err
    assert f"`nxkernel plugins lock {locked} --yes` accepts it" in shown.err
    found = run("plugins", "lock", locked, "--check", "--json")
    assert found.code == 4
    assert found.data["error"]["code"] == "lock.mismatch"
    assert (locked / "nxkernel.lock").read_bytes() == before


def test_check_without_a_lockfile_is_an_integrity_failure(plugins: Path) -> None:
    """CI does not pass because a file was forgotten."""
    shown = run("plugins", "lock", plugins, "--check")
    assert shown.code == 4
    assert "[lock.invalid]" in shown.err


def test_check_and_yes_exclude_each_other(plugins: Path) -> None:
    """One looks, the other writes."""
    assert run("plugins", "lock", plugins, "--check", "--yes").code == 2


def test_a_grant_that_was_narrowed_stays_narrow(plugins: Path) -> None:
    """Locking again does not give back what somebody took away."""
    manifest = {"permissions": {"network": ["tcp:443", "tcp:80"]}}
    write_plugin(plugins / "net", "hello.net", **manifest)
    run("plugins", "lock", plugins, "--yes")
    lockfile = plugins / "nxkernel.lock"
    lockfile.write_text(lockfile.read_text().replace('["tcp:443", "tcp:80"]', '["tcp:443"]'))
    (plugins / "net" / "notes.txt").write_text("a new file")
    assert run("plugins", "lock", plugins, "--yes").code == 0
    assert read_lock(lockfile).plugins["hello.net"].grant.network == ("tcp:443",)


def test_a_lockfile_that_cannot_be_read_can_be_replaced(locked: Path) -> None:
    """A broken lockfile counts for nothing, says so, and is replaced with ``--yes``."""
    (locked / "nxkernel.lock").write_text("not toml [")
    shown = run("plugins", "lock", locked, "--yes")
    assert shown.code == 0
    assert "the old lockfile counts for nothing" in shown.err
    assert tomllib.loads((locked / "nxkernel.lock").read_text())["schema_version"] == 1


def test_a_broken_plugin_stops_it(plugins: Path) -> None:
    """What cannot be read cannot be accepted."""
    write_plugin(plugins / "odd", "hello.odd", colour="red")
    shown = run("plugins", "lock", plugins, "--yes")
    assert shown.code == 1
    assert "[manifest.invalid]" in shown.err
    assert not (plugins / "nxkernel.lock").exists()


def test_the_lockfile_of_one_plugin_stands_beside_it(plugins: Path) -> None:
    """Inside of the plugin's folder it would be one of the files that it records."""
    run("plugins", "lock", plugins / "shout", "--yes")
    assert (plugins / "nxkernel.lock").is_file()
    assert run("plugins", "lock", plugins / "shout", "--check").code == 0


def test_the_lockfile_may_stand_elsewhere(plugins: Path, tmp_path: Path) -> None:
    """``--lockfile`` is read and written, and is part of the advice."""
    other = tmp_path / "other.lock"
    assert run("plugins", "lock", plugins, "--lockfile", other, "--yes").code == 0
    assert other.is_file()
    (plugins / "shout" / "more.py").write_text("")
    shown = run("plugins", "lock", plugins, "--lockfile", other, "--check")
    assert f"--lockfile {other} --yes` accepts it" in shown.err
