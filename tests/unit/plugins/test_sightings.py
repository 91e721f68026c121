"""What was seen before saves reading, and never decides what runs."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nxkernel.plugins import codestore, intact, intake, sightings
from nxkernel.plugins.codestore import CodeStore, survey
from nxkernel.plugins.sightings import Sightings, see
from nxkernel.plugins.sources import Source
from tests.unit.plugins.folders import plugin
from tests.unit.plugins.test_codestore import TAMPERED, contents, is_true


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a plugin with a package in it."""
    folder = plugin(tmp_path)
    (folder / "pack").mkdir()
    (folder / "pack" / "b.py").write_bytes(b"b = 1\n")
    return folder


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file for old enough; the tests change none within the same tick unseen."""
    monkeypatch.setattr(sightings, "YOUNG_NS", 0)
    monkeypatch.setattr(sightings, "SHARED_S", 0.0)


@pytest.fixture
def store(tmp_path: Path, old: None) -> Iterator[CodeStore]:
    """Yield an empty store that remembers, and open its copies up afterwards."""
    yield CodeStore(tmp_path / "store", Sightings(tmp_path / "seen"))
    for path, _, _ in os.walk(tmp_path / "store"):
        os.chmod(path, 0o700)


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes every reading of a file's bytes an error from then on."""

    def refuse(*_: object) -> Any:
        raise AssertionError("bytes were read")

    def close() -> None:
        monkeypatch.setattr(intake.os, "read", refuse)
        monkeypatch.setattr(intact.hashlib, "file_digest", refuse)

    return close


def warm(store: CodeStore, folder: Path) -> str:
    """Admit *folder* until neither it nor its copy needs reading; return its digest."""
    return {store.admit(folder).tree_digest for _ in range(3)}.pop()


def test_what_has_not_changed_is_not_read_again(
    store: CodeStore, folder: Path, unread: Callable[[], None]
) -> None:
    """Neither the plugin's folder nor its copy; the result is the same as of a first look."""
    first = store.admit(folder)
    warm(store, folder)
    unread()
    assert store.admit(folder) == first


def restoring(path: Path, change: Callable[[], object]) -> None:
    """Make *change* and set the times of *path* back, as a careful attacker does."""
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path, data: bytes) -> None:
    """Put another file in the place of *path*, in one step."""
    beside = path.with_name("beside")
    beside.write_bytes(data)
    os.replace(beside, path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda path: path.write_bytes(path.read_bytes()[::-1]),
    "replaced": lambda path: replaced(path, path.read_bytes()[::-1]),
    "truncated": lambda path: os.truncate(path, 3),
    "a twin of the same size": lambda path: path.with_name("twin.py").write_bytes(b"1"),
    "another one removed": lambda path: path.parents[1].joinpath("plugin.py").unlink(),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_seen_though_size_and_times_are_set_back(
    store: CodeStore, folder: Path, kind: str
) -> None:
    """The time of change is the system's: no call sets it back."""
    before = warm(store, folder)
    target = folder / "pack" / "b.py"
    restoring(target, lambda: CHANGES[kind](target))
    admitted = store.admit(folder)
    assert admitted.tree_digest != before
    assert is_true(admitted)


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_copy_that_was_tampered_with_is_seen_and_replaced(
    store: CodeStore, folder: Path, kind: str
) -> None:
    """Each thing that a full look at the copy finds is found without reading it as well."""
    before = warm(store, folder)
    copy = store.root / before.removeprefix("sha256:")
    stat = (copy / "plugin.py").stat()
    TAMPERED[kind](copy)
    if (copy / "plugin.py").is_file() and kind != "linked":
        os.utime(copy / "plugin.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    admitted = store.admit(folder)
    assert admitted.tree_digest == before
    assert is_true(admitted)


def test_a_change_that_leaves_no_trace_does_not_run(store: CodeStore, folder: Path) -> None:
    """Bytes written through an old mapping move no time: what runs is what was checked."""
    target = folder / "plugin.py"
    good = contents(folder)
    with target.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = mapped[0:1]  # what follows on this page is not the first write to it
        before = warm(store, folder)
        mapped[:4] = b"evil"
        admitted = store.admit(folder)
        assert is_true(admitted)
        # A file system that tells has another plugin here.
        assert admitted.tree_digest != before or contents(admitted.path) == good


def test_what_changed_just_now_is_read_again(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within the same tick would look the same, so nothing is kept."""
    seen = Sightings(tmp_path / "seen")
    store = CodeStore(tmp_path / "store", seen)
    monkeypatch.setattr(sightings, "YOUNG_NS", 10**18)
    warm(store, folder)
    assert seen.recall(Source.of(folder)) is None
    monkeypatch.setattr(sightings, "YOUNG_NS", 0)
    warm(store, folder)
    assert seen.recall(Source.of(folder)) is not None
    for path, _, _ in os.walk(tmp_path / "store"):
        os.chmod(path, 0o700)


def test_what_stirs_while_it_is_read_is_not_kept(store: CodeStore, folder: Path) -> None:
    """A file that appears between two looks belongs to neither of them."""
    seen = Sightings(store.root.parent / "other")
    moment = seen.moment()
    before = see(folder)
    (folder / "new.py").touch()
    moment.keep_source(Source.of(folder), before, survey(folder))
    assert seen.recall(Source.of(folder)) is None


def test_bytes_that_were_read_count_for_more_than_what_was_seen(
    store: CodeStore, folder: Path, unread: Callable[[], None]
) -> None:
    """A manifest whose digest is another one has the whole plugin read again."""
    warm(store, folder)
    data = (folder / "plugin.toml").read_bytes()
    store.admit(folder, {"plugin.toml": hashlib.sha256(data).hexdigest()})
    unread()
    store.admit(folder, {"plugin.toml": hashlib.sha256(data).hexdigest()})
    with pytest.raises(AssertionError, match="bytes were read"):
        store.admit(folder, {"plugin.toml": hashlib.sha256(b"other").hexdigest()})


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"\x92\x90\xc0"])
def test_a_broken_record_is_none(store: CodeStore, folder: Path, data: bytes) -> None:
    """The plugin is read again, as if it had never been seen."""
    before = warm(store, folder)
    for record in (store.root.parent / "seen").iterdir():
        record.write_bytes(data)
    assert store.admit(folder).tree_digest == before
    assert Sightings(store.root.parent / "seen").recall(Source.of(folder)) is not None


def test_a_system_without_a_time_of_change_reads_each_time(
    store: CodeStore, folder: Path, unread: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Windows calls the time of change is that of creation."""
    monkeypatch.setattr(sightings, "_CHANGES_HAVE_TIMES", False)
    warm(store, folder)
    unread()
    with pytest.raises(AssertionError, match="bytes were read"):
        store.admit(folder)


def test_nothing_but_records_stays(store: CodeStore, folder: Path) -> None:
    """One for the folder and one for its copy, whatever number of boots there were."""
    warm(store, folder)
    names = [path.name for path in (store.root.parent / "seen").iterdir()]
    assert len(names) == 2
    assert not any(name.startswith(".") for name in names)


def test_a_record_that_cannot_be_kept_costs_nothing_else(
    store: CodeStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk under the records does not stop a boot."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sightings.os, "replace", full)
    assert is_true(store.admit(folder))


def test_one_moment_is_that_of_many_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system is asked for its time once in a while, and not once for each plugin."""
    time = [10.0]
    seen = Sightings(tmp_path / "seen", now=lambda: time[0])
    first = seen.moment()
    assert all(seen.moment() is first for _ in range(50))
    time[0] += sightings.SHARED_S
    assert seen.moment() is not first
    assert seen.moment().ns >= first.ns
    assert list((tmp_path / "seen").iterdir()) == []


def test_a_shared_moment_has_no_young_file_pass_for_old(tmp_path: Path, folder: Path) -> None:
    """It is never later than the look itself: what changed since then is not kept."""
    seen = Sightings(tmp_path / "seen", now=lambda: 10.0)
    seen.moment()
    target = folder / "plugin.py"
    target.write_bytes(target.read_bytes())
    seen.moment().keep_source(Source.of(folder), see(folder), survey(folder))
    assert seen.recall(Source.of(folder)) is None


def test_a_boot_right_after_the_first_writes_no_copy(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing may be believed of files that are so young: they are read, and nothing is written."""
    first = CodeStore(tmp_path / "store", Sightings(tmp_path / "seen")).admit(folder)
    again = CodeStore(tmp_path / "store", Sightings(tmp_path / "seen"))
    monkeypatch.setattr(codestore.tempfile, "mkdtemp", lambda **_: pytest.fail("it was copied"))
    assert again.admit(folder) == first
    assert list((tmp_path / "seen").iterdir()) == []
    for path, _, _ in os.walk(tmp_path / "store"):
        os.chmod(path, 0o700)
