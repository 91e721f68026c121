"""Drafts: a tree of files that is written from memory, hashed as it is written and closed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from nxkernel._system import folders
from nxkernel._system.folders import Folder
from nxkernel.plugins.intake import FileDigest

__all__ = ["written"]


def written(files: Mapping[str, bytes], target: Path) -> Iterator[FileDigest]:
    """Write *files*, by their paths with slashes, to the empty folder *target*; yield each.

    As a copy is: nobody may write to any of it afterwards.
    """
    with folders.opened(target) as to:
        yield from _folder(files, to, "")


def _folder(files: Mapping[str, bytes], to: Folder, prefix: str) -> Iterator[FileDigest]:
    below: dict[str, dict[str, bytes]] = {}
    for path, data in sorted(files.items()):
        name, _, rest = path.partition("/")
        if rest:
            below.setdefault(name, {})[rest] = data
        else:
            yield _file(name, data, to, prefix)
    for name, inner in below.items():
        to.make(name)
        with to.enter(name) as folder:
            yield from _folder(inner, folder, f"{prefix}{name}/")
    to.seal(0o555)


def _file(name: str, data: bytes, to: Folder, prefix: str) -> FileDigest:
    with to.create(name, 0o444) as descriptor:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    return FileDigest(prefix + name, len(data), hashlib.sha256(data).hexdigest())
