"""Temporary folders: they go with their owner, and nobody else's ever goes."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nxkernel import _forks, _temporary
from nxkernel._system import files
from nxkernel._temporary import sweep, temporary
from tests.support.descriptors import open_files

DEAD = "nxkernel-probe-abcdefgh.held"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of each test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_goes_with_its_block(root: Path) -> None:
    """With what is in it, in whatever mode; it is for its owner alone while it lasts."""
    before = open_files()
    with temporary("probe") as folder:
        assert os.listdir(root) == [folder.name]
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "closed").mkdir()
        (folder / "closed" / "file").write_bytes(b"x")
        (folder / "closed").chmod(0o500)
    assert os.listdir(root) == []
    assert open_files() == before


def test_nobody_forks_while_tempfile_holds_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that inherited it would wait for ever at its own first temporary file."""
    held: list[bool] = []

    def look(make: Callable[[], str]) -> str:
        def ask() -> None:
            held.append(not _forks.whole().acquire(blocking=False))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return make()

    make = tempfile.mktemp
    monkeypatch.setattr(tempfile, "mktemp", lambda: look(make))
    monkeypatch.setattr(tempfile, "_name_sequence", None)
    monkeypatch.setattr(tempfile, "tempdir", None)
    sweep()
    assert held == [True]
    assert tempfile.tempdir is not None
    assert tempfile._name_sequence is not None  # type: ignore[attr-defined]


def test_the_folder_of_the_dead_is_swept(root: Path) -> None:
    """Whoever held it lives no more: the next one removes it before he makes his own."""
    (root / DEAD / "inner").mkdir(parents=True)
    with temporary("api") as folder:
        assert os.listdir(root) == [folder.name]


def test_the_folder_of_the_living_stays(root: Path) -> None:
    """Also while many others come and look."""
    with temporary("probe") as first, temporary("probe") as second:
        sweep()
        assert {first, second} == set(root.iterdir())
        # Not by chance: what is not held would have been found.
        (root / DEAD).mkdir()
        sweep()
        assert {first, second} == set(root.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "nxkernel-demo-abcdefgh",
        "nxkernel-probe-abcdefgh",
        "nxkernel-probe-abcdefgh.held.bak",
        "nxkernel-probe-notes.held",
        "my-nxkernel-probe-abcdefgh.held",
    ],
)
def test_what_a_person_has_named_stays(root: Path, name: str) -> None:
    """Only what says that it is held while it is in use can be told to be in use no more."""
    (root / name).mkdir()
    sweep()
    assert os.listdir(root) == [name]


def test_what_another_user_has_made_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for root, who could remove it."""
    (root / DEAD).mkdir()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    sweep()
    assert os.listdir(root) == [DEAD]


def test_a_link_or_a_file_of_that_name_stays(root: Path) -> None:
    """A folder is what is made, and nothing else is removed."""
    (root / "victim").mkdir()
    (root / DEAD).symlink_to("victim")
    (root / DEAD.replace("probe", "api")).write_bytes(b"x")
    sweep()
    assert len(os.listdir(root)) == 3


def test_what_cannot_be_removed_is_no_reason_not_to_start(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one folder nor the place of them all."""
    (root / DEAD).mkdir()
    other = DEAD.replace("probe", "api")
    (root / other).mkdir()

    def refuses(place: str) -> None:
        if "api" in place:
            raise PermissionError(errno.EACCES, "no")
        os.rmdir(place)

    monkeypatch.setattr(_temporary, "discard", refuses)
    sweep()
    assert os.listdir(root) == [other]
    monkeypatch.setattr(tempfile, "tempdir", str(root / "nowhere"))
    sweep()


def test_a_folder_that_was_swept_before_it_was_held_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock it looks like one of the dead."""
    real, swept = tempfile.mkdtemp, []

    def late(**how: str) -> str:
        place = real(**how)
        if not swept:
            swept.append(place)
            sweep()
        return place

    monkeypatch.setattr(tempfile, "mkdtemp", late)
    with temporary("probe") as folder:
        assert not os.path.exists(swept[0])
        assert list(root.iterdir()) == [folder]


def test_without_locks_nothing_is_swept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows none cannot say who lives."""

    def none(fd: int) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files, "try_lock", none)
    (root / DEAD).mkdir()
    with temporary("probe") as folder:
        assert set(root.iterdir()) == {root / DEAD, folder}
    assert os.listdir(root) == [DEAD]


def test_a_forked_child_leaves_it_to_its_parent(root: Path) -> None:
    """It neither removes the folder nor keeps it held."""
    with temporary("probe") as folder:
        child = os.fork()
        if child == 0:
            # As a child that leaves the block does, whatever it raises.
            os._exit(0 if _left(folder) else 1)
        assert os.waitpid(child, 0)[1] == 0
        sweep()
        assert folder.is_dir()


def _left(folder: Path) -> bool:
    """In the child: whether all that it inherited lets go, and the folder stays."""
    held = [part for part in list(_forks._parts) if isinstance(part, _temporary.Held)]
    for part in held:
        part.remove()
    open_now = {os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()}
    return bool(held) and folder.is_dir() and str(folder) not in open_now


def _descriptors() -> list[str]:
    found = os.listdir("/proc/self/fd")
    return [fd for fd in found if os.path.lexists(f"/proc/self/fd/{fd}")]
