"""Discovery: which plugins there are, without running any of their code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from importlib.metadata import entry_points as installed_entry_points
from importlib.util import find_spec
from pathlib import Path

import attrs

from nxkernel.errors import KernelConfigError, ManifestInvalid, NxError
from nxkernel.plugins.manifest import FILENAMES, Manifest, load_manifest
from nxkernel.types import PluginId

__all__ = ["GROUP", "Candidate", "discover"]

#: The entry-point group that names manifests.
GROUP = "nxkernel.plugins"
#: Names that people give a manifest by mistake.
_LOOKALIKES = frozenset(
    {"manifest.json", "manifest.toml", "plugin.yaml", "plugin.yml", "pluggin.toml", "plugins.toml"}
)
_RESOURCE = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*):(plugin\.toml|plugin\.json)")


@attrs.frozen(kw_only=True)
class Candidate:
    """A plugin that was found: with a manifest, or with the reason why it has none."""

    #: The plugin's folder, absolute.
    folder: Path
    #: The place it was found in, as it was given, or ``entry point NAME``.
    source: str
    #: None exactly when there is an error.
    manifest: Manifest | None = None
    error: NxError | None = None

    @property
    def id(self) -> PluginId:
        """The plugin's id; of a broken manifest the id that it claims, else the folder's name."""
        if self.manifest:
            return self.manifest.id
        return PluginId((self.error.plugin if self.error else "") or self.folder.name)


def discover(
    *places: str | Path, group: str = GROUP, entry_points: bool | None = None
) -> list[Candidate]:
    """Find plugins in *places*, each a plugin's folder or a folder of such folders.

    Without places, and with ``entry_points=True``, the installed distributions are asked as well:
    an entry point of *group* names a manifest, ``package:plugin.toml``. Nothing is imported, and a
    broken plugin hides no other: it comes back with its error.

    Returns candidates in the order of places, then of folder names, then of entry points by name.

    Raises:
        KernelConfigError: for a place that is no folder.
    """
    found = [candidate for place in places for candidate in _in_place(place)]
    if entry_points or (entry_points is None and not places):
        found += _installed(group)
    return _without_twins(list({candidate.folder: candidate for candidate in found}.values()))


def _in_place(place: str | Path) -> Iterator[Candidate]:
    folder = Path(os.path.abspath(place))
    if folder.name in FILENAMES and folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        raise KernelConfigError(
            f"discover({str(place)!r}): no such folder; name a folder of plugins, or a plugin's own"
        )
    if _has(folder, FILENAMES):
        yield _candidate(folder, str(place))
        return
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith((".", "__")):
            yield from _child(folder, child, str(place))


def _has(folder: Path, names: Iterable[str]) -> bool:
    return any(os.path.lexists(folder / name) for name in names)


def _child(place: Path, child: Path, source: str) -> Iterator[Candidate]:
    if child.is_symlink():
        if _has(child, FILENAMES):
            yield _broken(child, source, "is a symbolic link; copy the plugin, or name its folder")
    elif _has(child, FILENAMES):
        yield _candidate(child, source)
    elif _has(child, _LOOKALIKES):
        yield _broken(child, source, "has no plugin.toml or plugin.json; rename its manifest")


def _candidate(folder: Path, source: str) -> Candidate:
    try:
        return Candidate(folder=folder, source=source, manifest=load_manifest(folder))
    except ManifestInvalid as error:
        return Candidate(folder=folder, source=source, error=error)


def _broken(folder: Path, source: str, reason: str) -> Candidate:
    error = ManifestInvalid(f"{folder.name}: {reason}", details={"folder": str(folder)})
    return Candidate(folder=folder, source=source, error=error)


def _installed(group: str) -> Iterator[Candidate]:
    found = installed_entry_points(group=group)
    for entry in sorted(found, key=lambda entry: (entry.name, entry.value)):
        source = f"entry point {entry.name}"
        folder = _located(entry)
        if folder is None:
            yield _broken(
                Path(entry.name),
                source,
                f"entry point {entry.value!r} of group {group!r} names no installed manifest; "
                "write package:plugin.toml and install that file with the package",
            )
        else:
            yield _candidate(folder, source)


def _located(entry: EntryPoint) -> Path | None:
    """Return the folder of the manifest that *entry* names, if it is installed."""
    match = _RESOURCE.fullmatch(entry.value.replace(" ", ""))
    if match is None:
        return None
    package, name = match[1].split("."), match[2]
    for folder in (*_recorded(entry, package, name), *_on_path(package)):
        if (folder / name).is_file():
            return folder
    return None


def _recorded(entry: EntryPoint, package: list[str], name: str) -> Iterator[Path]:
    """The folder by the distribution's own list of files."""
    wanted = "/".join([*package, name])
    for path in (entry.dist.files or ()) if entry.dist else ():
        if path.as_posix() == wanted:
            yield Path(os.path.abspath(str(path.locate()))).parent


def _on_path(package: list[str]) -> Iterator[Path]:
    """The folder by the import system, for an editable installation.

    Only the first part of the name is looked up: asking for ``a.b`` would import ``a``.
    """
    spec = find_spec(package[0])
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(os.path.abspath(location)).joinpath(*package[1:])


def _without_twins(found: list[Candidate]) -> list[Candidate]:
    """Disable every plugin whose id is declared twice: which one was meant is not ours to guess."""
    folders: dict[PluginId, list[Path]] = {}
    for candidate in found:
        if candidate.manifest:
            folders.setdefault(candidate.manifest.id, []).append(candidate.folder)
    return [
        _twin(candidate, folders[candidate.manifest.id])
        if candidate.manifest and len(folders[candidate.manifest.id]) > 1
        else candidate
        for candidate in found
    ]


def _twin(candidate: Candidate, folders: list[Path]) -> Candidate:
    error = ManifestInvalid(
        f"id {candidate.id!r} is declared by {' and '.join(_told_apart(folders))}; "
        "remove one of them or change its id",
        plugin=candidate.id,
        details={"folders": [str(folder) for folder in folders]},
    )
    return attrs.evolve(candidate, manifest=None, error=error)


def _told_apart(folders: list[Path]) -> list[str]:
    """Name each folder by as much of its end as tells it from the others."""
    for length in range(1, max(len(folder.parts) for folder in folders)):
        names = ["/".join(folder.parts[-length:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]
