"""The blob store keeps raw bytes under their own digest, once and for all."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.errors import StorageError
from nxkernel.storage.blobs import BlobStore, blob_digest
from nxkernel.types import Digest


def stored_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


@given(st.binary(max_size=256))
def test_name_is_the_plain_sha256(data: bytes) -> None:
    """A blob's name is what `sha256sum` prints for its bytes."""
    assert blob_digest(data) == "sha256:" + hashlib.sha256(data).hexdigest()


def test_put_then_get(tmp_path: Path) -> None:
    """What was put comes back byte for byte."""
    store = BlobStore(tmp_path)
    digest = store.put(b"\x00raw\xff")
    assert store.get(digest) == b"\x00raw\xff"
    assert store.has(digest)


def test_put_twice_is_one_file(tmp_path: Path) -> None:
    """Equal bytes are stored once, and nothing is left in the incoming folder."""
    store = BlobStore(tmp_path)
    assert store.put(b"same") == store.put(b"same")
    assert len(stored_files(tmp_path)) == 1


def test_blobs_are_sharded_and_read_only(tmp_path: Path) -> None:
    """A blob lies in a folder named by its first two digits and may not be written."""
    digest = BlobStore(tmp_path).put(b"x")
    (file,) = stored_files(tmp_path)
    assert digest == f"sha256:{file.parent.name}{file.name}"
    assert file.stat().st_mode & 0o222 == 0


def test_changed_bytes_are_refused(tmp_path: Path) -> None:
    """Bytes that no longer match their name are an error for both get and put."""
    store = BlobStore(tmp_path)
    digest = store.put(b"evidence")
    (file,) = stored_files(tmp_path)
    os.chmod(file, 0o644)
    file.write_bytes(b"forgery!")
    with pytest.raises(StorageError, match="do not match their name"):
        store.get(digest)
    with pytest.raises(StorageError, match="do not match their name"):
        store.put(b"evidence")
    assert file.read_bytes() == b"forgery!"


def test_unknown_blob(tmp_path: Path) -> None:
    """A name that was never stored is named in the error."""
    store = BlobStore(tmp_path)
    digest = blob_digest(b"never")
    assert not store.has(digest)
    with pytest.raises(StorageError, match=digest):
        store.get(digest)


@pytest.mark.parametrize(
    "name", ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 32, "sha256:" + "G" * 64]
)
def test_malformed_names_never_become_paths(tmp_path: Path, name: str) -> None:
    """Only a well-formed digest is looked up; a path is not one."""
    store = BlobStore(tmp_path)
    with pytest.raises(StorageError, match="is no blob digest"):
        store.get(Digest(name))
    with pytest.raises(StorageError, match="is no blob digest"):
        store.has(Digest(name))


def test_concurrent_puts_agree(tmp_path: Path) -> None:
    """Many writers of the same bytes end with one whole blob."""
    data = b"frame" * 10_000
    digests: list[Digest] = []
    threads = [
        threading.Thread(target=lambda: digests.append(BlobStore(tmp_path).put(data)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [blob_digest(data)] * 8
    assert len(stored_files(tmp_path)) == 1


def test_a_failed_put_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses, the error says so and no half blob remains."""
    store = BlobStore(tmp_path)

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="No space left on device"):
        store.put(b"big")
    assert stored_files(tmp_path) == []


def test_nothing_can_be_deleted() -> None:
    """The store has no way to remove or replace a blob."""
    public = {name for name in dir(BlobStore) if not name.startswith("_")}
    assert public == {"blob", "get", "has", "put"}
