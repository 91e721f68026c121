"""The space below some folders, whatever a plugin puts there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nxkernel.host.ledger import DEEPEST, ENDLESS, Ledger

MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "before").write_bytes(b"x" * MIB)
    return tmp_path / "own"


@pytest.fixture
def ledger(folder: Path) -> Ledger:
    """A ledger that has seen the folder with a file in it."""
    ledger = Ledger([str(folder)])
    assert ledger.growth(None) == 0
    return ledger


def test_growth_over_all_files(folder: Path, ledger: Ledger) -> None:
    """What was there before does not count, what is removed is given back."""
    for number in range(3):
        (folder / f"{number}").write_bytes(b"x" * MIB)
    (folder / "below").mkdir()
    (folder / "below" / "x").write_bytes(b"x" * MIB)
    assert 4 * MIB <= ledger.growth(None) < 5 * MIB
    os.remove(folder / "0")
    assert 3 * MIB <= ledger.growth(None) < 4 * MIB


def test_looking_ends_beyond_the_limit(folder: Path, ledger: Ledger) -> None:
    """More than the limit is more than the limit; nobody has to know how much."""
    for number in range(10):
        (folder / f"{number}").write_bytes(b"x" * MIB)
    assert 2 * MIB < ledger.growth(2 * MIB) < 10 * MIB


def test_empty_files_count(folder: Path, ledger: Ledger) -> None:
    """They fill a disk as well."""
    for number in range(200):
        (folder / f"{number}").touch()
    assert ledger.growth(None) >= 200 * 1024


def test_a_file_with_two_names_counts_once(folder: Path, ledger: Ledger) -> None:
    """A link takes no space."""
    (folder / "one").write_bytes(b"x" * MIB)
    os.link(folder / "one", folder / "two")
    assert MIB <= ledger.growth(None) < 2 * MIB


def test_a_sparse_file_counts_what_it_takes(folder: Path, ledger: Ledger) -> None:
    """A terabyte of nothing is nothing."""
    with open(folder / "sparse", "wb") as file:
        file.truncate(1 << 40)
    assert ledger.growth(None) < MIB


def test_links_are_not_followed(tmp_path: Path, folder: Path, ledger: Ledger) -> None:
    """What lies elsewhere is not below, and a circle has an end."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_bytes(b"x" * MIB)
    (folder / "link").symlink_to(tmp_path / "other")
    (folder / "circle").symlink_to(folder)
    assert ledger.growth(None) < MIB


def test_depth_has_an_end(folder: Path, ledger: Ledger) -> None:
    """Deeper than anybody looks is beyond every limit, with or without one."""
    deep = folder
    for _ in range(DEEPEST + 1):
        deep = deep / "d"
    os.makedirs(deep)
    assert ledger.growth(MIB) > ENDLESS // 2
    assert ledger.growth(None) > ENDLESS // 2


def test_roots_that_are_files_or_missing(tmp_path: Path) -> None:
    """A database may be a root of its own, and need not exist yet."""
    ledger = Ledger([str(tmp_path / "x.db"), str(tmp_path / "absent")])
    assert ledger.growth(None) == 0
    (tmp_path / "x.db").write_bytes(b"x" * MIB)
    assert ledger.growth(None) >= MIB


def test_a_plugin_that_nests_before_the_first_look_is_seen(folder: Path) -> None:
    """Its own folder held nothing before; a granted one may nest as it likes."""
    deep = folder
    for _ in range(DEEPEST + 1):
        deep = deep / "d"
    os.makedirs(deep)
    own, granted = Ledger([str(folder)], str(folder)), Ledger([str(folder)], "/nowhere")
    assert (own.growth(None), granted.growth(None)) == (0, 0)
    assert own.growth(None) > ENDLESS // 2
    assert granted.growth(None) == 0
