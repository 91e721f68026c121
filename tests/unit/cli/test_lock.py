"""``nxkernel plugins lock``: nothing is recorded that nobody agreed to."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from nxkernel.plugins.lockfile import read_lock
from tests.support.distributions import install
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


def test_programs_devices_and_limits_are_shown_and_recorded(plugins: Path) -> None:
    """Nothing that a manifest asks for is missing from what is accepted."""
    asked = {"exec": ["/usr/bin/ffmpeg"], "gpu": True}
    limits = {"memory_mb": 2048, "cpu_seconds_per_call": 1.5}
    write_plugin(plugins / "film", "hello.film", permissions=asked, limits=limits)
    shown = run("plugins", "lock", plugins, "--yes")
    lines = shown.out.splitlines()
    assert "  + hello.film: limit memory_mb = 2048" in lines
    assert "  = hello.film 0.1.0 may: exec /usr/bin/ffmpeg; devices gpu" in lines
    told = "cpu_seconds_per_call 1.5; memory_mb 2048"
    assert f"    hello.film 0.1.0 asks for limits: {told}" in lines
    entry = read_lock(plugins / "nxkernel.lock").plugins["hello.film"]
    assert (entry.grant.exec, entry.grant.devices) == (("/usr/bin/ffmpeg",), ("gpu",))
    assert entry.limits == limits
    listed = run("plugins", "lock", plugins, "--json").data["plugins"]
    assert [each["limits"] for each in listed if each["id"] == "hello.film"] == [limits]


def test_a_lockfile_of_before_lacks_the_limits(plugins: Path) -> None:
    """It still holds, and what is not recorded is a difference that can be accepted."""
    write_plugin(plugins / "film", "hello.film", limits={"memory_mb": 2048})
    run("plugins", "lock", plugins, "--yes")
    lockfile = plugins / "nxkernel.lock"
    text = lockfile.read_text()
    part = '[plugins."hello.film".limits]\nmemory_mb = 2048\n'
    assert part in text
    lockfile.write_text(text.replace(part, ""))
    assert read_lock(lockfile).plugins["hello.film"].limits == {}
    assert "+ hello.film: limit memory_mb = 2048" in run("plugins", "lock", plugins).out


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


APP = """\
from pathlib import Path
import nxkernel as nx

def kernel(data="{data}"):
    return nx.Kernel(
        "hello", specs=[], run=nx.Run.create(data), plugins=[], middleware=[],
        sandbox=nx.Sandbox(require="{level}"),
        hosting=nx.Hosting(
            retries={retries}, environment={{"TOKEN": "secret"}}, environments=Path("{data}/envs")
        ),
    )

class Other:
    def __enter__(self): return self
    def __exit__(self, *_): pass
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what writes an application and names it anew each time."""
    monkeypatch.syspath_prepend(tmp_path)
    numbers = itertools.count()

    def write(level: str = "confined", retries: int = 1) -> str:
        name = f"lockapp{next(numbers)}"
        text = APP.format(data=tmp_path / "data", level=level, retries=retries)
        (tmp_path / f"{name}.py").write_text(text)
        return f"{name}:kernel"

    return write


def test_an_applications_level_and_hosting_are_recorded(
    plugins: Path, app: Callable[..., str]
) -> None:
    """Where it is named; nothing of it is started, and the values of its environment stay out."""
    shown = run("plugins", "lock", plugins, "--app", app(), "--yes")
    assert shown.code == 0
    assert "  + hello.shout: sandbox confined" in shown.out.splitlines()
    assert "it runs at level confined or a stronger one" in shown.out
    (entry,) = read_lock(plugins / "nxkernel.lock").plugins.values()
    assert entry.sandbox == "confined"
    assert (entry.hosting["retries"], entry.hosting["environment"]) == (1, "TOKEN")
    assert "secret" not in (plugins / "nxkernel.lock").read_text()
    assert run("plugins", "lock", plugins, "--check").code == 0, "what was recorded stays"


def test_drift_of_the_application_is_found(plugins: Path, app: Callable[..., str]) -> None:
    """Its level and its options, each in words, and with the command that accepts it."""
    run("plugins", "lock", plugins, "--app", app(), "--yes")
    other = app("process", 3)
    shown = run("plugins", "lock", plugins, "--app", other, "--check")
    assert shown.code == 4
    assert "  ~ hello.shout: hosting retries = 1 to 3" in shown.out.splitlines()
    assert "  ~ hello.shout: sandbox confined to process" in shown.out.splitlines()
    assert f"--app {other} --yes` accepts it" in shown.err


def test_without_an_application_it_is_said_what_is_not_held(plugins: Path) -> None:
    """Nobody takes a lockfile for more than it is."""
    shown = run("plugins", "lock", plugins, "--yes")
    assert (
        "    hello.shout 0.1.0 its libraries are the application's, and not held; level and "
        "hosting options are not held (--app names the application)"
    ) in shown.out.splitlines()
    (entry,) = read_lock(plugins / "nxkernel.lock").plugins.values()
    assert (entry.dependencies, entry.sandbox, entry.hosting) == ("application", None, {})


def test_an_application_that_makes_no_kernel_is_a_usage_error(
    plugins: Path, app: Callable[..., str]
) -> None:
    """What would have to be opened is not asked."""
    name = app().replace(":kernel", ":Other")
    shown = run("plugins", "lock", plugins, "--app", name)
    assert shown.code == 2
    assert "made no Kernel" in shown.err


def test_environments_are_looked_for_where_the_application_keeps_them(
    plugins: Path, app: Callable[..., str], tmp_path: Path
) -> None:
    """Not in the user's own folder alone: the command in the message says where."""
    write_plugin(plugins / "own", "hello.own", environment={"requirements": ["six==1.17.0"]})
    for options, where in (
        (("--app", app()), tmp_path / "data" / "envs"),
        (("--environments", tmp_path / "there"), tmp_path / "there"),
    ):
        shown = run("plugins", "lock", plugins, *options)
        assert "[environment.missing]" in shown.err
        assert f"/{where.parent.name}/{where.name}`" in shown.err


def test_installed_plugins_are_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every file of their distributions; a change of one is found."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    package = install(site, group="app.plugins")
    lockfile = tmp_path / "nxkernel.lock"
    command = ["plugins", "lock", "--installed", "--group", "app.plugins", "--lockfile", lockfile]
    assert run(*command, "--yes").code == 0
    (entry,) = read_lock(lockfile).plugins.values()
    assert {"shiny/core.py", "shiny_helper.py", "shiny-1.0.dist-info/METADATA"} <= set(entry.files)
    assert not any(path.endswith(("RECORD", "INSTALLER")) for path in entry.files)
    assert run(*command, "--check").code == 0
    (package / "core.py").write_text("")
    shown = run(*command, "--check")
    assert shown.code == 4
    assert "shiny: file shiny/core.py changed" in shown.err
    assert "`nxkernel plugins lock --installed --group app.plugins" in shown.err


def test_without_a_folder_there_must_be_a_reason() -> None:
    """Nobody locks nothing."""
    shown = run("plugins", "lock")
    assert shown.code == 2
    assert "give --installed" in shown.err
