"""The file of a recording: appended to, deduplicated, checked when it is read."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel._blob import Blob, name_of
from nxkernel._canonical import digest, encode
from nxkernel.recording.frames import frame
from nxkernel.recording.pack import NAME, Pack, PackWriter, raw_name

VALUE = encode({"a": 1})
VALUE_NAME = digest(VALUE)
BLOB = Blob(b"pixels")


def written(folder: Path) -> Path:
    """A file with a value, a blob and a record."""
    writer = PackWriter(folder / NAME)
    writer.append(
        frame("c", b"record"), values={raw_name(VALUE_NAME): VALUE}, blobs={name_of(BLOB): BLOB}
    )
    writer.close()
    return folder / NAME


def test_objects_come_back_by_their_names(tmp_path: Path) -> None:
    """Values by canonical digest, blobs by the SHA-256 of their bytes; records in order."""
    pack = Pack.open(written(tmp_path).parent)
    assert pack.value(VALUE_NAME) == VALUE
    assert pack.blobs((name_of(BLOB),)) == {name_of(BLOB): BLOB}
    assert [pack.body(each) for each in pack.records] == [b"record"]
    assert pack.torn == 0
    pack.close()


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    """The pack is content-addressed: a second append of the same objects adds no byte."""
    writer = PackWriter(tmp_path / NAME)
    objects = {"values": {raw_name(VALUE_NAME): VALUE}, "blobs": {name_of(BLOB): BLOB}}
    writer.append(**objects)
    size = (tmp_path / NAME).stat().st_size
    writer.append(**objects)
    assert (tmp_path / NAME).stat().st_size == size
    writer.close()


def test_a_torn_tail_is_named_by_its_size(tmp_path: Path) -> None:
    """What stands before it is read as ever."""
    path = written(tmp_path)
    path.write_bytes(path.read_bytes() + frame("e", b"cut off")[:-2])
    pack = Pack.open(path)
    assert pack.torn == len(frame("e", b"cut off")) - 2
    assert pack.value(VALUE_NAME) == VALUE
    pack.close()


def test_an_object_with_another_name_is_damage(tmp_path: Path) -> None:
    """A whole frame whose bytes are not what its name says is no object of that name."""
    writer = PackWriter(tmp_path / NAME)
    writer.append(values={raw_name(VALUE_NAME): b"\x80"}, blobs={b"n" * 32: BLOB})
    writer.close()
    pack = Pack.open(tmp_path)
    for read in (lambda: pack.value(VALUE_NAME), lambda: pack.blobs((b"n" * 32,))):
        with pytest.raises(nx.IntegrityError) as caught:
            read()
        assert caught.value.code == "recording.damaged"
    pack.close()


def test_an_object_that_is_not_there_is_damage(tmp_path: Path) -> None:
    """A record that refers to it cannot be what was written."""
    pack = Pack.open(written(tmp_path))
    with pytest.raises(nx.IntegrityError, match="is not in it"):
        pack.value(digest(b"\xc0"))
    pack.close()


def test_a_changed_byte_is_damage(tmp_path: Path) -> None:
    """In a body it is found when that is read, in a head at once."""
    path = written(tmp_path)
    whole = path.read_bytes()
    for at in (20, whole.index(VALUE) + 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(nx.IntegrityError, match=r"pack: "):
            read(path)


def read(path: Path) -> bytes:
    """Return the value, and close the file again."""
    with closing(Pack.open(path)) as pack:
        return pack.value(VALUE_NAME)


def test_a_run_without_a_recording_says_how_to_get_one(tmp_path: Path) -> None:
    """The message names what the stack has to list."""
    with pytest.raises(nx.StorageError, match=r"nx\.Recording\(run\)") as caught:
        Pack.open(tmp_path)
    assert caught.value.code == "recording.missing"


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """It holds what calls and answers hold."""
    assert written(tmp_path).stat().st_mode & 0o077 == 0


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """Append only: a second recording of the same run is refused."""
    path = written(tmp_path)
    before = path.read_bytes()
    with pytest.raises(nx.StorageError, match="File exists") as caught:
        PackWriter(path)
    assert caught.value.code == "recording.failed"
    assert path.read_bytes() == before


def test_a_failed_write_leaves_whole_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes half a frame; it is taken back, and the next write follows the last."""
    writer = PackWriter(tmp_path / NAME)
    writer.append(frame("c", b"one"))
    file = writer._file

    class Full:
        """Takes three bytes and then no more."""

        def __getattr__(self, name: str) -> object:
            return getattr(file, name)

        def write(self, data: memoryview) -> int:
            if len(data) < len(frame("c", b"two")):
                raise OSError(28, "No space left on device")
            return file.write(data[:3])

    monkeypatch.setattr(writer, "_file", Full())
    with pytest.raises(nx.StorageError, match="No space left on device"):
        writer.append(frame("c", b"two"))
    monkeypatch.setattr(writer, "_file", file)
    writer.append(frame("c", b"three"))
    writer.close()
    pack = Pack.open(tmp_path)
    assert [pack.body(each) for each in pack.records] == [b"one", b"three"]
    pack.close()


def test_threads_do_not_tear_each_other_apart(tmp_path: Path) -> None:
    """What is appended in one piece stays together."""
    writer = PackWriter(tmp_path / NAME)

    def append(number: int) -> None:
        for _ in range(50):
            writer.append(frame("c", b"%d" % number), frame("e", b"%d" % number))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    writer.close()
    pack = Pack.open(tmp_path)
    bodies = [pack.body(each) for each in pack.records]
    pack.close()
    assert len(bodies) == 400
    assert bodies[::2] == bodies[1::2]
