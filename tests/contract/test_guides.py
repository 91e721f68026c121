"""Tutorial and how-to guides do what they say."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel.dispatch.stack import BootFacts
from nxkernel.plugins.rules import TEMPLATES
from nxkernel.testing import running

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HELLO = ROOT / "examples" / "hello"
TUTORIAL = (DOCS / "tutorial" / "first-plugin.md").read_text(encoding="utf-8")
MIDDLEWARE = (DOCS / "how-to" / "write-a-middleware.md").read_text(encoding="utf-8")
GRANT = (DOCS / "how-to" / "grant-a-permission.md").read_text(encoding="utf-8")
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted(DOCS.rglob("*.md"))


class Hello:
    """What `examples/hello` offers."""

    @nx.HookspecMarker("hello")
    def greet(self, name: str) -> str:
        """Return a greeting for *name*."""


def test_tutorial_prints_what_it_says(tmp_path: Path) -> None:
    """The application's output is the tutorial's, before and after the plugin that misbehaves."""
    shown = re.findall(r"^```text\n(.*?)```", TUTORIAL, re.MULTILINE | re.DOTALL)
    app = shutil.copytree(HELLO, tmp_path / "hello")
    snoop = (app / "plugins" / "snoop").rename(tmp_path / "snoop")
    first = run_app(app, tmp_path / "one")
    snoop.rename(app / "plugins" / "snoop")
    assert [first, run_app(app, tmp_path / "two")] == shown


def run_app(folder: Path, data: Path) -> str:
    """Run the application in *folder* and return what it prints."""
    command = [sys.executable, "app.py", data]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_second_manifest_is_the_first_with_another_id() -> None:
    """Who follows the tutorial has the plugin that the repository has."""
    manifests = [
        (HELLO / "plugins" / n / "plugin.toml").read_text("utf-8") for n in ("shout", "snoop")
    ]
    assert manifests[0].replace("hello.shout", "hello.snoop") == manifests[1]


def test_the_middleware_of_the_guide_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The class of the guide works in a real stack, as it stands there."""
    names: dict[str, Any] = {}
    exec(PYTHON.findall(MIDDLEWARE)[0], names)
    counter = names["CountFailures"]()
    plugins = HELLO / "plugins"
    with running(
        plugins, project="hello", specs=[Hello], data_dir=tmp_path, middleware=[counter]
    ) as k:
        k.call("greet", name="Ada")
        assert k.explain("greet").stack == ("count-failures",)
    assert capsys.readouterr().out == "{'hello.snoop': 1}\n"


def test_the_guide_names_what_boot_is_told() -> None:
    """The table of facts has every field."""
    named = re.findall(r"^\| (`[^|]*) \|", MIDDLEWARE, re.MULTILINE)
    told = {name for row in named for name in re.findall(r"`(\w+)`", row)}
    assert {field.name for field in attrs.fields(BootFacts)} <= told


def test_the_guide_names_every_template() -> None:
    """No template of paths is missing from the guide, and none is invented."""
    section = GRANT.partition("## Templates")[2].partition("\n## ")[0]
    assert set(re.findall(r"`{(\w+)}`", section)) == set(TEMPLATES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_examples_can_be_read_by_their_language(page: Path) -> None:
    """No example in Python or TOML has an error of syntax."""
    text = page.read_text(encoding="utf-8")
    for example in PYTHON.findall(text):
        ast.parse(example)
    for example in TOML.findall(text):
        tomllib.loads(example)
