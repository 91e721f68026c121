"""Half copies that killed hosts left: swept when they are old, unless somebody still makes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nxkernel.plugins import halves
from nxkernel.plugins.codestore import CodeStore

HOUR_NS = 3600 * 10**9


@pytest.fixture
def half(tmp_path: Path) -> Path:
    place = tmp_path / ".admit-x"
    (place / "inner").mkdir(parents=True)
    (place / "inner" / "plugin.py").write_text("")
    (place / "inner").chmod(0o500)
    os.utime(place, ns=(0, 0))
    return place


def test_an_old_half_copy_is_swept(tmp_path: Path, half: Path) -> None:
    """After more than an hour of the given clock, read-only folders included; nothing else goes."""
    store = CodeStore(tmp_path)
    (tmp_path / "0123").mkdir()
    store.swept(HOUR_NS)
    assert half.exists()
    store.swept(HOUR_NS + 1)
    assert os.listdir(tmp_path) == ["0123"]


def test_what_somebody_holds_stays(tmp_path: Path, half: Path) -> None:
    """A copy may take long, and clocks may jump; its maker's end gives it free."""
    store = CodeStore(tmp_path)
    with halves.held(half) as ours:
        assert ours
        store.swept(2 * HOUR_NS)
        assert half.exists()
    store.swept(2 * HOUR_NS)
    assert not half.exists()
