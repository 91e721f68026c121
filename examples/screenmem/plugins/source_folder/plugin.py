"""Screenshots from one folder, which the application must grant."""

from __future__ import annotations

from pathlib import Path

import nxkernel as nx

hookimpl = nx.HookimplMarker("screenmem")
MIB = 1024 * 1024


class Plugin:
    def __init__(self, context: nx.PluginContext) -> None:
        self._setting = str(context.settings.get("folder", ""))
        self._largest = int(context.settings.get("largest_mb", 32)) * MIB

    @hookimpl
    def list_frames(self) -> list[str]:
        """Return the names of the PNG files in the folder, sorted."""
        return sorted(
            path.name
            for path in self._folder().iterdir()
            if path.suffix.lower() == ".png" and not path.name.startswith(".") and path.is_file()
        )

    @hookimpl
    def read_frame(self, name: str) -> bytes | None:
        """Return the bytes of one listed file; a name is never a path."""
        if name in ("", ".", "..") or name != Path(name).name or "\\" in name or "\0" in name:
            raise ValueError(f"{name!r} is no file name")
        if name not in self.list_frames():
            return None
        path = self._folder() / name
        if path.stat().st_size > self._largest:
            raise ValueError(f"{name} is larger than {self._largest // MIB} MiB")
        return path.read_bytes()

    def _folder(self) -> Path:
        if not self._setting:
            raise ValueError("the application set no folder; give source.folder one by settings=")
        return Path(self._setting)
