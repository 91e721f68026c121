"""Byte code: kept once, whole and in order, and never believed unchecked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nxkernel.plugins import bytecode
from nxkernel.plugins.bytecode import Bytecode, Compilation, sources_of
from nxkernel.plugins.sightings import Sightings

SOURCES = ("pack/core.py", "plugin.py")


@pytest.fixture(params=[1 << 18, 0, 5], ids=["in memory", "in a folder", "in both"], autouse=True)
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold so much in memory until all has come."""
    monkeypatch.setattr(bytecode, "IN_MEMORY", request.param)


@pytest.fixture(params=[True, False], ids=["seen", "unseen"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bytecode]:
    """Yield the folder of a plugin that was not compiled yet."""
    yield made(tmp_path, seen=request.param)
    for path, _, _ in os.walk(tmp_path):
        os.chmod(path, 0o700)


def made(tmp_path: Path, *, seen: bool = True) -> Bytecode:
    """Return the byte code of the plugin, as another boot finds it."""
    return Bytecode(tmp_path / "p", SOURCES, Sightings(tmp_path / "seen") if seen else None)


def compile_all(place: Bytecode, *data: bytes) -> Compilation:
    """Hand over *data*, one for each source."""
    compilation = place.compilation()
    for path, each in zip(SOURCES, data, strict=True):
        assert compilation.current == path
        assert compilation.take(path, each)
    return compilation


def test_what_was_compiled_is_there_for_the_next_worker(place: Bytecode, tmp_path: Path) -> None:
    """And for the next boot, byte for byte, closed to writing."""
    assert place.ready() == ""
    assert compile_all(place, b"core", b"plugin").current == ""
    ready = Path(place.ready())
    assert (ready / "pack" / "core.py.bytecode").read_bytes() == b"core"
    assert not ready.stat().st_mode & 0o222
    assert made(tmp_path).ready() == made(tmp_path, seen=False).ready() == str(ready)


def test_what_does_not_compile_is_left_out(place: Bytecode) -> None:
    """Nothing lies in its place: the import compiles it, and says what is wrong with it."""
    compile_all(place, b"", b"plugin")
    assert [path.name for path in Path(place.ready()).iterdir()] == ["plugin.py.bytecode"]


@pytest.mark.parametrize("path", ["plugin.py", "other.py", "../../x.py", "/etc/passwd", ""])
def test_only_the_next_source_is_taken(place: Bytecode, path: str) -> None:
    """A worker names no file: it says whose turn it is, or nothing of it is taken."""
    compilation = place.compilation()
    assert not compilation.take(path, b"x")
    assert compilation.current == "pack/core.py"
    compilation.close()
    assert place.ready() == ""


def test_half_of_it_is_none(place: Bytecode) -> None:
    """A worker that ends in the middle leaves nothing behind."""
    compilation = place.compilation()
    compilation.take("pack/core.py", b"core")
    compilation.close()
    compilation.close()
    assert place.ready() == ""
    assert os.listdir(place.place) == []


@pytest.mark.parametrize("change", ["written", "added", "opened", "removed"])
def test_what_was_changed_is_compiled_again(place: Bytecode, tmp_path: Path, change: str) -> None:
    """Its name says what it must hold."""
    compile_all(place, b"core", b"plugin")
    ready = Path(place.ready())
    file = ready / "plugin.py.bytecode"
    ready.chmod(0o700)
    if change == "written":
        file.chmod(0o600)
        file.write_bytes(b"evil!!")
        file.chmod(0o444)
    elif change == "added":
        (ready / "more.py.bytecode").write_bytes(b"evil")
    elif change == "removed":
        file.unlink()
    if change != "opened":
        ready.chmod(0o555)
    again = made(tmp_path)
    assert again.ready() == ""
    compile_all(again, b"core", b"plugin")
    assert Path(again.ready(), "plugin.py.bytecode").read_bytes() == b"plugin"


def test_too_much_is_not_kept(place: Bytecode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker fills no disk; its plugin is compiled at each import instead."""
    monkeypatch.setattr(bytecode, "MAX_BYTES", 6)
    compile_all(place, b"core", b"plugin")
    assert place.ready() == ""
    assert os.listdir(place.place) == []


def test_sources_are_python_of_a_bounded_size() -> None:
    """Data is not compiled, and a source of many megabytes when it is imported."""
    files = [("a.py", 1), ("b.txt", 1), ("c.py", bytecode.MAX_SOURCE + 1), ("d/e.py", 0)]
    assert sources_of(files) == ("a.py", "d/e.py")


def test_it_is_the_same_wherever_it_was_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, modes and bytes: a folder is named by them, and the next boot finds it right."""
    found = []
    for number, most in enumerate((1 << 18, 0)):
        monkeypatch.setattr(bytecode, "IN_MEMORY", most)
        place = made(tmp_path / str(number))
        compile_all(place, b"core", b"plugin")
        assert made(tmp_path / str(number)).ready() == place.ready() != ""
        root = Path(place.ready())
        found.append((root.name, {path.stat().st_mode for path in (root, *root.rglob("*"))}))
        for path, _, _ in os.walk(tmp_path / str(number)):
            os.chmod(path, 0o700)
    assert found[0] == found[1]


def test_what_is_too_large_for_memory_lies_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends in the middle takes that along."""
    monkeypatch.setattr(bytecode, "IN_MEMORY", 3)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    compilation = made(tmp_path).compilation()
    compilation.take("pack/core.py", b"core")
    (folder,) = tmp_path.glob("nxkernel-compiled-*")
    assert (folder / "pack" / "core.py.bytecode").read_bytes() == b"core"
    compilation.close()
    assert not folder.exists()


def test_a_name_that_is_too_long_costs_the_others_nothing(tmp_path: Path) -> None:
    """A file of byte code has a longer name than its source, which may have the longest."""
    long = "x" * 250 + ".py"
    place = Bytecode(tmp_path / "p", (long, "plugin.py"), None)
    compilation = place.compilation()
    assert compilation.take(long, b"long")
    assert compilation.take("plugin.py", b"plugin")
    assert [path.name for path in Path(place.ready()).iterdir()] == ["plugin.py.bytecode"]
    os.chmod(place.ready(), 0o700)
