"""``nxkernel plugins list``, ``check`` and ``info`` on folders of files."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from nxkernel.plugins.discovery import discover
from nxkernel_cli.determinism import project_of
from tests.unit.cli.conftest import run, write_plugin

SETTINGS = {"schema": {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}}}


def test_list_shows_sound_and_broken_plugins(plugins: Path) -> None:
    """A broken manifest is a row with its code, and its reason is on standard error."""
    write_plugin(plugins / "odd", "hello.odd", colour="red")
    shown = run("plugins", "list", plugins)
    assert shown.code == 0
    rows = {line.split()[0]: line.split()[-1] for line in shown.out.splitlines()[1:]}
    assert rows == {"hello.odd": "[manifest.invalid]", "hello.shout": "ok"}
    assert "odd/plugin.json: " in shown.err


def test_list_shows_what_is_asked_for(plugins: Path) -> None:
    """Who looks at the list sees the permissions before anything runs."""
    write_plugin(
        plugins / "net",
        "hello.net",
        permissions={"network": ["tcp:443"], "read": ["{media_dir}"], "exec": ["/bin/sh"]},
        requires=["store"],
    )
    rows = run("plugins", "list", plugins, "--json").data["plugins"]
    (row,) = [row for row in rows if row["id"] == "hello.net"]
    assert row["permissions"] == {
        "read": ["{media_dir}"],
        "network": ["tcp:443"],
        "calls": ["store"],
        "exec": ["/bin/sh"],
    }
    assert "network tcp:443" in run("plugins", "list", plugins).out


def test_list_of_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    """A folder that is not there is not an empty folder."""
    shown = run("plugins", "list", tmp_path / "nowhere")
    assert shown.code == 2
    assert "no such folder" in shown.err


def test_check_passes_a_sound_plugin(plugins: Path) -> None:
    """What is in order is said to be in order."""
    shown = run("plugins", "check", plugins)
    assert (shown.code, shown.out, shown.err) == (0, "ok    hello.shout\n", "")


def test_check_names_every_kind_of_problem(plugins: Path) -> None:
    """Manifest, settings, files and dependencies are each looked at."""
    write_plugin(plugins / "manifest", "hello.manifest", colour="red")
    needy = {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}}}
    write_plugin(plugins / "settings", "hello.settings", settings={"schema": needy})
    link = write_plugin(plugins / "link", "hello.link") / "link"
    os.symlink("/etc/passwd", link)
    write_plugin(plugins / "lonely", "hello.lonely", depends_on=["hello.nobody"])
    shown = run("plugins", "check", plugins, "--json")
    assert shown.code == 1
    assert {row["id"]: [e["code"] for e in row["errors"]] for row in shown.data["plugins"]} == {
        "hello.link": ["plugin.disabled"],
        "hello.lonely": ["plugin.disabled"],
        "hello.manifest": ["manifest.invalid"],
        "hello.settings": ["settings.invalid"],
        "hello.shout": [],
    }
    lines = run("plugins", "check", plugins).out.splitlines()
    assert [line.split()[0] for line in lines] == ["wrong", "wrong", "wrong", "wrong", "ok"]


def test_check_of_an_empty_folder_says_what_a_plugin_is(tmp_path: Path) -> None:
    """No plugin is no failure, but no silence either."""
    shown = run("plugins", "check", tmp_path)
    assert shown.code == 0
    assert "no plugin found" in shown.err


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('h = nx.HookimplMarker("hello")', "hello"),
        ("h = HookimplMarker( 'my-app' )", "my-app"),
        ("h = None", None),
        ('a = HookimplMarker("a")\nb = HookimplMarker("b")', None),
    ],
)
def test_the_project_is_read_from_the_code(code: str, found: str | None, tmp_path: Path) -> None:
    """One project in the code is taken; none or several need ``--project``."""
    write_plugin(tmp_path / "p", "hello.p", code)
    (tmp_path / "p" / "test_p.py").write_text('HookimplMarker("of.a.test")')
    (candidate,) = discover(tmp_path)
    if found is not None:
        assert project_of(candidate) == found
        return
    with pytest.raises(click.UsageError, match="--project"):
        project_of(candidate)


def test_info_says_everything_that_files_say(plugins: Path) -> None:
    """Hooks, permissions and the digest of every file."""
    shown = run("plugins", "info", "hello.shout", plugins, "--json").data["plugin"]
    assert shown["hooks"] == ["greet"]
    assert shown["tree"].startswith("sha256:")
    assert sorted(shown["files"]) == ["plugin.json", "plugin.py"]
    text = run("plugins", "info", "hello.shout", plugins).out
    assert f"tree          {shown['tree']}" in text.splitlines()


def test_info_of_an_unknown_plugin_names_the_known_ones(plugins: Path) -> None:
    """A wrong id is a usage error."""
    shown = run("plugins", "info", "hello.nobody", plugins)
    assert shown.code == 2
    assert "found: hello.shout" in shown.err


def test_info_of_a_broken_plugin_is_its_error(plugins: Path) -> None:
    """There is nothing to tell of a plugin whose manifest cannot be read."""
    write_plugin(plugins / "odd", "hello.odd", colour="red")
    shown = run("plugins", "info", "hello.odd", plugins)
    assert shown.code == 1
    assert shown.err.startswith("error [manifest.invalid]: ")
