"""What each level promises, and what counts as held."""

from __future__ import annotations

from nxkernel.kernel.axes import Axis, axes


def named(level: str, name: str, seen: str) -> Axis:
    (axis,) = [axis for axis in axes(level, {name: seen}) if axis.name == name]  # type: ignore[arg-type]
    return axis


def promised(level: str) -> set[str]:
    return {axis.name for axis in axes(level, {}) if axis.promised}  # type: ignore[arg-type]


def test_a_stronger_level_promises_more() -> None:
    """Each level has what the weaker ones have, and something else."""
    assert promised("process") < promised("confined") < promised("isolated")
    assert promised("isolated") == {axis.name for axis in axes("isolated", {})}
    assert {"leak.files", "leak.hostname", "limit.scratch"} <= promised("isolated")
    assert "read.secret" not in promised("process")


def test_what_was_not_tried_is_not_denied() -> None:
    """An axis that the probe left out does not pass."""
    assert not any(axis.denied for axis in axes("confined", {}))


def test_a_file_of_the_host_is_denied_or_not_there() -> None:
    """In a root of its own a file may be absent; at `confined` that would prove nothing."""
    assert named("isolated", "read.secret", "ENOENT").denied
    assert not named("confined", "read.secret", "ENOENT").denied
    assert named("confined", "read.secret", "EACCES").denied


def test_its_own_folder_must_stay_open() -> None:
    """A level that denies everything would pass every other axis."""
    assert named("isolated", "write.own", "went through").denied
    assert not named("isolated", "write.own", "ENOENT").denied
