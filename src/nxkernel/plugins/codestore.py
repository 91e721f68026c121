"""Verified copies of plugin code: the bytes that were hashed are the bytes that are imported.

A plugin's folder may change at any time: between the check and the import, and during the copy.
So its files are copied while they are hashed, and workers import the copy. It is named by its
digest, and is checked before each use: whole, or by what was seen of it when it was.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import attrs

from nxkernel._once import once
from nxkernel._system import files as filing
from nxkernel.errors import KernelConfigError, StorageError
from nxkernel.plugins import halves
from nxkernel.plugins.drafts import written
from nxkernel.plugins.intact import is_intact
from nxkernel.plugins.intake import FileDigest, Intake, Tree, is_leftover_path
from nxkernel.plugins.sightings import Sightings, see
from nxkernel.plugins.sources import Source
from nxkernel.types import EMPTY, Digest

__all__ = ["Admitted", "CodeStore", "survey"]


@attrs.frozen(kw_only=True)
class Admitted(Tree):
    """A verified copy of a plugin's folder."""

    #: The copy's folder; no file in it is writable.
    path: Path
    #: Where the manifest is in it, with slashes; see `Source`.
    inside: str = ""

    @property
    def home(self) -> Path:
        """The folder of the manifest."""
        return self.path / self.inside


class CodeStore:
    """A folder of verified copies, each under the hexadecimal digits of its tree digest."""

    def __init__(self, root: str | Path, seen: Sightings | None = None) -> None:
        """Use the folder *root*, made with mode 0700 if it does not exist.

        *seen*: what was seen of folders and copies before; without, every byte is read each time.

        Raises:
            KernelConfigError: when others than its owner, this user, may write to it.
        """
        self.root = Path(os.path.abspath(root))
        self._seen = seen
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.root.lstat()
        except OSError:
            raise KernelConfigError("the folder for verified copies cannot be made") from None
        is_ours = stat.S_ISDIR(found.st_mode) and filing.is_ours(found)
        if not is_ours or filing.is_others_to_write(found):
            raise KernelConfigError(
                f"the folder for verified copies ({self.root.name}) must belong to this user and "
                "be writable by nobody else; name another folder, or change its owner and mode"
            )

    def admit(self, folder: str | Path | Source, read: Mapping[str, str] = EMPTY) -> Admitted:
        """Copy the plugin in *folder* while hashing it, and return the copy.

        Tools' leftovers (``__pycache__``, ``*.pyc``, ``.git`` ...) are passed over. An older copy
        with the same digest is used if it is still right, and replaced if not. *read*: SHA-256 of
        files that were read meanwhile, by path; what was seen before is nothing beside that.

        Raises:
            PluginDisabled: for a link, device, fifo or socket, an odd name, or too much.
            StorageError: when the copy cannot be written.
        """
        source = Source.of(folder)
        try:
            return self._recalled(source, read) or self._looked_at(source)
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, "unknown")
            raise StorageError(
                f"{source.name}: the verified copy cannot be written ({reason})"
            ) from None

    def _recalled(self, source: Source, read: Mapping[str, str]) -> Admitted | None:
        """Return what was admitted before, if neither folder nor copy has changed since."""
        tree = self._seen.recall(source) if self._seen is not None else None
        if tree is None:
            return None
        known = {file.path: file.sha256 for file in tree.files}
        if any(known.get(path) != sha256 for path, sha256 in read.items()):
            return None
        return self._ready(tree, source)

    def _looked_at(self, source: Source) -> Admitted:
        if self._seen is None:
            return self._taken_in(source)
        moment = self._seen.moment()
        before = see(source.folder, source.only)
        found = self._ready(survey(source), source) if self._is_known(source) else None
        admitted = found or self._taken_in(source)
        moment.keep_source(source, before, admitted)
        return admitted

    @once
    def _has_copies(self) -> bool:
        """Whether there was any before the first one of this store."""
        with os.scandir(self.root) as entries:
            return next(entries, None) is not None

    def _is_known(self, source: Source) -> bool:
        """Whether there may be a copy of *source* already: then none is written for nothing.

        Where a sighting is still to be kept, any copy says that this is not the first boot.
        """
        return self._has_copies or (self._seen is not None and self._seen.knows(source))

    def _ready(self, tree: Tree, source: Source) -> Admitted | None:
        """Return the copy of *tree* if it is there and right."""
        return (
            self._admitted(tree, source)
            if self._is_right(self._place(tree.tree_digest), tree)
            else None
        )

    def _is_right(self, path: Path, tree: Tree) -> bool:
        if self._seen is None:
            return is_intact(path, tree.files)
        if self._seen.unchanged(path):
            return True
        moment = self._seen.moment()
        before = see(path, whole=True)
        right = is_intact(path, tree.files)
        if right:
            moment.keep(path, before)
        return right

    def put(self, files: Mapping[str, bytes]) -> Path:
        """Write *files*, by their paths, as a copy of a folder with them would be; return it.

        Raises:
            OSError: when it cannot be written.
            StorageError: when it keeps changing.
        """
        return self._place(self._settled(lambda target: written(files, target)).tree_digest)

    def _taken_in(self, source: Source) -> Admitted:
        """Copy and hash; an older copy is used if it is right."""
        return self._admitted(self._settled(lambda target: _taken(source, target)), source)

    def _settled(self, fill: Callable[[Path], Iterable[FileDigest]]) -> Tree:
        """Have *fill* write a folder, and put it in its place unless a right one is there."""
        temporary = Path(tempfile.mkdtemp(prefix=halves.PREFIX, dir=self.root))
        try:
            with halves.held(temporary):
                tree = Tree.of(fill(temporary))
                self._settle(temporary, tree)
        finally:
            _discard(temporary)
        return tree

    def _admitted(self, tree: Tree, source: Source) -> Admitted:
        path = self._place(tree.tree_digest)
        return Admitted(
            tree_digest=tree.tree_digest, files=tree.files, path=path, inside=source.inside
        )

    def _place(self, digest: Digest) -> Path:
        return self.root / digest.removeprefix("sha256:")

    def swept(self, now_ns: int) -> CodeStore:
        """Return it without old half copies, which killed hosts left; *now_ns*: wall time."""
        halves.sweep(self.root, now_ns, _discard)
        return self

    def _settle(self, temporary: Path, tree: Tree) -> None:
        """Put the new copy where the digest says, unless a right one is there."""
        path = self._place(tree.tree_digest)
        # Another process may settle the same copy meanwhile; either one will do.
        for _ in range(3):
            if os.path.lexists(path):
                if self._is_right(path, tree):
                    return
                # In the same parent: a read-only folder cannot be moved to another one.
                aside = temporary.with_name(f"{temporary.name}-aside")
                os.rename(path, aside)
                _discard(aside)
            try:
                os.rename(temporary, path)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise
        raise StorageError(f"{path.name[:12]}: the verified copy keeps changing; stop what does it")


def survey(folder: str | Path | Source) -> Tree:
    """Hash the plugin in *folder* without copying it.

    Raises:
        PluginDisabled: for what no plugin may have.
    """
    return Tree.of(_taken(Source.of(folder), None))


def _taken(source: Source, target: Path | None) -> Iterator[FileDigest]:
    """Yield each file, and refuse a distribution that lacks some."""
    intake = Intake(source.name, source.only)
    missing = {path for path in source.files or () if not is_leftover_path(path)}
    for file in intake.run(source.folder, target):
        missing.discard(file.path)
        yield file
    for path in sorted(missing):
        raise intake.refuse(path, "is missing: the distribution is damaged; install it again")


def _discard(place: Path) -> None:
    """Remove what stands in a place of ours, also where its modes forbid it; follow no link."""
    if place.is_symlink():
        place.unlink()
    elif place.is_file():
        place.chmod(0o600)  # Windows removes nothing that is read-only.
        place.unlink()
    elif place.is_dir():
        place.chmod(0o700)
        for child in list(place.iterdir()):
            _discard(child)
        place.rmdir()
