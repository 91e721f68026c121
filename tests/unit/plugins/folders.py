"""Plugin folders for tests: the smallest manifest, and more on request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomlkit

from nxkernel.plugins.manifest import Manifest, load_manifest

BASIC: dict[str, Any] = {
    "schema_version": 1,
    "id": "ocr.rapid",
    "version": "0.1.0",
    "entrypoint": "plugin:Plugin",
    "hooks": ["read_tokens"],
}
#: Would leave a trace if anything imported it.
CODE = "from pathlib import Path\n(Path(__file__).parent / 'imported').touch()\n"


def plugin(parent: Path, name: str = "ocr_rapid", **keys: Any) -> Path:
    """Write a plugin's folder below *parent*; *keys* go over the smallest manifest."""
    folder = parent / name
    folder.mkdir(parents=True)
    document = {key: value for key, value in {**BASIC, **keys}.items() if value is not None}
    (folder / "plugin.toml").write_text(tomlkit.dumps(document), encoding="utf-8")
    (folder / "plugin.py").write_text(CODE, encoding="utf-8")
    return folder


def manifest(parent: Path, name: str = "ocr_rapid", **keys: Any) -> Manifest:
    """Write a plugin's folder and load its manifest."""
    return load_manifest(plugin(parent, name, **keys))
