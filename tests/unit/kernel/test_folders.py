"""Folders: what the templates of paths stand for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nxkernel.kernel.folders import Templates


def test_a_template_is_looked_up_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that asks for no path costs no look at any; one that is asked for costs one."""
    looks: list[str] = []
    real = os.path.realpath

    def look(path: str) -> str:
        looks.append(str(path))
        return real(path)

    monkeypatch.setattr(os.path, "realpath", look)
    templates = Templates({"run_dir": tmp_path / "run", "media_dir": tmp_path / "media"})
    assert sorted(templates) == ["media_dir", "run_dir"]
    assert looks == []
    assert templates["run_dir"] == templates["run_dir"] == real(tmp_path / "run")
    assert looks == [str(tmp_path / "run")]


def test_a_template_stands_for_the_real_place(tmp_path: Path) -> None:
    """Walls know real paths: a link is followed, also where its end is still to be made."""
    (tmp_path / "link").symlink_to(tmp_path / "place")
    templates = Templates({"media_dir": tmp_path / "link" / "photos"})
    assert templates["media_dir"] == str(tmp_path.resolve() / "place" / "photos")
    assert dict(templates) == {"media_dir": templates["media_dir"]}
    assert len(templates) == 1


def test_a_name_that_is_no_template_is_none() -> None:
    """What nobody knows is an error and no path."""
    with pytest.raises(KeyError):
        Templates({})["media_dir"]
