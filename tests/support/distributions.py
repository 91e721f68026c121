"""Installed distributions: what an installer leaves, with its list of files."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

__all__ = ["MANIFEST", "PLUGIN", "install"]

MANIFEST = """\
schema_version = 1
id = "shiny"
version = "1.0"
entrypoint = "{entrypoint}"
hooks = ["echo"]
"""
PLUGIN = """\
import nxkernel as nx
import shiny_helper
from {package}.core import VALUE

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl
    def echo(self, value):
        {body}
"""


def install(
    site: Path,
    *,
    package: str = "shiny",
    body: str = "return [VALUE, shiny_helper.VALUE]",
    entrypoint: str = "plugin:Plugin",
    more: Mapping[str, str] | None = None,
    listed: bool = True,
    group: str = "nxkernel.plugins",
) -> Path:
    """Install the distribution ``shiny`` into *site*; return its package.

    *listed*: in its list of files; an editable installation lists none.
    """
    folder = package.replace(".", "/")
    files = {
        f"{folder}/__init__.py": "",
        f"{folder}/core.py": "VALUE = 'good'\n",
        f"{folder}/plugin.py": PLUGIN.format(package=package, body=body),
        f"{folder}/plugin.toml": MANIFEST.format(entrypoint=entrypoint),
        "shiny_helper.py": "VALUE = 'good'\n",
        **(more or {}),
    }
    info = {
        "shiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: shiny\nVersion: 1.0\n",
        "shiny-1.0.dist-info/entry_points.txt": f"[{group}]\nshiny = {package}:plugin.toml\n",
        "shiny-1.0.dist-info/INSTALLER": "tests\n",
    }
    for path, text in {**files, **info}.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    rows = {**(files if listed else {}), **info}
    record = [f"{path},sha256={_hash(text)},{len(text)}" for path, text in rows.items()]
    record += ["../../bin/shiny,,", "shiny-1.0.dist-info/RECORD,,"]
    (site / "shiny-1.0.dist-info" / "RECORD").write_text("\n".join(record) + "\n")
    return site / folder


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
