"""The source gives the screenshots of one folder and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.examples.loading import Context, load


@pytest.fixture
def source(tmp_path: Path) -> Any:
    folder = tmp_path / "media"
    (folder / "inner.png").mkdir(parents=True)
    for name in ("b.png", "a.PNG", "notes.txt", ".hidden.png"):
        (folder / name).write_bytes(name.encode())
    (tmp_path / "secret.png").write_bytes(b"secret")
    return load("source_folder").Plugin(Context(settings={"folder": str(folder)}))


def test_names_are_sorted(source: Any) -> None:
    """PNG files are listed by name; folders, hidden and other files are not."""
    assert source.list_frames() == ["a.PNG", "b.png"]


def test_bytes_as_they_are(source: Any) -> None:
    """A listed file comes as its bytes, any other name as None."""
    assert source.read_frame("b.png") == b"b.png"
    assert source.read_frame("missing.png") is None
    assert source.read_frame("notes.txt") is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../secret.png", "/etc/passwd", "inner.png/x", "a\\b.png", "a\0.png"]
)
def test_a_name_is_no_path(source: Any, name: str) -> None:
    """Names with parts of a path are refused before the file system sees them."""
    with pytest.raises(ValueError, match="is no file name"):
        source.read_frame(name)


def test_huge_files_are_refused(tmp_path: Path) -> None:
    """A file above the limit is an error that names it."""
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate(2 * 1024 * 1024)
    settings = {"folder": str(tmp_path), "largest_mb": 1}
    plugin = load("source_folder").Plugin(Context(settings=settings))
    with pytest.raises(ValueError, match=r"big\.png is larger than 1 MiB"):
        plugin.read_frame("big.png")


def test_without_a_folder_it_says_so() -> None:
    """A source that was given no folder names the setting that is missing."""
    plugin = load("source_folder").Plugin(Context())
    with pytest.raises(ValueError, match=r"source\.folder one by settings="):
        plugin.list_frames()
