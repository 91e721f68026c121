"""``nxkernel plugins info --settings``: values, who gave them, and no secret."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import nxkernel as nx
from tests.unit.cli.conftest import run, write_plugin

CANARY = "hunter2-hunter2"
SETTINGS = {
    "schema": {
        "properties": {
            "n": {"type": "integer", "default": 3},
            "words": {"type": "array", "items": {"type": "string"}},
            "token": {"type": "string", "writeOnly": True, "default": CANARY},
        }
    }
}


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder with the plugin ``hello.set``."""
    write_plugin(tmp_path / "plugins" / "set", "hello.set", settings=SETTINGS)
    return tmp_path / "plugins"


def test_each_setting_has_its_source(
    plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and the variable are named, as the application would read them."""
    file = tmp_path / "app.toml"
    file.write_text('[plugins."hello.set"]\nwords = ["a", "b"]\nn = 4')
    monkeypatch.setenv("HELLO__HELLO_SET__N", "5")
    words = ["--settings-file", file, "--settings-table", "plugins", "--env-prefix", "HELLO"]
    shown = run("plugins", "info", "hello.set", plugins, "--settings", *words)
    digest = shown.out.split()[3]
    assert shown.out == (
        "id      hello.set\n"
        f"digest  {digest}\n"
        "\n"
        "setting  value       source       from\n"
        "/n       5           environment  HELLO__HELLO_SET__N\n"
        "/token   ********    schema\n"
        '/words   ["a", "b"]  file         app.toml\n'
    )
    found = run("plugins", "info", "hello.set", plugins, "--settings", "--json", *words).data
    assert found["plugin"]["digest"] == digest
    assert found["plugin"]["settings"] == {"n": 5, "token": "********", "words": ["a", "b"]}
    assert found["plugin"]["entries"][1] == {
        "path": "/token",
        "value": "********",
        "source": "schema",
        "origin": "",
        "secret": True,
    }


def test_a_default_that_is_a_secret_is_nowhere(plugins: Path) -> None:
    """Neither among the values nor in the schema beside them."""
    found = run("plugins", "info", "hello.set", plugins, "--settings", "--json")
    assert found.data["plugin"]["schema"]["properties"]["token"]["default"] == "********"
    assert CANARY not in found.out + found.err


def test_settings_that_are_wrong_are_the_plugins_error(plugins: Path, tmp_path: Path) -> None:
    """As the kernel would say it; what was given is not repeated."""
    file = tmp_path / "app.toml"
    file.write_text(f'["hello.set"]\ntoken = ["{CANARY}"]')
    words = ("plugins", "info", "hello.set", plugins, "--settings", "--settings-file", file)
    shown = run(*words)
    assert shown.code == 1
    assert shown.err.startswith(
        "error [settings.invalid]: hello.set: settings.token: expected string, got array "
        "(from app.toml)\n"
    )
    assert CANARY not in shown.err + run(*words, "--json").out


class FakeApp:
    """An application with the plugin, as an object and as a context manager."""

    def __init__(self, plugins: Path, data: Path) -> None:
        run = nx.Run.create(data, seed=1)
        settings = {"hello.set": {"n": 7, "token": CANARY}}
        self.kernel = nx.Kernel(
            "hello",
            specs=[],
            run=run,
            plugins=nx.discover(plugins),
            middleware=[],
            settings=settings,
        )

    @contextmanager
    def managed(self) -> Any:
        yield self.kernel


@pytest.mark.parametrize("name", ["kernel", "managed"])
def test_an_application_shows_what_it_gives(
    plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its kernel is not booted for that, and needs no folder on the command line."""
    module: Any = ModuleType("theapp")
    module.app = FakeApp(plugins, tmp_path / "data")
    monkeypatch.setitem(sys.modules, "theapp", module)
    words = ("plugins", "info", "hello.set", "--settings", "--app", f"theapp:app.{name}")
    shown = run(*words)
    assert "/n       7         application\n" in shown.out
    assert CANARY not in shown.out + run(*words, "--json").out
    assert run(*words[:2], "hello.nobody", *words[3:]).err.startswith("error [call.")
    assert not list((tmp_path / "data").rglob("audit.db"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["hello.set", "--settings"], "Missing argument"),
        (["hello.set", "."], "found: none"),
        (["hello.set", ".", "--env-prefix", "A"], "--env-prefix goes with --settings"),
        (["hello.set", ".", "--settings", "--app", "a:b"], "one or the other"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], reason: str
) -> None:
    """Nothing that was typed is quietly left out."""
    monkeypatch.chdir(tmp_path)
    shown = run("plugins", "info", *words)
    assert shown.code == 2
    assert reason in shown.err
