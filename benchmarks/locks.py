"""The check of a lockfile: 200 plugins of 20 files, by what was seen before and by every byte."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nxkernel as nx
from benchmarks.measure import Row, interleave
from nxkernel.plugins.codestore import CodeStore
from nxkernel.plugins.lockcheck import check
from nxkernel.plugins.lockfile import Lock, lock_entry, read_lock, write_lock
from nxkernel.plugins.manifest import Manifest
from nxkernel.plugins.sightings import YOUNG_NS, Sightings
from nxkernel.settings import Grant

__all__ = ["lock_check"]

PLUGINS, FILES = 200, 20
MANIFEST = """\
schema_version = 1
id = "bench.p{number:03d}"
version = "0.1.0"
entrypoint = "plugin"
hooks = ["echo"]
"""
#: About 3 KB of Python.
CODE = "".join(f"def function_{number}(value):\n    return value\n\n\n" for number in range(70))


def lock_check(rounds: int) -> dict[str, Row]:
    """Time the check of all plugins against their lockfile, beside reading every byte of them."""
    with tempfile.TemporaryDirectory() as folder, _removable(Path(folder)):
        place = _plugins(Path(folder) / "plugins")
        manifests = [found.manifest for found in nx.discover(place) if found.manifest]
        seen = CodeStore(Path(folder) / "code", Sightings(Path(folder) / "seen"))
        unseen = CodeStore(Path(folder) / "code")
        lock = Path(folder) / "nxkernel.lock"
        _write(lock, manifests, seen)
        contenders: dict[str, Callable[[], object]] = {
            "lock check, warm: nothing has changed": lambda: _check(lock, manifests, seen),
            "lock check, cold: every byte is read twice": lambda: _check(lock, manifests, unseen),
            "SHA-256 of every file": lambda: _hash(place),
        }
        if shutil.which("git"):
            contenders["git status of the same files"] = _git_status(place)
        time.sleep(YOUNG_NS / 1e9)  # What is younger is read again, as by git.
        _check(lock, manifests, seen)
        _check(lock, manifests, seen)
        return interleave(contenders, rounds=max(3, rounds), calls=1)


def _plugins(place: Path) -> Path:
    for number in range(PLUGINS):
        folder = place / f"p{number:03d}"
        folder.mkdir(parents=True)
        (folder / "plugin.toml").write_text(MANIFEST.format(number=number))
        for name in ("plugin", *(f"part_{each:02d}" for each in range(FILES - 2))):
            (folder / f"{name}.py").write_text(f"# {number}\n{CODE}")
    return place


def _write(path: Path, manifests: list[Manifest], store: CodeStore) -> None:
    entries = {
        each.id: lock_entry(each, store.admit(each.folder, each.read), Grant())
        for each in manifests
    }
    write_lock(path, Lock(plugins=entries))


def _check(path: Path, manifests: list[Manifest], store: CodeStore) -> None:
    lock = read_lock(path)
    for each in manifests:
        check(lock, store.admit(each.folder, each.read), each)


def _hash(place: Path) -> None:
    for folder, _, names in os.walk(place):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                hashlib.file_digest(file, "sha256").hexdigest()


def _git_status(place: Path) -> Callable[[], object]:
    git = ["git", "-C", str(place), "-c", "user.name=b", "-c", "user.email=b@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True, stdout=subprocess.DEVNULL)
    status = [*git, "status", "--porcelain"]
    return lambda: subprocess.run(status, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _removable(folder: Path) -> Iterator[None]:
    """Copies are closed to writing, also to who removes them."""
    try:
        yield
    finally:
        for each, _, _ in os.walk(folder / "code"):
            os.chmod(each, 0o700)
