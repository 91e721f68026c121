"""What was witnessed before is believed where nothing has changed, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nxkernel._canonical import decode, encode
from nxkernel.kernel import witnessed
from nxkernel.kernel.witnessed import WitnessCache, grounds

FACTS = {"kernel": "6.18", "machine": "a"}
SEEN = {"list /": "EACCES", "fork": "EPERM"}


@pytest.fixture
def entries(tmp_path: Path) -> Path:
    """A folder in which somebody has kept one entry."""
    folder = tmp_path / "cache" / "witness"
    WitnessCache(folder, FACTS).keep("confined", SEEN)
    return folder


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_kept_is_recalled(entries: Path) -> None:
    """By another kernel over the same data directory, from a private file."""
    assert WitnessCache(entries, FACTS).recall("confined") == SEEN
    assert only(entries).stat().st_mode & 0o777 == 0o600
    assert entries.stat().st_mode & 0o777 == 0o700


def test_another_level_was_not_witnessed(entries: Path) -> None:
    """A level speaks for itself alone."""
    assert WitnessCache(entries, FACTS).recall("isolated") is None


@pytest.mark.parametrize("changed", [{"kernel": "6.19"}, {"machine": "b"}, {"lsm": "landlock"}])
def test_a_change_of_the_grounds_has_it_probed_again(
    entries: Path, changed: dict[str, str]
) -> None:
    """Another kernel, machine or switch: the old entry says nothing about it."""
    assert WitnessCache(entries, {**FACTS, **changed}).recall("confined") is None


def test_an_entry_from_elsewhere_is_not_believed(entries: Path) -> None:
    """A file under the right name that speaks of another machine."""
    other = WitnessCache(entries, {**FACTS, "machine": "b"})
    other.keep("confined", SEEN)
    other._path("confined").replace(WitnessCache(entries, FACTS)._path("confined"))
    assert WitnessCache(entries, FACTS).recall("confined") is None


def edited(data: bytes) -> bytes:
    entry = decode(data)
    entry["witnessed"]["fork"] = "went through"
    return encode(entry)


@pytest.mark.parametrize(
    "damage",
    [
        edited,
        lambda data: data[:-1],
        lambda data: data + b"\xc0",
        lambda data: b"",
        lambda data: encode(["no", "entry"]),
        lambda data: encode({"digest": 1}),
        lambda data: bytes(100_000),
    ],
    ids=["edited", "cut", "longer", "empty", "a list", "a stranger", "large"],
)
def test_damage_has_it_probed_again(entries: Path, damage: Callable[[bytes], bytes]) -> None:
    """Whatever is in the file, it is no error and no testimony."""
    path = only(entries)
    path.write_bytes(damage(path.read_bytes()))
    assert WitnessCache(entries, FACTS).recall("confined") is None


def test_a_file_that_others_may_write_is_not_believed(entries: Path) -> None:
    """Its content may be anybody's."""
    only(entries).chmod(0o620)
    assert WitnessCache(entries, FACTS).recall("confined") is None


def test_a_link_is_not_followed(entries: Path, tmp_path: Path) -> None:
    """Neither to a file that is an entry, nor to one that blocks its reader."""
    path = only(entries)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    assert WitnessCache(entries, FACTS).recall("confined") is None
    path.unlink()
    os.mkfifo(path)
    assert WitnessCache(entries, FACTS).recall("confined") is None


def test_an_empty_account_is_not_kept(tmp_path: Path) -> None:
    """A worker without walls has witnessed nothing."""
    WitnessCache(tmp_path / "none", FACTS).keep("process", {})
    assert not (tmp_path / "none").exists()


def test_a_folder_that_cannot_be_made_costs_only_a_probe(tmp_path: Path) -> None:
    """Keeping is no duty."""
    (tmp_path / "file").write_text("")
    kept = WitnessCache(tmp_path / "file" / "witness", FACTS)
    kept.keep("confined", SEEN)
    assert kept.recall("confined") is None


def test_grounds_are_the_same_twice() -> None:
    """Nothing that varies from boot to boot of the same machine is in them."""
    assert grounds() == grounds()
    assert {"system", "python", "nxkernel", "/etc/machine-id", "status Uid"} <= set(grounds())


def test_grounds_follow_our_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another confinement has to show itself anew, also under the same version."""
    before = grounds()["nxkernel"]
    monkeypatch.setattr(witnessed, "_CODE", (*witnessed._CODE, "_seeds.py"))
    witnessed._code_digest.cache_clear()
    try:
        assert grounds()["nxkernel"] != before
    finally:
        witnessed._code_digest.cache_clear()


def test_grounds_name_the_interpreter_of_workers() -> None:
    """Another one may be built otherwise."""
    assert grounds("/opt/python")["python"] != grounds()["python"]
