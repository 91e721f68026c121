"""Folders go by name, by every way that leads to them."""

from __future__ import annotations

import copy
import glob
import os
import pickle
import shutil
from pathlib import Path

import pytest

from nxkernel.worker import listings

NAMES = [f"{number:02}" for number in range(30)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose entries were made in another order, and a process that sorts."""
    for number in range(30):
        (tmp_path / f"{number * 7 % 30:02}").touch()
    for name in ("listdir", "scandir", "supports_fd"):
        monkeypatch.setattr(os, name, copy.copy(getattr(os, name)))
    for kind in (each for each in vars(glob).values() if isinstance(each, type)):
        if "scandir" in vars(kind):
            monkeypatch.setattr(kind, "scandir", vars(kind)["scandir"])
    listings.install()
    return tmp_path


def test_every_way_goes_by_name(place: Path) -> None:
    """`os.listdir`, `os.scandir`, `os.walk`, `glob` and `pathlib`."""
    assert os.listdir(place) == NAMES
    assert os.listdir(os.fsencode(place)) == [name.encode() for name in NAMES]
    assert [entry.name for entry in os.scandir(place)] == NAMES
    assert [names for _, _, names in os.walk(place)] == [NAMES]
    assert [os.path.basename(found) for found in glob.glob(f"{place}/*")] == NAMES
    assert [path.name for path in place.iterdir()] == NAMES
    assert [path.name for path in place.glob("*")] == NAMES


def test_the_iterator_of_scandir_is_one_that_can_be_closed(place: Path) -> None:
    """With its entries as they were; after the end there are none."""
    with os.scandir(place) as entries:
        assert next(entries).is_file()
        entries.close()
        assert list(entries) == []


def test_a_descriptor_will_do(place: Path) -> None:
    """`shutil.rmtree` asks whether it will, and then goes that way."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        assert os.listdir in os.supports_fd
        assert os.scandir in os.supports_fd
        assert os.listdir(descriptor) == NAMES
    finally:
        os.close(descriptor)
    shutil.rmtree(place)
    assert not place.exists()


def test_errors_are_the_systems(place: Path) -> None:
    """What is no folder says so, as it always did."""
    with pytest.raises(FileNotFoundError):
        os.listdir(place / "missing")
    with pytest.raises(NotADirectoryError):
        os.scandir(place / "00")


def test_functions_stay_functions(place: Path) -> None:
    """In a class they bind nothing, and they are pickled by their names."""
    assert type("Keeps", (), {"list": os.listdir})().list(place) == NAMES
    assert pickle.loads(pickle.dumps(os.listdir)) is os.listdir
    assert os.listdir.__name__ == "listdir"
