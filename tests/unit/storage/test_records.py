"""Records are appended to stored blobs and never change."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from nxkernel.errors import StorageError
from nxkernel.storage.blobs import BlobStore, blob_digest
from nxkernel.storage.records import RecordStore
from nxkernel.types import Digest


class Clock:
    """A clock that stands still."""

    def monotonic(self) -> float:
        return 0.0

    def wall_ns(self) -> int:
        return 1_700_000_000_000_000_000


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def store(tmp_path: Path, blobs: BlobStore) -> Iterator[RecordStore]:
    store = RecordStore(tmp_path / "records.sqlite", blobs, Clock())
    yield store
    store.close()


@pytest.fixture
def frame(blobs: BlobStore) -> Digest:
    return blobs.put(b"frame")


def test_records_come_back_in_order(store: RecordStore, frame: Digest, blobs: BlobStore) -> None:
    """Records of one kind about one blob come back as appended, oldest first."""
    other = blobs.put(b"other frame")
    assert store.append("tokens", frame, "ocr.a", {"tokens": [1]}) == 1
    assert store.append("layout", frame, "layout.b", {}) == 2
    assert store.append("tokens", other, "ocr.a", {}) == 3
    assert store.append("tokens", frame, "ocr.c", {"tokens": [2]}) == 4
    found = store.of("tokens", frame)
    assert [(r.seq, r.provider, r.value) for r in found] == [
        (1, "ocr.a", {"tokens": [1]}),
        (4, "ocr.c", {"tokens": [2]}),
    ]
    assert [r.seq for r in store.kind("tokens")] == [1, 3, 4]


def test_raw_first(store: RecordStore) -> None:
    """Nothing is recorded about bytes that are not stored."""
    with pytest.raises(StorageError, match="put the raw bytes first"):
        store.append("tokens", blob_digest(b"never stored"), "ocr.a", {})
    assert store.kind("tokens") == ()


@pytest.mark.parametrize("body", [{1: "x"}, float("nan"), {"x": object()}, {"x": "\ud800"}])
def test_bodies_are_canonical(store: RecordStore, frame: Digest, body: object) -> None:
    """A value without canonical bytes is refused and leaves no record."""
    with pytest.raises(StorageError, match="body of a record of kind 'tokens'"):
        store.append("tokens", frame, "ocr.a", body)
    assert store.kind("tokens") == ()


def test_equal_content_has_an_equal_digest(store: RecordStore, frame: Digest) -> None:
    """The digest says what was recorded, not when or where; each part counts."""
    for kind, provider, body in [
        ("a", "p", {"x": 1, "y": 2}),
        ("a", "p", {"y": 2, "x": 1}),
        ("a", "q", {"x": 1, "y": 2}),
        ("a", "p", {"x": 1, "y": 3}),
    ]:
        store.append(kind, frame, provider, body)
    first, same, provider, body = (record.digest for record in store.of("a", frame))
    assert first == same
    assert len({first, provider, body}) == 3


def test_it_survives_reopening(tmp_path: Path, blobs: BlobStore, frame: Digest) -> None:
    """A second process finds what the first one appended and goes on after it."""
    path = tmp_path / "again" / "records.sqlite"
    first = RecordStore(path, blobs, Clock())
    first.append("tokens", frame, "ocr.a", [])
    first.close()
    second = RecordStore(path, blobs, Clock())
    assert second.append("tokens", frame, "ocr.a", []) == 2
    second.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM records",
        "UPDATE records SET provider = 'evil'",
        "INSERT OR REPLACE INTO records SELECT 1, kind, subject, 'evil', body, digest FROM records",
    ],
)
def test_the_file_itself_refuses_changes(
    tmp_path: Path, store: RecordStore, frame: Digest, statement: str
) -> None:
    """Also another program that opens the file can neither update, delete nor replace."""
    store.append("tokens", frame, "ocr.a", {})
    stranger = sqlite3.connect(tmp_path / "records.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        stranger.execute(statement)
    stranger.close()
    assert [record.provider for record in store.kind("tokens")] == ["ocr.a"]


def test_an_edited_record_is_noticed(tmp_path: Path, store: RecordStore, frame: Digest) -> None:
    """Who removes the triggers and edits a row is found out by its digest."""
    store.append("tokens", frame, "ocr.a", {})
    stranger = sqlite3.connect(tmp_path / "records.sqlite")
    stranger.execute("DROP TRIGGER records_no_update")
    stranger.execute("UPDATE records SET provider = 'ocr.b'")
    stranger.commit()
    stranger.close()
    with pytest.raises(StorageError, match="record 1 does not match its digest"):
        store.of("tokens", frame)


def test_a_file_of_another_kind_is_refused(tmp_path: Path, blobs: BlobStore) -> None:
    """A database that is no record store is left alone."""
    path = tmp_path / "other.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (text)")
    other.close()
    with pytest.raises(StorageError, match="not a record store"):
        RecordStore(path, blobs, Clock())


def test_nothing_can_be_deleted() -> None:
    """The store has no way to change or remove a record."""
    public = {name for name in dir(RecordStore) if not name.startswith("_")}
    assert public == {"append", "close", "kind", "of"}
