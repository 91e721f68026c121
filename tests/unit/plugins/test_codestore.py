"""What was hashed is what is imported, whatever happens to the plugin's folder meanwhile."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nxkernel._system import folders
from nxkernel.errors import KernelConfigError, PluginDisabled, StorageError
from nxkernel.plugins import intake
from nxkernel.plugins.codestore import Admitted, CodeStore
from nxkernel.plugins.intake import FileDigest, tree_digest
from tests.unit.plugins.folders import plugin


@pytest.fixture(params=[folders.by_descriptor, folders.by_name], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test walks by descriptors, and by names as Windows does."""
    monkeypatch.setattr(folders, "opened", request.param)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CodeStore]:
    """Yield an empty store, and open its copies up afterwards so that they can be removed."""
    yield CodeStore(tmp_path / "store")
    for path, _, _ in os.walk(tmp_path / "store"):
        os.chmod(path, 0o700)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a plugin with a package in it."""
    folder = plugin(tmp_path)
    (folder / "pack" / "data").mkdir(parents=True)
    (folder / "pack" / "__init__.py").write_bytes(b"")
    (folder / "pack" / "data" / "words.txt").write_bytes(b"one\r\ntwo\n")
    return folder


def contents(root: Path) -> dict[str, bytes]:
    """Return every file below *root* by its relative path."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def modes(root: Path) -> set[tuple[bool, int]]:
    """Return the modes of *root* and all below, each with whether a file has it."""
    places = [root, *root.rglob("*")]
    return {(place.is_file(), stat.S_IMODE(place.stat().st_mode)) for place in places}


def is_true(admitted: Admitted) -> bool:
    """Whether the copy holds exactly the files that its digests say."""
    found = contents(admitted.path)
    digests = tuple(
        FileDigest(path, len(found[path]), hashlib.sha256(found[path]).hexdigest())
        for path in sorted(found)
    )
    return digests == admitted.files and tree_digest(digests) == admitted.tree_digest


def test_the_copy_has_the_bytes_of_the_plugin(store: CodeStore, folder: Path) -> None:
    """Every file, byte for byte, under the digest of the tree."""
    admitted = store.admit(folder)
    assert contents(admitted.path) == contents(folder)
    assert admitted.path == store.root / admitted.tree_digest.removeprefix("sha256:")
    assert is_true(admitted)


def test_the_copy_cannot_be_written(store: CodeStore, folder: Path) -> None:
    """Files are 0444 and folders 0555, whatever they were."""
    (folder / "plugin.py").chmod(0o777)
    admitted = store.admit(folder)
    modes = {stat.S_IMODE(path.stat().st_mode): path.is_file() for path in admitted.path.rglob("*")}
    assert modes == {0o444: True, 0o555: False}
    assert stat.S_IMODE(admitted.path.stat().st_mode) == 0o555


def test_leftovers_of_tools_are_passed_over(store: CodeStore, folder: Path) -> None:
    """Byte code, version control and caches are neither hashed nor copied nor run."""
    before = store.admit(folder)
    for name in ("__pycache__/plugin.cpython-311.pyc", ".git/config", "pack/__pycache__/x.pyc"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"evil")
    (folder / "plugin.pyc").write_bytes(b"evil")
    (folder / "empty").mkdir()
    assert store.admit(folder) == before


def test_the_digest_is_a_fixed_function_of_the_files() -> None:
    """Domain, length, then MessagePack of [path, size, digest] by path; written out here."""
    files = [FileDigest("b", 1, "00" * 32), FileDigest("a", 2, "ff" * 32)]
    rows = bytes.fromhex(f"92 93a16102c420{'ff' * 32} 93a16201c420{'00' * 32}")
    data = b"nx.tree.v1\0" + len(rows).to_bytes(8, "little") + rows
    assert tree_digest(files) == "sha256:" + hashlib.sha256(data).hexdigest()
    assert tree_digest(reversed(files)) == tree_digest(files)


@pytest.mark.parametrize(
    "other",
    [
        [FileDigest("ab", 1, "00" * 32)],
        [FileDigest("a", 2, "00" * 32)],
        [FileDigest("a", 1, "01" + "00" * 31)],
        [FileDigest("a", 1, "00" * 32), FileDigest("b", 1, "00" * 32)],
        [],
    ],
)
def test_another_tree_has_another_digest(other: list[FileDigest]) -> None:
    """Path, size, content and number of files all count."""
    assert tree_digest(other) != tree_digest([FileDigest("a", 1, "00" * 32)])


def test_a_second_admission_uses_the_copy(store: CodeStore, folder: Path) -> None:
    """The same tree is kept once, and nothing temporary stays."""
    first = store.admit(folder)
    inode = (first.path / "plugin.py").stat().st_ino
    assert store.admit(folder) == first
    assert (first.path / "plugin.py").stat().st_ino == inode
    assert [path.name for path in store.root.iterdir()] == [first.path.name]


def write(path: Path, data: bytes = b"evil") -> None:
    """Write to a file of a copy as an attacker with its owner's rights would."""
    path.parent.chmod(0o755)
    if path.exists():
        path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)
    path.parent.chmod(0o555)


def swap_for_link(path: Path) -> None:
    """Replace a file of a copy with a link to a file of the same content."""
    twin = path.parents[2] / "twin"
    twin.write_bytes(path.read_bytes())
    path.parent.chmod(0o755)
    path.unlink()
    path.symlink_to(twin)
    path.parent.chmod(0o555)


def remove(path: Path) -> None:
    path.parent.chmod(0o755)
    path.unlink()
    path.parent.chmod(0o555)


TAMPERED: dict[str, Callable[[Path], object]] = {
    "changed": lambda copy: write(copy / "plugin.py"),
    "same size": lambda copy: write(copy / "plugin.py", (copy / "plugin.py").read_bytes()[::-1]),
    "added": lambda copy: write(copy / "extra.py"),
    "added byte code": lambda copy: write(copy / "plugin.pyc"),
    "removed": lambda copy: remove(copy / "plugin.py"),
    "linked": lambda copy: swap_for_link(copy / "plugin.py"),
    "file writable": lambda copy: (copy / "plugin.py").chmod(0o644),
    "folder writable": lambda copy: copy.chmod(0o777),
    "unreadable": lambda copy: copy.chmod(0),
    "unreadable inside": lambda copy: (copy / "pack").chmod(0),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_tampered_copy_is_replaced(store: CodeStore, folder: Path, kind: str) -> None:
    """An older copy is used only if every byte, name and mode of it is still right."""
    first = store.admit(folder)
    TAMPERED[kind](first.path)
    second = store.admit(folder)
    assert second == first
    assert is_true(second)
    assert modes(second.path) == {(True, 0o444), (False, 0o555)}
    assert [path.name for path in store.root.iterdir() if path.is_dir()] == [second.path.name]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_in_the_place_of_a_copy_is_replaced(
    store: CodeStore, folder: Path, tmp_path: Path, kind: str
) -> None:
    """A file, or a link to a folder, under the name of a digest is no copy."""
    first = store.admit(folder)
    aside = tmp_path / "aside"
    first.path.chmod(0o700)
    first.path.rename(aside)
    aside.chmod(0o555)
    if kind == "file":
        first.path.write_bytes(b"evil")
    else:
        first.path.symlink_to(aside)
    second = store.admit(folder)
    assert is_true(second)
    assert not second.path.is_symlink()
    aside.chmod(0o700)


def test_a_change_after_admission_changes_nothing(store: CodeStore, folder: Path) -> None:
    """What will be imported is the copy; the folder's new bytes are another tree."""
    first = store.admit(folder)
    (folder / "plugin.py").write_bytes(b"evil")
    assert is_true(first)
    assert store.admit(folder).tree_digest != first.tree_digest


@pytest.mark.parametrize("moment", range(12))
def test_a_change_during_admission_is_never_run_unseen(
    store: CodeStore, folder: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Files are swapped at each step of the copy: the copy is what its digests say, or refused."""
    (folder / "plugin.py").write_bytes(b"good" * 1000)
    steps = iter(range(1000))
    read = os.read

    def reading(descriptor: int, size: int) -> bytes:
        if next(steps) == moment:
            with (folder / "plugin.py").open("r+b") as file:
                file.write(b"evil")
            (folder / "pack" / "__init__.py").unlink(missing_ok=True)
            (folder / "pack" / "__init__.py").symlink_to("/etc/passwd")
        return read(descriptor, min(size, 500))

    monkeypatch.setattr(intake.os, "read", reading)
    refusals: list[str] = []
    try:
        admitted = store.admit(folder)
    except PluginDisabled as error:
        refusals.append(error.message)
    if refusals:
        assert "changed while it was read" in refusals[0] or "pack/__init__.py" in refusals[0]
    else:
        assert is_true(admitted)
        assert b"root:" not in b"".join(contents(admitted.path).values())


def test_a_name_swapped_between_look_and_open_is_caught(
    store: CodeStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that becomes a link after it was looked at is not followed."""

    def swapping(look: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def looking(name: Any, **options: Any) -> os.stat_result:
            found = look(name, **options)
            if os.path.basename(name) == "plugin.py" and stat.S_ISREG(found.st_mode):
                (folder / "plugin.py").unlink()
                (folder / "plugin.py").symlink_to("/etc/passwd")
            return found

        return looking

    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, swapping(getattr(os, name)))
    with pytest.raises(PluginDisabled, match=r"plugin\.py: changed while it was read"):
        store.admit(folder)


@pytest.mark.parametrize("kind", ["link", "folder link", "fifo", "socket"])
def test_only_files_and_folders_are_admitted(
    store: CodeStore, folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links, fifos and sockets are named; none is opened, and none can hang the boot."""
    monkeypatch.chdir(folder)  # the address of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        {
            "link": lambda: os.symlink("plugin.py", "odd"),
            "folder link": lambda: os.symlink("/etc", "odd"),
            "fifo": lambda: os.mkfifo("odd"),
            "socket": lambda: server.bind("odd"),
        }[kind]()
    with pytest.raises(PluginDisabled, match="ocr_rapid/odd: is a"):
        store.admit(folder)
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("name", [b"a\nb", b"\xff.py", b"a\x1b[2J"])
def test_odd_names_are_refused(store: CodeStore, folder: Path, name: bytes) -> None:
    """A name that would garble a message or a lockfile is escaped in the error."""
    (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).touch()
    with pytest.raises(PluginDisabled, match="not printable") as caught:
        store.admit(folder)
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_FILES", 3, "more than 3 files"),
        ("MAX_FILE_BYTES", 5, "too large"),
        ("MAX_TREE_BYTES", 5, "too large"),
        ("MAX_DEPTH", 1, "nested deeper"),
    ],
)
def test_size_is_bounded(
    store: CodeStore,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
    message: str,
) -> None:
    """Too many, too large and too deep are refused, and nothing stays behind."""
    monkeypatch.setattr(intake, limit, value)
    with pytest.raises(PluginDisabled, match=message):
        store.admit(folder)
    assert list(store.root.iterdir()) == []


def test_an_empty_or_missing_plugin_is_refused(store: CodeStore, tmp_path: Path) -> None:
    """There is nothing to run, and the message does not name the machine."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(PluginDisabled, match="the folder") as caught:
            store.admit(tmp_path / name)
        assert caught.value.code == "plugin.disabled"
        assert str(tmp_path) not in str(caught.value)


def test_a_full_disk_is_a_storage_error(
    store: CodeStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin is not blamed, and no half copy stays."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(intake.os, "write", full)
    with pytest.raises(StorageError, match="ENOSPC") as caught:
        store.admit(folder)
    assert caught.value.code == "storage.failed"
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("kind", ["group may write", "link", "file"])
def test_a_store_that_others_may_write_is_refused(tmp_path: Path, kind: str) -> None:
    """Copies that anybody can change are no verified copies."""
    root = tmp_path / "store"
    if kind == "link":
        (tmp_path / "real").mkdir(mode=0o700)
        root.symlink_to(tmp_path / "real")
    elif kind == "file":
        root.touch()
    else:
        root.mkdir()
        root.chmod(0o770)
    with pytest.raises(KernelConfigError, match="the folder for verified copies") as caught:
        CodeStore(root)
    assert caught.value.code == "kernel.config"
