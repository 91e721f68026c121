"""Verified copies of plugin code: the bytes that were hashed are the bytes that are imported.

A plugin's folder may change at any time: between the check and the import, and during the copy.
So its files are read once, from descriptors that follow no link, and what was read is hashed and
written. Workers import the copy, which is named by its digest and is checked whole before each use.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from nxkernel import _canonical
from nxkernel.errors import KernelConfigError, PluginDisabled, StorageError
from nxkernel.types import Digest

__all__ = ["Admitted", "CodeStore", "FileDigest", "tree_digest"]

DOMAIN = b"nx.tree.v1\0"
MAX_FILES = 10_000
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_TREE_BYTES = 1024 * 1024 * 1024
#: Deepest folder within a plugin.
MAX_DEPTH = 32
#: Written by tools, never part of a plugin: neither hashed nor copied.
IGNORED_FOLDERS = frozenset(
    {
        *("__pycache__", ".git", ".hg", ".svn", ".idea", ".vscode", ".venv", "node_modules"),
        *(".mypy_cache", ".nox", ".pytest_cache", ".ruff_cache", ".tox"),
    }
)
IGNORED_SUFFIXES = (".pyc", ".pyo", ".swp", "~")
IGNORED_FILES = frozenset({".DS_Store", ".git", "Thumbs.db"})
_CHUNK = 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: a fifo that takes a file's place must not hold the boot.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen(order=True)
class FileDigest:
    """One file of a plugin."""

    #: Relative to the plugin's folder, with slashes.
    path: str
    #: In bytes.
    size: int
    #: SHA-256 of the bytes, 64 hexadecimal digits, as ``sha256sum`` prints it.
    sha256: str


@attrs.frozen(kw_only=True)
class Admitted:
    """A verified copy of a plugin's folder."""

    #: Digest over the paths, sizes and contents of all files.
    tree_digest: Digest
    #: In the order of their paths.
    files: tuple[FileDigest, ...]
    #: The copy's folder; no file in it is writable.
    path: Path


def tree_digest(files: Iterable[FileDigest]) -> Digest:
    """Return the digest of a tree of *files*: the same for the same files in any order."""
    rows = [[file.path, file.size, bytes.fromhex(file.sha256)] for file in sorted(files)]
    return _canonical.digest(_canonical.encode(rows), DOMAIN)


class CodeStore:
    """A folder of verified copies, each under the hexadecimal digits of its tree digest."""

    def __init__(self, root: str | Path) -> None:
        """Use the folder *root*, made with mode 0700 if it does not exist.

        Raises:
            KernelConfigError: when others than its owner, this user, may write to it.
        """
        self.root = Path(os.path.abspath(root))
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.root.lstat()
        except OSError:
            raise KernelConfigError("the folder for verified copies cannot be made") from None
        is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if not is_ours or found.st_mode & 0o022:
            raise KernelConfigError(
                f"the folder for verified copies ({self.root.name}) must belong to this user and "
                "be writable by nobody else; name another folder, or change its owner and mode"
            )

    def admit(self, folder: str | Path) -> Admitted:
        """Copy the plugin in *folder* while hashing it, and return the copy.

        Tools' leftovers (``__pycache__``, ``*.pyc``, ``.git`` ...) are passed over. An older copy
        with the same digest is used if every byte of it is still right, and replaced if not.

        Raises:
            PluginDisabled: for a link, device, fifo or socket, an odd name, or too much.
            StorageError: when the copy cannot be written.
        """
        name = Path(folder).name
        temporary = Path(tempfile.mkdtemp(prefix=".admit-", dir=self.root))
        try:
            files = tuple(sorted(_Copy(name).run(Path(folder), temporary)))
            digest = tree_digest(files)
            path = self.root / digest.removeprefix("sha256:")
            self._settle(temporary, path, files)
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, "unknown")
            raise StorageError(f"{name}: the verified copy cannot be written ({reason})") from None
        finally:
            _discard(temporary)
        return Admitted(tree_digest=digest, files=files, path=path)

    def _settle(self, temporary: Path, path: Path, files: tuple[FileDigest, ...]) -> None:
        """Put the new copy where the digest says, unless a right one is there."""
        # Another process may settle the same copy meanwhile; either one will do.
        for _ in range(3):
            if os.path.lexists(path):
                if _is_intact(path, files):
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


def _discard(place: Path) -> None:
    """Remove what stands in a place of ours, also where its modes forbid it; follow no link."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.is_dir():
        place.chmod(0o700)
        for child in list(place.iterdir()):
            _discard(child)
        place.rmdir()


@contextmanager
def _opened(name: str, flags: int, at: int | None, mode: int = 0o777) -> Iterator[int]:
    descriptor = os.open(name, flags, mode, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_ignored(name: str, mode: int) -> bool:
    if stat.S_ISDIR(mode):
        return name in IGNORED_FOLDERS
    return name in IGNORED_FILES or name.endswith(IGNORED_SUFFIXES)


@attrs.define
class _Copy:
    """One walk over a plugin's folder, counting against the limits."""

    plugin: str
    count: int = 0
    size: int = 0

    def refuse(self, path: str, reason: str) -> PluginDisabled:
        place = f"{self.plugin}/{path}" if path else self.plugin
        return PluginDisabled(f"{place}: {reason}", details={"path": path})

    def run(self, source: Path, target: Path) -> Iterator[FileDigest]:
        try:
            with (
                _opened(os.fspath(source), _FOLDER & ~os.O_NOFOLLOW, None) as at,
                _opened(os.fspath(target), _FOLDER, None) as to,
            ):
                yield from self._folder(at, to, ())
        except (FileNotFoundError, NotADirectoryError):
            raise self.refuse("", "the folder is gone, or changed while it was read") from None
        except PermissionError:
            raise self.refuse("", "the folder cannot be read; change its owner or mode") from None
        if not self.count:
            raise self.refuse("", "the folder holds no files")

    def _folder(self, at: int, to: int, parts: tuple[str, ...]) -> Iterator[FileDigest]:
        if len(parts) > MAX_DEPTH:
            raise self.refuse("/".join(parts), f"folders are nested deeper than {MAX_DEPTH}")
        for name in sorted(os.listdir(at)):
            path = "/".join((*parts, name))
            mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
            if _is_ignored(name, mode):
                continue
            self._check_name(path, name)
            if stat.S_ISDIR(mode):
                yield from self._subfolder(name, at, to, (*parts, name))
            else:
                self._check_kind(path, mode)
                yield self._file(path, name, at, to)
        os.fchmod(to, 0o555)

    def _subfolder(
        self, name: str, at: int, to: int, parts: tuple[str, ...]
    ) -> Iterator[FileDigest]:
        os.mkdir(name, 0o700, dir_fd=to)
        path = "/".join(parts)
        with self._source(name, _FOLDER, at, path) as inner, _opened(name, _FOLDER, to) as copy:
            files = list(self._folder(inner, copy, parts))
        if not files:
            os.rmdir(name, dir_fd=to)  # no digest would know of it
        yield from files

    def _check_name(self, path: str, name: str) -> None:
        if not name.isprintable() or not _is_unicode(name):
            raise self.refuse(ascii(path)[1:-1], "rename it: its name is not printable text")

    def _check_kind(self, path: str, mode: int) -> None:
        if stat.S_ISLNK(mode):
            raise self.refuse(path, "is a symbolic link; put the file itself in the plugin")
        if not stat.S_ISREG(mode):
            raise self.refuse(path, "is a device, fifo or socket; remove it")

    def _file(self, path: str, name: str, at: int, to: int) -> FileDigest:
        self.count += 1
        if self.count > MAX_FILES:
            raise self.refuse("", f"holds more than {MAX_FILES} files")
        with self._source(name, _FILE, at, path) as source:
            # What was looked at by name may have been swapped since.
            self._check_kind(path, os.fstat(source).st_mode)
            with _opened(name, _NEW, to, 0o600) as copy:
                size, sha256 = self._content(path, source, copy)
                os.fchmod(copy, 0o444)
        return FileDigest(path, size, sha256)

    @contextmanager
    def _source(self, name: str, flags: int, at: int, path: str) -> Iterator[int]:
        try:
            descriptor = os.open(name, flags, dir_fd=at)
        except OSError as error:
            changed = error.errno in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.ENXIO)
            reason = "changed while it was read" if changed else "cannot be read"
            raise self.refuse(path, reason) from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _content(self, path: str, source: int, copy: int) -> tuple[int, str]:
        """Copy to the end, hashing what is written; return size and digest."""
        state = hashlib.sha256()
        size = 0
        while chunk := os.read(source, _CHUNK):
            size += len(chunk)
            self.size += len(chunk)
            if size > MAX_FILE_BYTES or self.size > MAX_TREE_BYTES:
                raise self.refuse(path, "is too large, alone or with the files before it")
            state.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(copy, view) :]
        return size, state.hexdigest()


def _is_unicode(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_intact(path: Path, files: tuple[FileDigest, ...]) -> bool:
    """Whether the copy at *path* holds exactly *files*, and nobody may write to it."""
    expected = {file.path: file for file in files}
    try:
        with _opened(os.fspath(path), _FOLDER, None) as at:
            return sum(_intact_files(at, "", expected)) == len(expected)
    except OSError:
        return False


def _intact_files(at: int, prefix: str, expected: dict[str, FileDigest]) -> Iterator[int]:
    """Yield 1 for each file that is as expected.

    Raises:
        FileExistsError: for whatever is not.
    """
    if not _is_ours(at, 0o555):
        raise FileExistsError
    names = os.listdir(at)
    if not names:
        raise FileExistsError
    for name in names:
        path = prefix + name
        mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            with _opened(name, _FOLDER, at) as inner:
                yield from _intact_files(inner, path + "/", expected)
        else:
            if not _is_same(name, at, expected.get(path)):
                raise FileExistsError
            yield 1


def _is_ours(descriptor: int, mode: int) -> bool:
    found = os.fstat(descriptor)
    return stat.S_IMODE(found.st_mode) == mode and found.st_uid == os.geteuid()


def _is_same(name: str, at: int, expected: FileDigest | None) -> bool:
    if expected is None:
        return False
    with _opened(name, _FILE, at) as descriptor:
        if not _is_ours(descriptor, 0o444):
            return False
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected.sha256
