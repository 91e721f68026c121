"""Code is swapped between check and import, and what was checked is what runs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel.plugins.codestore import survey
from nxkernel.plugins.lockfile import Lock, lock_entry, write_lock
from nxkernel.plugins.manifest import load_manifest
from nxkernel.settings import Grant
from tests.support.storms import Storm
from tests.support.zoo import build, eventually

pytestmark = pytest.mark.usefixtures("confinement")
SWAPPER = Path(__file__).resolve().parents[1] / "support" / "swapper.py"
MANIFEST = """\
schema_version = 1
id = "swapped"
version = "1"
entrypoint = "plugin:Plugin"
hooks = ["echo"]
"""
PLUGIN = """\
import nxkernel as nx
from pack.core import VALUE

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl
    def echo(self, value):
        return VALUE
"""
#: What a try may be refused with: the swapped files, or what stands in their place.
REFUSALS = {"lock.mismatch", "plugin.disabled"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a plugin whose answer is "good"."""
    folder = tmp_path / "plugins" / "swapped"
    (folder / "pack").mkdir(parents=True)
    (folder / "plugin.toml").write_text(MANIFEST)
    (folder / "plugin.py").write_text(PLUGIN)
    (folder / "pack" / "core.py").write_text('VALUE = "good"\n')
    return folder


def locked(folder: Path) -> Path:
    """Write the lockfile that accepts *folder* as it is."""
    manifest = load_manifest(folder)
    path = folder.parents[1] / "nxkernel.lock"
    write_lock(path, Lock(plugins={manifest.id: lock_entry(manifest, survey(folder), Grant())}))
    return path


@contextmanager
def swapping(folder: Path, seed: int) -> Iterator[None]:
    """Have another process swap the plugin's code all the while."""
    command = [sys.executable, str(SWAPPER), str(folder), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as swapper:
        try:
            assert swapper.stdout is not None
            assert swapper.stdout.readline() == "swapping\n"
            yield
            assert swapper.poll() is None, "the swapper did not swap to the end"
        finally:
            swapper.kill()


def test_no_swap_is_run(folder: Path, storm: Storm, tmp_path: Path) -> None:
    """Each try loads what the lockfile names, or is refused; both happen, and nothing else."""
    tries = storm.size(25, 1000)
    loaded = refused = lost = 0
    codes: set[str] = set()
    with (
        build(tmp_path / "data", folders=[folder], lock=locked(folder), middleware=[]) as kernel,
        swapping(folder, storm.seed),
    ):
        while loaded + refused < tries or not (loaded and refused):
            try:
                kernel.reload("swapped")
            except nx.NxError as error:
                codes.add(error.code)
                refused += 1
            else:
                loaded += 1
                lost += kernel.hook.echo(value=1) != ["good"]
    storm.tell("tries between check and import", loaded + refused)
    storm.tell("loaded what was checked", loaded - lost)
    storm.tell("refused", refused)
    storm.tell("lost", lost)
    assert lost == 0
    assert codes <= REFUSALS


def test_the_same_swapper_beats_who_checks_first_and_reads_then(folder: Path, storm: Storm) -> None:
    """A loader that hashes a folder and then imports from it runs evil code: the race is real."""
    digests = {file.path: file.sha256 for file in survey(folder).files}
    answers: list[str] = []

    def naive() -> bool:
        try:
            found = {
                name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in digests
            }
            if found == digests:
                names: dict[str, str] = {}
                exec((folder / "pack" / "core.py").read_text(), names)
                answers.append(names["VALUE"])
        except OSError:
            return False  # in the middle of a swap
        return "evil" in answers

    with swapping(folder, storm.seed):
        eventually(naive, "the naive loader lost")
    storm.tell("tries until a naive loader lost", len(answers))
