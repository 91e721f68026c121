"""Loads the modules of screenmem's plugins as a worker would, each plugin from its own folder."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

SCREENMEM = Path(__file__).resolve().parents[3] / "examples" / "screenmem"
PLUGINS = SCREENMEM / "plugins"


def load(folder: str, module: str = "plugin") -> ModuleType:
    """Import *module* from the plugin in *folder*; its siblings have names of their own."""
    path = PLUGINS / folder / f"{module}.py"
    name = f"screenmem_{folder}_plugin" if module == "plugin" else module
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(loaded)
    finally:
        sys.path.remove(str(path.parent))
    return loaded


class Context:
    """What a plugin is handed, with the calls that it makes answered by the test."""

    def __init__(
        self, *, run_dir: Path | None = None, settings: Any = None, replies: Any = None
    ) -> None:
        self.plugin_id = "test"
        self.run_dir = run_dir
        self.settings = settings or {}
        self.replies = replies or {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        #: Rows read and written.
        self.rows = [0, 0]

    def call(self, hook: str, **arguments: Any) -> Any:
        self.calls.append((hook, arguments))
        return self.replies[hook]

    def count(self, *, rows_read: int = 0, rows_written: int = 0) -> None:
        self.rows[0] += rows_read
        self.rows[1] += rows_written
