"""Discovery: which plugins there are, without running any of their code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from importlib.metadata import entry_points as installed_entry_points
from pathlib import Path

import attrs

from nxkernel.errors import KernelConfigError, ManifestInvalid, NxError
from nxkernel.plugins.manifest import FILENAMES, Manifest, load_manifest
from nxkernel.plugins.sources import Source, installed_source, shared_package
from nxkernel.schemas.installed import located
from nxkernel.types import PluginId

__all__ = ["GROUP", "Candidate", "discover", "look_again"]

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
    #: Of an installed plugin: which files are its own; None for one with a folder of its own.
    installed: Source | None = None
    error: NxError | None = None

    @property
    def code(self) -> Source:
        """Which files are checked, and run."""
        return self.installed or Source.of(self.folder)

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


def look_again(candidate: Candidate) -> Candidate:
    """Return what is there now, of the plugin that *candidate* was."""
    if candidate.installed is not None:
        return _of_distribution(candidate.installed, candidate.source)
    (found,) = discover(candidate.folder, entry_points=False)
    return attrs.evolve(found, source=candidate.source)


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
        code = _located(entry)
        if code is None:
            yield _broken(Path(entry.name), source, _why_not_found(entry, group))
        elif init := shared_package(code):
            reason = f"{init} belongs to another distribution; give the plugin a package of its own"
            yield _broken(code.folder / code.inside, source, reason)
        else:
            yield _of_distribution(code, source)


def _of_distribution(code: Source, source: str) -> Candidate:
    """Return the candidate; what was read of it is named as in its distribution."""
    found = attrs.evolve(_candidate(code.folder / code.inside, source), installed=code)
    if found.manifest is None:
        return found
    read = {f"{code.inside}/{name}": sha256 for name, sha256 in found.manifest.read.items()}
    return attrs.evolve(found, manifest=attrs.evolve(found.manifest, read=read))


def _why_not_found(entry: EntryPoint, group: str) -> str:
    if entry.dist is not None and not os.path.isdir(str(entry.dist.locate_file(""))):
        return (
            f"entry point {entry.value!r} is installed in an archive, whose files cannot be "
            "checked one by one; install the distribution with pip"
        )
    return (
        f"entry point {entry.value!r} of group {group!r} names no installed manifest; "
        "write package:plugin.toml and install that file with the package"
    )


def _located(entry: EntryPoint) -> Source | None:
    """Return the source of the plugin whose manifest *entry* names, if it is installed."""
    match = _RESOURCE.fullmatch(entry.value.replace(" ", ""))
    if match is None:
        return None
    package, name = match[1].split("."), match[2]
    place = located(entry, package, name)
    if place is None or not place.is_file():
        return None
    return installed_source(entry, place.parent, package, name)


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
