"""The memory killer's count: where it is, and how many ends it explains."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.host.memory_kills import MemoryKills, count_of_group


def test_each_step_explains_one_end() -> None:
    """Two workers killed for one step of the count: only one of them is explained."""
    count = [5]
    kills = MemoryKills(lambda: count[0])
    assert not kills.claim()
    count[0] = 6
    assert kills.claim()
    assert not kills.claim()
    count[0] = 8
    assert [kills.claim() for _ in range(3)] == [True, True, False]


def test_a_count_that_cannot_be_read_explains_nothing() -> None:
    """Also when it comes to be readable later: what happened before is unknown."""
    count: list[int | None] = [None]
    kills = MemoryKills(lambda: count[0])
    count[0] = 7
    assert not kills.claim()
    count[0] = 5
    assert not MemoryKills(lambda: None).claim()


GROUPS = {
    "version 1": (
        "5:cpu,memory:/box\n",
        "31 30 0:1 / {top}/v1 rw,relatime shared:5 - cgroup cgroup rw,cpu,memory\n",
        "v1/box/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    ),
    "version 1 in a container": (
        "5:memory:/docker/ab\n",
        "31 30 0:1 /docker/ab {top}/v1 rw,relatime - cgroup cgroup rw,memory\n",
        "v1/memory.oom_control",
        "oom_kill 3\n",
    ),
    "version 2": (
        "0::/user.slice\n",
        "31 30 0:1 / {top}/v2 rw,relatime - cgroup2 cgroup2 rw\n",
        "v2/user.slice/memory.events",
        "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\n",
    ),
}


@pytest.mark.parametrize("case", GROUPS.values(), ids=GROUPS.keys())
def test_the_count_is_found(tmp_path: Path, case: tuple[str, str, str, str]) -> None:
    """In both versions of control groups, and where a mount shows a part of the tree."""
    groups, mounts, file, text = case
    (tmp_path / "cgroup").write_text(groups)
    (tmp_path / "mountinfo").write_text(mounts.format(top=tmp_path))
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert count_of_group(tmp_path)() == 3


def test_no_count_is_no_number(tmp_path: Path) -> None:
    """Neither without control groups, nor with a group that is mounted nowhere."""
    assert count_of_group(tmp_path)() is None
    (tmp_path / "cgroup").write_text("5:memory:/box\n0::/box\n")
    (tmp_path / "mountinfo").write_text("31 30 0:1 /other /nowhere rw - cgroup cgroup rw,memory\n")
    assert count_of_group(tmp_path)() is None
