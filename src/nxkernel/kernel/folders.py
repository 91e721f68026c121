"""Folders: where a plugin may leave its files, and what the paths that it was granted are here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from nxkernel._once import once
from nxkernel.host.beside import with_neighbours
from nxkernel.kernel.caches import Caches
from nxkernel.kernel.members import Member
from nxkernel.plugins.grants import expand
from nxkernel.run import Run
from nxkernel.settings import Grant
from nxkernel.types import Level, PluginId

__all__ = ["Folders", "Templates"]


class Templates(Mapping[str, str]):
    """What path templates stand for; each place is looked up once, when somebody asks for it."""

    def __init__(self, places: Mapping[str, Path | str]) -> None:
        self._places = places
        self._real: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Return the place, absolute and free of symbolic links."""
        found = self._real.get(name)
        if found is None:
            found = self._real[name] = os.path.realpath(self._places[name])
        return found

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a template; its place is not looked up."""
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._places)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._places)


@attrs.frozen(slots=False)
class Folders:
    """The folders of one kernel's plugins; they are made when they are asked for."""

    _run: Run
    _level: Level
    #: The application's values for the path templates.
    _paths: Mapping[str, Path | str]

    def of_run(self, plugin: PluginId) -> Path:
        """Return the folder of *plugin* for this run, with ``home`` and ``tmp`` in it."""
        folder = self._run.dir / "plugins" / plugin
        for name in ("", "home", "tmp"):
            try:
                os.mkdir(os.path.join(folder, name), 0o700)
            except OSError:  # It is there, or folders around it are not.
                Path(folder, name).mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder.resolve()

    def templates(self, member: Member, run_dir: Path) -> Templates:
        """Return what the path templates of manifests and grants stand for."""
        own = {
            "run_dir": run_dir,
            "plugin_dir": member.admitted.home if member.admitted else run_dir,
            "cache_dir": Caches(self._run.data_dir).of_plugin(member.id),
        }
        return Templates({**own, **self._shared, **self._paths})

    @once
    def _shared(self) -> dict[str, Path]:
        """What the templates stand for that are the same for all plugins."""
        data = self._run.data_dir
        return {
            "media_dir": data / "media",
            "metadata_db_path": data / "store" / "records.db",
            "audit_db_path": self._run.audit_log.path,
        }

    def granted(self, member: Member, templates: Mapping[str, str]) -> Grant:
        """The member's grant with real paths; its cache folder is made when it is granted."""
        granted = expand(member.facts.grant, templates)
        for path in granted.write:
            if path.startswith(templates["cache_dir"]):
                Path(path).mkdir(parents=True, exist_ok=True, mode=0o700)
        # A root of its own would show removed neighbours for ever; those of the audit stay.
        of = (str(self._run.audit_log.path.resolve()),) if self._level == "isolated" else None
        read, write = (with_neighbours(paths, of=of) for paths in (granted.read, granted.write))
        return attrs.evolve(granted, read=read, write=write)
