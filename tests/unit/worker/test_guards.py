"""The file shims: which changes are passed over, which go to the kernel, and what is recorded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nxkernel.worker.guards import FileShims, install_file_shims

_CHANGED = ("chmod", "fchmod", "utime")
_SETS = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks)


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """The plugin's own folder and another one, each with a file of mode 0600."""
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        (tmp_path / name / "file").chmod(0o600)
    return tmp_path / "own", tmp_path / "other"


@pytest.fixture
def shims(roots: tuple[Path, Path]) -> Iterator[FileShims]:
    """The shims, for one test: this process is no worker."""
    before = {name: getattr(os, name) for name in _CHANGED}
    supported = [set(functions) for functions in _SETS]
    yield install_file_shims([str(roots[0])])
    for name, function in before.items():
        setattr(os, name, function)
    for functions, original in zip(_SETS, supported, strict=True):
        functions.intersection_update(original)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_own_files_are_passed_over(roots: tuple[Path, Path], shims: FileShims) -> None:
    """The call returns, the file keeps its mode, and the record names it."""
    own, _ = roots
    os.chmod(own / "file", 0o644)
    os.utime(own / "file", (0, 0))
    assert mode(own / "file") == 0o600
    assert (own / "file").stat().st_mtime > 0
    assert list(shims.skipped) == [("chmod", str(own / "file")), ("utime", str(own / "file"))]


def test_other_files_go_to_the_kernel(roots: tuple[Path, Path], shims: FileShims) -> None:
    """Outside of the write roots nothing changes; confined, the kernel refuses there."""
    _, other = roots
    os.chmod(other / "file", 0o640)
    assert mode(other / "file") == 0o640
    assert shims.count == 0


def test_names_that_only_begin_alike(
    tmp_path: Path, roots: tuple[Path, Path], shims: FileShims
) -> None:
    """A neighbour of the folder is not in it."""
    neighbour = tmp_path / "owner"
    neighbour.write_text("")
    os.chmod(neighbour, 0o640)
    assert (mode(neighbour), shims.count) == (0o640, 0)


def test_links_out_of_the_folder_are_followed(roots: tuple[Path, Path], shims: FileShims) -> None:
    """What the path leads to decides, not where it begins."""
    own, other = roots
    (own / "link").symlink_to(other / "file")
    os.chmod(own / "link", 0o640)
    os.chmod(own / ".." / "other" / "file", 0o644)
    assert (mode(other / "file"), shims.count) == (0o644, 0)


def test_missing_file_is_missing(roots: tuple[Path, Path], shims: FileShims) -> None:
    """A no-op for a file that is not there would hide a mistake."""
    for function, arguments in ((os.chmod, (0o600,)), (os.utime, ())):
        with pytest.raises(FileNotFoundError):
            function(roots[0] / "absent", *arguments)
    assert shims.count == 0


def test_descriptors(roots: tuple[Path, Path], shims: FileShims) -> None:
    """One that is open for writing is the plugin's own; others go to the kernel."""
    own, other = roots
    with open(own / "file", "a") as file:
        os.fchmod(file.fileno(), 0o640)
        os.utime(file.fileno())
    assert (mode(own / "file"), shims.count) == (0o600, 2)
    with open(other / "file") as file:
        os.fchmod(file.fileno(), 0o640)
    assert (mode(other / "file"), shims.count) == (0o640, 2)


def test_relative_to_a_folder_descriptor(roots: tuple[Path, Path], shims: FileShims) -> None:
    """Without /proc nobody knows where a folder's descriptor is: the kernel decides."""
    own, _ = roots
    folder = os.open(own, os.O_RDONLY)
    try:
        os.chmod("file", 0o640, dir_fd=folder)
        with pytest.raises(FileNotFoundError):
            os.chmod("absent", 0o640, dir_fd=folder)
    finally:
        os.close(folder)
    assert (mode(own / "file"), shims.count) == (0o640, 0)


def test_copying_works_with_links_kept(roots: tuple[Path, Path], shims: FileShims) -> None:
    """`shutil` asks which keywords the functions take: the shims answer like the originals."""
    own, _ = roots
    (own / "link").symlink_to("file")
    shutil.copy2(own / "link", own / "copied", follow_symlinks=False)
    assert os.readlink(own / "copied") == "file"
    assert shims.count > 0
    assert os.chmod in os.supports_fd
    assert os.utime in os.supports_follow_symlinks


def test_record_is_bounded(roots: tuple[Path, Path], shims: FileShims) -> None:
    """A plugin that touches a file for hours fills no memory."""
    for _ in range(200):
        os.utime(roots[0] / "file")
    assert shims.count == 200
    assert len(shims.skipped) == 64


def test_bytes_and_relative_paths(
    roots: tuple[Path, Path], shims: FileShims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths as bytes, and relative to the working folder."""
    monkeypatch.chdir(roots[0])
    os.chmod(b"file", 0o640)
    os.utime("file")
    assert list(shims.skipped) == [("chmod", "file"), ("utime", "file")]
