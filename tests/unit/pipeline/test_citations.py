"""The stored library answers from hashed bytes and recorded tokens alone."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.errors import StorageError
from nxkernel.pipeline.citations import StoredLibrary, union
from nxkernel.storage.blobs import BlobStore, blob_digest
from nxkernel.storage.records import RecordStore
from nxkernel.types import BBox, Digest

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", 640, 480)


class Clock:
    """A clock that stands still."""

    def monotonic(self) -> float:
        return 0.0

    def wall_ns(self) -> int:
        return 0


def tokens(text: str) -> dict[str, list[dict[str, object]]]:
    return {"tokens": [{"text": text, "bbox": [1, 2, 3, 4], "confidence_bp": 9000}]}


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def records(tmp_path: Path, blobs: BlobStore) -> Iterator[RecordStore]:
    store = RecordStore(tmp_path / "records.sqlite", blobs, Clock())
    yield store
    store.close()


def test_evidence_of_a_recorded_frame(blobs: BlobStore, records: RecordStore) -> None:
    """Size comes from the stored image itself, tokens from the newest record."""
    frame = blobs.put(PNG)
    records.append("tokens", frame, "ocr.old", tokens("0ld"))
    records.append("tokens", frame, "ocr.new", tokens("new"))
    evidence = StoredLibrary(blobs, records).evidence(frame)
    assert evidence is not None
    assert (evidence.width, evidence.height) == (640, 480)
    assert [(token.text, token.bbox) for token in evidence.tokens] == [("new", (1, 2, 3, 4))]


def test_unknown_frames_have_no_evidence(blobs: BlobStore, records: RecordStore) -> None:
    """A frame without record, or a name that is none, has no evidence."""
    library = StoredLibrary(blobs, records)
    assert library.evidence(blobs.put(PNG)) is None
    assert library.evidence(blob_digest(b"never stored")) is None
    assert library.evidence(Digest("nonsense")) is None


def test_changed_frames_are_an_error(
    tmp_path: Path, blobs: BlobStore, records: RecordStore
) -> None:
    """A stored frame that was changed proves nothing any more."""
    frame = blobs.put(PNG)
    records.append("tokens", frame, "ocr.a", tokens("x"))
    (file,) = (path for path in (tmp_path / "blobs").rglob("*") if path.is_file())
    os.chmod(file, 0o644)
    file.write_bytes(PNG + b"!")
    with pytest.raises(StorageError, match="do not match their name"):
        StoredLibrary(blobs, records).evidence(frame)


def test_frames_are_png(blobs: BlobStore, records: RecordStore) -> None:
    """What is no PNG has no size, so nothing in it can be cited."""
    frame = blobs.put(b"GIF89a" + b"\0" * 40)
    records.append("tokens", frame, "ocr.a", tokens("x"))
    with pytest.raises(StorageError, match="no PNG"):
        StoredLibrary(blobs, records).evidence(frame)


boxes = st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(51, 100)] * 2)


@given(st.lists(boxes, min_size=1, max_size=6))
def test_union_is_the_smallest_box(given_boxes: list[BBox]) -> None:
    """The union holds every box, and each of its edges is an edge of one of them."""
    whole = union(given_boxes)
    for edge, pick in enumerate((min, min, max, max)):
        assert whole[edge] == pick(box[edge] for box in given_boxes)
