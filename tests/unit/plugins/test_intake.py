"""Odd files: each is copied exactly as it is, or refused with its name and what to do."""

from __future__ import annotations

import errno
import hashlib
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from nxkernel.errors import PluginDisabled
from nxkernel.plugins import intake
from nxkernel.plugins.codestore import survey
from nxkernel.plugins.intake import FileDigest, Intake
from tests.unit.plugins.folders import plugin

COMPOSED, APART = unicodedata.normalize("NFC", "é.py"), unicodedata.normalize("NFD", "é.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a plugin's folder."""
    return plugin(tmp_path)


def taken(folder: Path) -> dict[str, FileDigest]:
    """Hash *folder*; return its files by path."""
    return {file.path: file for file in Intake(folder.name).run(folder, None)}


def refusal(folder: Path) -> str:
    """Return the message that *folder* is refused with."""
    with pytest.raises(PluginDisabled) as caught:
        taken(folder)
    assert caught.value.message.isprintable()
    return caught.value.message


@pytest.mark.parametrize("data", [b"a\r\nb\n", b"a\nb\n", b"a\r\nb\r\n", b"\xef\xbb\xbfa\n", b""])
def test_ends_of_lines_are_bytes_like_others(folder: Path, data: bytes) -> None:
    """Nothing is translated: the digest is what ``sha256sum`` prints."""
    (folder / "words.txt").write_bytes(data)
    assert taken(folder)["words.txt"].sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "names", [("Plugin.PY", "plugin.py"), (COMPOSED, APART), ("Straße", "STRASSE")]
)
def test_two_names_that_are_one_elsewhere_are_refused(folder: Path, names: tuple[str, str]) -> None:
    """A lockfile holds on every machine: also where case or composition does not count."""
    for name in names:
        (folder / name).touch()
    if len({*os.listdir(folder)} & {*names}) < 2:
        return  # This file system is one of those: there is one file, and nothing to refuse.
    assert "is the same name as" in refusal(folder)
    assert "rename one of them" in refusal(folder)


def test_folders_that_are_one_elsewhere_are_refused(folder: Path) -> None:
    """Names count with what stands before them."""
    for name in ("Pack", "pack"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "a.py").touch()
    if "Pack" in os.listdir(folder) and "pack" in os.listdir(folder):
        assert "ocr_rapid/pack: is the same name as 'Pack'" in refusal(folder)


@pytest.mark.parametrize("name", [COMPOSED, APART, "日本語.py", "😀.txt"])
def test_a_name_is_kept_as_it_is(folder: Path, name: str) -> None:
    """No name is composed or taken apart: it is found again under the bytes that it had."""
    (folder / name).touch()
    (found,) = (each for each in os.listdir(folder) if not each.startswith("plugin"))
    assert found in taken(folder)


def test_a_hard_link_is_a_file_of_its_own(folder: Path, tmp_path: Path) -> None:
    """What it is called elsewhere does not matter: the copy has bytes of its own."""
    os.link(folder / "plugin.py", folder / "other.py")
    files = taken(folder)
    assert files["other.py"].sha256 == files["plugin.py"].sha256
    target = tmp_path / "copy"
    target.mkdir()
    list(Intake("p").run(folder, target))
    assert (target / "other.py").stat().st_nlink == 1
    target.chmod(0o700)


def test_a_sparse_file_of_10_gib_is_refused_unread(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what it says its size is, in words; nobody waits for ten gibibytes of nothing."""
    with (folder / "model.bin").open("wb") as file:
        file.truncate(10 * 2**30)
    read = os.read
    seen: list[int] = []
    monkeypatch.setattr(
        intake.os, "read", lambda fd, size: seen.append(os.fstat(fd).st_size) or read(fd, size)
    )
    assert refusal(folder) == (
        "ocr_rapid/model.bin: is too large: 10240 MiB; a file may have 256 MiB"
    )
    assert 10 * 2**30 not in seen


def test_a_file_that_grows_while_it_is_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of one version and half of another are neither."""
    read = os.read

    def growing(fd: int, size: int) -> bytes:
        with (folder / "plugin.py").open("ab") as file:
            file.write(b"#")
        return read(fd, 16)

    monkeypatch.setattr(intake.os, "read", growing)
    monkeypatch.setattr(intake, "MAX_FILE_BYTES", 10_000)
    assert refusal(folder).startswith("ocr_rapid/plugin.py: ")


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EACCES, "; change its owner or mode"),
        (errno.EIO, " (EIO)"),
        (errno.ESTALE, " (ESTALE)"),
    ],
)
def test_an_unreadable_file_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, why: str
) -> None:
    """Also to root, whom modes do not hold: a broken disk, a stale mount."""
    opening = os.open

    def refusing(path: object, *rest: object, **options: object) -> int:
        if os.path.basename(os.fspath(path)) == "plugin.py":  # type: ignore[call-overload]
            raise OSError(number, os.strerror(number))
        return opening(path, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refusing)
    assert refusal(folder) == f"ocr_rapid/plugin.py: cannot be read{why}"


def test_hashing_alone_is_hashing(folder: Path, tmp_path: Path) -> None:
    """With a copy and without, the same files have the same digests, and nothing is written."""
    (folder / "pack" / "empty").mkdir(parents=True)
    (folder / "pack" / "a.py").touch()
    before = sorted(tmp_path.rglob("*"))
    admitted = survey(folder)
    assert sorted(tmp_path.rglob("*")) == before
    target = tmp_path / "copy"
    target.mkdir()
    assert tuple(sorted(Intake("p").run(folder, target))) == admitted.files
    for path, _, _ in os.walk(target):
        os.chmod(path, 0o700)


#: How each kind of what is no file is made; Linux makes these for everybody.
KINDS: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "link": lambda path: path.symlink_to("plugin.py"),
    "broken link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a folder": lambda path: path.symlink_to("/"),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_named_and_never_opened(folder: Path, kind: str) -> None:
    """Whatever its name; also one that is passed over in silence elsewhere, such as ``.pyc``."""
    KINDS[kind](folder / "odd")
    assert refusal(folder).startswith("ocr_rapid/odd: is a ")


def test_byte_code_without_a_source_is_passed_over(folder: Path) -> None:
    """Nobody reviews it: it is no part of the plugin, wherever it lies."""
    for name in ("hidden.pyc", "__pycache__/plugin.cpython-311.pyc", "pack/x.pyo"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"evil")
    assert sorted(taken(folder)) == ["plugin.py", "plugin.toml"]
