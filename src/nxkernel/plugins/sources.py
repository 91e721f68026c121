"""Sources: which files are a plugin's, in a folder of its own or among those that were installed.

Of an installed plugin it is the whole distribution that is checked, and that runs: a plugin imports
its own package by its full name as well, and must find there what was checked.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path, PurePosixPath

import attrs

__all__ = ["Source", "installed_source", "shared_package"]

#: What installers write beside a distribution's metadata, on each machine another thing.
_NOTES = frozenset({"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"})


@attrs.frozen(kw_only=True)
class Source:
    """Where a plugin's files are, and which are its own."""

    #: Absolute: the plugin's own folder, or the one that its distribution's packages are in.
    folder: Path
    #: Begins error messages.
    name: str
    #: Where the manifest is in *folder*, with slashes; ``""`` is the folder itself.
    inside: str = ""
    #: The files of the distribution, by path in *folder*; None for whatever there is.
    files: frozenset[str] | None = attrs.field(default=None, repr=False)
    #: Of a distribution without a list of files: the only folder that counts, or ``""``.
    top: str = ""
    #: The name and version of the distribution, or ``""``.
    distribution: str = ""
    _parents: frozenset[str] = attrs.field(
        default=attrs.Factory(lambda self: _parents_of(self.files or ()), takes_self=True),
        repr=False,
        eq=False,
    )

    @classmethod
    def of(cls, place: str | Path | Source) -> Source:
        """Return the source of a plugin with a folder of its own; a source is returned as it is."""
        if isinstance(place, Source):
            return place
        folder = Path(os.path.abspath(place))
        return cls(folder=folder, name=folder.name)

    @property
    def only(self) -> Callable[[str], bool] | None:
        """`covers`, or None where everything is the plugin's."""
        return self.covers if self.files is not None or self.top else None

    def covers(self, path: str) -> bool:
        """Whether the file or folder *path* is the plugin's."""
        if self.files is not None:
            return path in self.files or path in self._parents
        return not self.top or path == self.top or path.startswith(self.top + "/")

    @property
    def key(self) -> bytes:
        """What tells this source from others in the same folder."""
        return os.fsencode(self.folder) + b"\0" + f"{self.distribution}\0{self.top}".encode()


def _parents_of(files: Iterable[str]) -> frozenset[str]:
    parents = (parent for path in files for parent in PurePosixPath(path).parents)
    return frozenset(str(parent) for parent in parents)


def installed_source(entry: EntryPoint, folder: Path, package: list[str], manifest: str) -> Source:
    """Return the source of the plugin whose *manifest* lies in *folder*, the *package*'s.

    By the distribution's own list of files. An editable installation lists none of them: there it
    is the folder of the outermost package.
    """
    root = folder.parents[len(package) - 1]
    inside = "/".join(package)
    named = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.name
    files = frozenset(_listed(entry, root))
    listed = f"{inside}/{manifest}" in files
    return Source(
        folder=root,
        name=entry.dist.name if entry.dist else entry.name,
        inside=inside,
        files=files if listed else None,
        top="" if listed else package[0],
        distribution=named,
    )


def _listed(entry: EntryPoint, root: Path) -> Iterator[str]:
    if entry.dist is None:
        return
    for path in _recorded(entry.dist):
        located = Path(os.path.abspath(str(entry.dist.locate_file(path))))
        if root in located.parents and not _is_note(path):
            yield located.relative_to(root).as_posix()


def _recorded(distribution: Distribution) -> Iterable[PurePosixPath]:
    """Return what was installed, also what is gone since.

    From Python 3.12 on, `Distribution.files` leaves out what is gone; a distribution that lacks
    a file would be taken for a whole one.
    """
    record = distribution.read_text("RECORD")
    if not record:  # installed in another way: the list says what was built, and not what is here
        return distribution.files or ()
    return [PurePosixPath(row[0]) for row in csv.reader(record.splitlines()) if row]


def _is_note(path: PurePosixPath) -> bool:
    return path.name in _NOTES and path.parent.suffix in (".dist-info", ".egg-info")


def shared_package(source: Source) -> str:
    """Return the ``__init__`` of a package around the plugin that is not its own, or ``""``.

    Such a package decides where its parts are imported from: they would not be those of the copy.
    """
    for parent in (PurePosixPath(source.inside), *PurePosixPath(source.inside).parents):
        init = (parent / "__init__.py").as_posix()
        if parent.name and not source.covers(init) and (source.folder / init).exists():
            return init
    return ""
