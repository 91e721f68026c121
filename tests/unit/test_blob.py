"""A blob is a value: named by its content, equal by it, and unchanging."""

from __future__ import annotations

import copy
import hashlib
import pickle
from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel._blob import MAX_BLOBS, NONE, name_of, named, reference, referred, weight
from nxkernel._canonical import NotCanonical, blobs_of, encode
from nxkernel.storage import BlobStore, blob_digest

DATA = b"\x89PNG\r\n\x1a\n"


def test_a_blob_is_named_by_its_content() -> None:
    """Its digest is what `sha256sum` prints and what the blob store calls the bytes."""
    blob = nx.Blob(DATA, "image/png")
    assert blob.digest == "sha256:" + hashlib.sha256(DATA).hexdigest() == blob_digest(DATA)
    assert (blob.size, blob.media, blob.bytes(), bytes(blob)) == (8, "image/png", DATA, DATA)
    assert repr(blob) == f"<Blob {blob.digest} 8 image/png>"
    assert nx.Blob(b"").media == "application/octet-stream"


def test_bytes_are_not_copied() -> None:
    """What cannot change is held as it is; a view of it is of the same memory."""
    blob = nx.Blob(DATA)
    assert blob.bytes() is DATA
    assert blob.view().obj is DATA
    assert blob.view().readonly


@pytest.mark.parametrize(
    "data",
    [bytearray(DATA), memoryview(bytearray(DATA)), memoryview(bytearray(DATA * 2))[:8]],
    ids=["bytearray", "view", "part of a view"],
)
def test_what_may_change_is_copied(data: bytearray | memoryview) -> None:
    """Nobody who still has the original can change the blob."""
    blob = nx.Blob(data)
    memoryview(data)[0] = 0
    assert blob.bytes() == DATA


def test_any_buffer_makes_a_blob() -> None:
    """In the order of its memory, whatever its shape."""
    grid = memoryview(bytes(range(6))).cast("B", (2, 3))
    assert nx.Blob(grid).bytes() == bytes(range(6))
    assert nx.Blob(memoryview(DATA)[::2]).bytes() == DATA[::2]


@pytest.mark.parametrize("data", ["text", 3, None, [1], object()], ids=lambda x: type(x).__name__)
def test_what_has_no_bytes_makes_none(data: object) -> None:
    """A text has bytes in an encoding only, and a number is no length."""
    with pytest.raises(TypeError):
        nx.Blob(data)


@pytest.mark.parametrize(
    "media", ["", "png", "image/PNG", "a/b; c=d", "a/", "/b", "a/b\n", "ä/b", "a" * 64 + "/b"]
)
def test_a_media_type_is_a_type_and_a_subtype(media: str) -> None:
    """One spelling each, so that equal types are equal texts."""
    with pytest.raises(ValueError, match="no media type; write type/subtype"):
        nx.Blob(DATA, media)
    with pytest.raises(ValueError, match="no media type; write type/subtype"):
        nx.Blob.from_file("/there/is/none", media)


def test_blobs_are_equal_by_digest_and_media_type() -> None:
    """Also where one was made of a copy; as keys they are one."""
    one, same = nx.Blob(DATA, "image/png"), nx.Blob(bytearray(DATA), "image/png")
    other, raw = nx.Blob(DATA + b"x", "image/png"), nx.Blob(DATA, "image/x-raw")
    assert one == same
    assert {one, same, other, raw} == {one, other, raw}
    assert one != DATA


def test_a_blob_does_not_change() -> None:
    """Nothing of it can be set, deleted or added; a copy of it is equal."""
    blob = nx.Blob(DATA)
    for name in ("media", "digest", "_store", "more"):
        with pytest.raises(AttributeError):
            setattr(blob, name, b"")
        with pytest.raises(AttributeError):
            delattr(blob, name)
    with pytest.raises(TypeError):
        blob.view()[0] = 1
    assert copy.deepcopy(blob) == pickle.loads(pickle.dumps(blob)) == blob


def test_a_blob_of_a_file(tmp_path: Path) -> None:
    """All of it, as it is now."""
    path = tmp_path / "image"
    path.write_bytes(DATA)
    blob = nx.Blob.from_file(path, "image/png")
    path.write_bytes(b"")
    assert blob == nx.Blob(DATA, "image/png")
    with pytest.raises(FileNotFoundError):
        nx.Blob.from_file(tmp_path / "none")


def test_the_store_takes_and_gives_blobs(tmp_path: Path) -> None:
    """Under the blob's own digest; the media type is the caller's to remember."""
    store, blob = BlobStore(tmp_path), nx.Blob(DATA, "image/png")
    assert store.put(blob) == blob.digest == store.put(DATA) == blob_digest(blob)
    assert store.blob(blob.digest, "image/png") == blob
    assert store.blob(blob.digest).media == "application/octet-stream"
    view = named(memoryview(DATA), name_of(blob))
    assert BlobStore(tmp_path / "other").put(view) == blob.digest


def test_a_reference_is_resolved_among_given_blobs() -> None:
    """By name; size must agree, and the media type is the reference's."""
    blob, raw = nx.Blob(DATA, "image/png"), nx.Blob(DATA, "image/x-raw")
    blobs = {name_of(blob): blob}
    assert referred(reference(blob), blobs) is blob
    assert referred(reference(raw), blobs) == raw
    assert referred(reference(raw), blobs).view().obj is DATA
    for wrong in (reference(blob)[:-4], reference(blob)[:40], b"", reference(nx.Blob(b"x"))):
        with pytest.raises(ValueError, match="refer"):
            referred(wrong, blobs)
    with pytest.raises(ValueError, match="did not come"):
        referred(reference(blob), NONE)
    assert weight(blobs) == len(DATA)


def test_a_value_has_so_many_blobs_at_most() -> None:
    """Whoever has more small ones sends them as bytes; equal ones count once."""
    blobs = [nx.Blob(n.to_bytes(2, "little")) for n in range(MAX_BLOBS)] * 2
    assert len(blobs_of(blobs, encode(blobs))) == MAX_BLOBS
    blobs.append(nx.Blob(b"one more"))
    with pytest.raises(NotCanonical, match="more than 1024 blobs"):
        blobs_of(blobs, encode(blobs))
