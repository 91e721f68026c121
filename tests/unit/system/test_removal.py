"""Removing a folder: whatever is in it, and nothing that it points to."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from nxkernel._system import removal
from nxkernel._system.removal import discard
from tests.support.descriptors import open_files

DEEP = 3 * sys.getrecursionlimit()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    return place


def test_everything_goes(place: Path) -> None:
    """Files, folders beside and below each other, fifos, sockets, links; named like options too."""
    for name in ("a", "b", "c/d/e", "c/f", "-rf"):
        (place / name).mkdir(parents=True)
        (place / name / "file").write_bytes(b"x")
    os.mkfifo(place / "c" / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(place / "c" / "socket"))
    (place / "dangling").symlink_to("nothing")
    discard(place)
    assert os.listdir(place.parent) == []


def test_what_a_link_points_to_stays(place: Path) -> None:
    """A plugin can make links; they are removed as what they are."""
    other = place.parent / "other"
    other.mkdir()
    (other / "file").write_bytes(b"x")
    (place / "link").symlink_to(other)
    (place / "upwards").symlink_to("..")
    discard(place)
    assert (other / "file").read_bytes() == b"x"


def test_a_link_is_no_folder_of_ours(place: Path) -> None:
    """Not even the first one is followed."""
    link = place.parent / "link"
    link.symlink_to(place)
    with pytest.raises(OSError):
        discard(link)
    assert place.is_dir()


@pytest.mark.parametrize("mode", [0o000, 0o500, 0o555])
def test_modes_hold_nothing_back(place: Path, mode: int) -> None:
    """Verified copies are closed to writing, and a plugin may close a folder to everybody."""
    inner = place / "inner"
    (inner / "below").mkdir(parents=True)
    (inner / "below" / "file").write_bytes(b"x")
    (inner / "below").chmod(mode)
    inner.chmod(mode)
    place.chmod(mode)
    discard(place)
    assert not place.exists()


def test_no_nest_is_too_deep(place: Path) -> None:
    """A plugin can nest folders deeper than any path, stack or table of descriptors is long."""
    fd = os.open(place, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    discard(place)
    assert not place.exists()


def test_a_folder_that_is_moved_away_leads_nowhere(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever moves a folder while it is emptied must not have its new neighbours removed."""
    (place / "inner").mkdir()
    victims = place.parent / "victims"
    (victims / "folder").mkdir(parents=True)
    (victims / "file").write_bytes(b"x")
    real = removal._folders

    def moved(fd: int) -> list[str]:
        found = real(fd)
        if (place / "inner").exists() and not found:
            (place / "inner").rename(victims / "inner")
        return found

    monkeypatch.setattr(removal, "_folders", moved)
    with pytest.raises(OSError):
        discard(place)
    assert sorted(os.listdir(victims)) == ["file", "folder", "inner"]


def test_no_descriptor_stays_open(place: Path) -> None:
    """Neither when it goes well nor when there is nothing."""
    before = open_files()
    discard(place)
    with pytest.raises(FileNotFoundError):
        discard(place)
    assert open_files() == before
