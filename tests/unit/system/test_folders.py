"""Folders: each step from what was looked at, and never through a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from nxkernel._system import folders
from nxkernel._system.folders import Folder

Opened = Callable[..., AbstractContextManager[Folder]]
both = pytest.mark.parametrize("opened", [folders.by_descriptor, folders.by_name])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a file, a folder, and links to both and to itself."""
    place = tmp_path / "place"
    (place / "inner").mkdir(parents=True)
    (place / "file").write_bytes(b"content")
    (place / "to-file").symlink_to("file")
    (place / "to-inner").symlink_to("inner")
    (tmp_path / "to-place").symlink_to("place")
    return place


@both
def test_what_is_there_can_be_read(opened: Opened, place: Path) -> None:
    """Names, kinds and bytes."""
    with opened(place) as folder:
        assert sorted(folder.names()) == ["file", "inner", "to-file", "to-inner"]
        assert stat.S_ISLNK(folder.look("to-file").st_mode)
        assert stat.S_ISDIR(folder.seen().st_mode)
        with folder.read("file") as fd:
            assert os.read(fd, 100) == b"content"
        with folder.enter("inner") as inner:
            assert inner.names() == []


@both
@pytest.mark.parametrize("name", ["to-file", "to-inner", "file/x", "nothing"])
def test_no_link_is_followed(opened: Opened, place: Path, name: str) -> None:
    """Neither as a file nor as a folder, nor what is not there."""
    with opened(place) as folder:
        with pytest.raises(OSError), folder.read(name):
            pass
        with pytest.raises(OSError), folder.enter(name):
            pass


@both
def test_a_link_to_the_first_folder_is_the_callers_to_follow(opened: Opened, place: Path) -> None:
    """A person may name a plugin's folder by a link; a copy in the store may be none."""
    link = place.with_name("to-place")
    with opened(link) as folder:
        assert "file" in folder.names()
    with pytest.raises(OSError), opened(link, follow=False):
        pass


@both
def test_what_is_made_has_its_mode_when_it_went_well(opened: Opened, place: Path) -> None:
    """Nothing that exists is written over."""
    with opened(place) as folder:
        folder.make("new")
        with folder.enter("new") as new, new.create("file", 0o444) as fd:
            os.write(fd, b"x")
        with pytest.raises(FileExistsError), folder.create("file", 0o444):
            pass
        with folder.enter("new") as new:
            new.seal(0o555)
        folder.make("empty")
        folder.remove("empty")
    assert stat.S_IMODE((place / "new" / "file").stat().st_mode) == 0o444
    assert stat.S_IMODE((place / "new").stat().st_mode) == 0o555
    assert not (place / "empty").exists()
    assert (place / "file").read_bytes() == b"content"


def test_a_file_that_was_swapped_while_it_was_opened_is_not_read(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without descriptors of folders, what was opened is held against what was looked at."""
    look = os.lstat

    def swapping(path: str) -> os.stat_result:
        found = look(path)
        if path.endswith("file"):
            (place / "other").write_bytes(b"other")
            os.replace(place / "other", path)
        return found

    with folders.by_name(place) as folder:
        monkeypatch.setattr(os, "lstat", swapping)
        with pytest.raises(OSError, match="changed"), folder.read("file"):
            pass
