"""Run commands in this process, and folders of plugins to run them on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nxkernel_cli.main import main
from tests.support.commands import Ran

CODE = """\
import nxkernel as nx

hookimpl = nx.HookimplMarker("hello")


class Plugin:
    @hookimpl
    def greet(self, name: str) -> str:
        return name
"""


def run(*words: str | Path) -> Ran:
    """Run ``nxkernel`` with *words*."""
    result = CliRunner().invoke(main, [str(word) for word in words], prog_name="nxkernel")
    return Ran(result.exit_code, result.stdout, result.stderr)


def write_plugin(folder: Path, plugin: str, code: str = CODE, **more: Any) -> Path:
    """Write a plugin that implements ``greet`` of project ``hello``, with *more* in its manifest.

    The manifest is JSON, because that can be written without a library.
    """
    folder.mkdir(parents=True)
    (folder / "plugin.py").write_text(code)
    manifest = {
        "schema_version": 1,
        "id": plugin,
        "version": "0.1.0",
        "entrypoint": "plugin:Plugin",
        "hooks": ["greet"],
    }
    (folder / "plugin.json").write_text(json.dumps({**manifest, **more}))
    return folder


@pytest.fixture
def cli() -> Callable[..., Ran]:
    """Run a command and look at what it printed."""
    return run


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder with one sound plugin in it, ``hello.shout``."""
    write_plugin(tmp_path / "plugins" / "shout", "hello.shout")
    return tmp_path / "plugins"
