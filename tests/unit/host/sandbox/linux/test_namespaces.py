"""What a worker's own root holds, decided in the host."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from nxkernel.host.sandbox.linux.namespaces import RootView, links_on, refused, root_view


def view(**given: Any) -> RootView:
    empty: dict[str, Any] = {"read": (), "write": (), "names": (), "scratch": (), "scratch_mb": 1}
    return root_view(**{**empty, **given})


def test_paths_come_once(tmp_path: Path) -> None:
    """What lies below another path of its kind comes with it."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    outer = str(tmp_path / "a")
    assert view(read=[str(inner), outer, outer]).read == (outer,)


def test_what_may_be_written_is_not_made_read_only(tmp_path: Path) -> None:
    """Rights add up, as in a Landlock ruleset: one world at either level."""
    inner = tmp_path / "b"
    inner.mkdir()
    folder = str(tmp_path)
    assert view(read=[str(inner)], write=[folder]) == view(write=[folder])
    both = view(read=[folder], write=[str(inner)])
    assert (both.read, both.write) == ((folder,), (str(inner),))


def test_what_does_not_exist_is_left_out(tmp_path: Path) -> None:
    """An optional path that is missing needs no place in the root."""
    assert view(read=[str(tmp_path / "none")], write=[str(tmp_path / "no")]) == view()


def test_links_are_made_where_a_name_leads_through_one(tmp_path: Path) -> None:
    """A library that is known by a linked name is found by it, whatever the link is made of."""
    base = Path(os.path.realpath(tmp_path))
    (base / "lib-3" / "x").mkdir(parents=True)
    (base / "lib").symlink_to("lib-3")
    (base / "old").symlink_to(base / "lib")
    found = list(links_on(str(base / "old" / "x")))
    assert found == [(str(base / "old"), str(base / "lib")), (str(base / "lib"), "lib-3")]
    seen = view(read=[str(base / "lib-3")], names=[str(base / "old" / "x")])
    assert seen.links == tuple(sorted(found))


def test_links_inside_a_granted_folder_come_with_it(tmp_path: Path) -> None:
    """The root has them already."""
    base = Path(os.path.realpath(tmp_path))
    (base / "lib").symlink_to("elsewhere")
    assert view(read=[str(base)], names=[str(base / "lib")]).links == ()


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """A broken system is no reason to hang."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert 0 < len(list(links_on(str(tmp_path / "a")))) < 100


@pytest.mark.parametrize(
    ("number", "how", "advice"),
    [
        (errno.EPERM, "was refused: Op", "allow unprivileged user namespaces"),
        (errno.ENOSPC, "was refused: No", "user.max_user_namespaces"),
        (errno.EIO, "was refused: In", "nxkernel doctor"),
        (None, "failed; look", "nxkernel doctor"),
    ],
)
def test_a_refused_step_says_what_to_do(number: int | None, how: str, advice: str) -> None:
    """The step, its errno, what to change, and the level that needs none of it."""
    error = refused("pivot_root", number)
    assert error.code == "sandbox.unavailable"
    assert error.message.startswith(f"level isolated: pivot_root {how}")
    assert advice in error.message
    assert 'Sandbox(require="confined")' in error.message
    assert error.details == {
        "guarantee": "namespaces",
        "step": "pivot_root",
        "errno": number or 0,
    }
