"""Whether a verified copy is still what it was: every name, mode and byte of it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nxkernel._system import files as filing
from nxkernel._system import folders
from nxkernel._system.folders import Folder
from nxkernel.plugins.intake import FileDigest

__all__ = ["is_intact"]


def is_intact(path: Path, files: tuple[FileDigest, ...]) -> bool:
    """Whether the copy at *path* holds exactly *files*, and nobody may write to it."""
    expected = {file.path: file for file in files}
    try:
        with folders.opened(path, follow=False) as at:
            return sum(_intact_files(at, "", expected)) == len(expected)
    except OSError:
        return False


def _intact_files(at: Folder, prefix: str, expected: dict[str, FileDigest]) -> Iterator[int]:
    """Yield 1 for each file that is as expected.

    Raises:
        FileExistsError: for whatever is not.
    """
    if not _is_ours(at.seen(), 0o555):
        raise FileExistsError
    names = at.names()
    if not names:
        raise FileExistsError
    for name in names:
        path = prefix + name
        mode = at.look(name).st_mode
        if stat.S_ISDIR(mode):
            with at.enter(name) as inner:
                yield from _intact_files(inner, path + "/", expected)
        else:
            if not _is_same(name, at, expected.get(path)):
                raise FileExistsError
            yield 1


def _is_ours(found: os.stat_result, mode: int) -> bool:
    return filing.has_mode(found, mode) and filing.is_ours(found)


def _is_same(name: str, at: Folder, expected: FileDigest | None) -> bool:
    if expected is None:
        return False
    with at.read(name) as descriptor:
        if not _is_ours(os.fstat(descriptor), 0o444):
            return False
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected.sha256
