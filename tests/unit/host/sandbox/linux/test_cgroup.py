"""Whether a control group can be made is tried, whatever the files say."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nxkernel.host.sandbox.linux import cgroup
from nxkernel.host.sandbox.linux.cgroup import cgroup_delegated


def membership(tmp_path: Path, *lines: str) -> str:
    file = tmp_path / "membership"
    file.write_text("".join(f"{line}\n" for line in lines))
    return str(file)


def hierarchy(monkeypatch: pytest.MonkeyPatch, folder: Path, limit: str) -> None:
    """Let a new folder below *folder* have the file *limit*, as the kernel would."""
    folder.mkdir(parents=True)
    make, remove = os.mkdir, os.rmdir

    def mkdir(path: str, mode: int = 0o777) -> None:
        make(path, mode)
        if limit:
            (Path(path) / limit).write_text("max")

    def rmdir(path: str) -> None:
        for name in os.listdir(path):
            os.unlink(f"{path}/{name}")
        remove(path)

    monkeypatch.setattr(cgroup.os, "mkdir", mkdir)
    monkeypatch.setattr(cgroup.os, "rmdir", rmdir)


@pytest.mark.parametrize(
    ("line", "place", "limit", "version"),
    [
        ("0::/user/me", "user/me", "memory.max", 2),
        ("0::/user/me", "unified/user/me", "memory.max", 2),
        ("4:memory:/", "memory", "memory.limit_in_bytes", 1),
    ],
)
def test_a_group_that_limits_memory(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    line: str,
    place: str,
    limit: str,
    version: int,
) -> None:
    """It was made, had its limit, and is gone again."""
    own = tmp_path / "mount" / place
    hierarchy(monkeypatch, own, limit)
    found = cgroup_delegated(str(tmp_path / "mount"), membership(tmp_path, line))
    assert (found.ok, found.value) == (True, version)
    assert list(own.iterdir()) == []


def test_a_group_without_the_controller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder could be made, but nothing in it limits memory."""
    hierarchy(monkeypatch, tmp_path / "mount" / "me", "")
    found = cgroup_delegated(str(tmp_path / "mount"), membership(tmp_path, "0::/me"))
    assert (found.ok, found.detail) == (False, "no hierarchy with the memory controller")


def test_a_group_that_may_not_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The errno is told."""

    def refused(path: str) -> None:
        raise OSError(errno.EACCES, "Permission denied", path)

    (tmp_path / "mount" / "me").mkdir(parents=True)
    monkeypatch.setattr(cgroup.os, "mkdir", refused)
    found = cgroup_delegated(str(tmp_path / "mount"), membership(tmp_path, "0::/me"))
    assert (found.ok, found.errno, found.step) == (False, errno.EACCES, "mkdir")


def test_a_system_without_groups(tmp_path: Path) -> None:
    """No file of memberships is an answer too."""
    assert not cgroup_delegated(str(tmp_path), str(tmp_path / "none")).ok


def test_this_machine_is_left_as_it_was() -> None:
    """Whatever comes of it here, no group stays."""
    first, second = cgroup_delegated(), cgroup_delegated()
    assert first == second
