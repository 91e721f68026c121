"""Byte code of what workers import, which the process that they come from may keep."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import pytest

import nxkernel as nx
from nxkernel.host.zygote import Zygote
from nxkernel.kernel.profiles import default_profile


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """A folder with a module for a zygote to import."""
    (tmp_path / "prepares.py").write_text("ready = True\n")
    return tmp_path


def begin_and_end(folder: Path) -> None:
    profile = default_profile(nx.Hosting(), "process")
    sys_path = (str(folder), *profile.sys_path)
    zygote = Zygote(attrs.evolve(profile, sys_path=sys_path, preload=("prepares",)))
    zygote.end()
    zygote.close()


def test_byte_code_is_kept_where_the_host_keeps_it(
    imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the source, as for any program."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    begin_and_end(imported)
    assert list(imported.glob("__pycache__/prepares.*.pyc"))


def test_none_is_kept_where_the_host_keeps_none(
    imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With -B or PYTHONDONTWRITEBYTECODE no folder is touched."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    begin_and_end(imported)
    assert [each.name for each in imported.iterdir()] == ["prepares.py"]


def test_none_is_kept_where_the_host_keeps_its_own_elsewhere(
    imported: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """PYTHONPYCACHEPREFIX is given so that nothing lies beside the sources: nothing does."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(elsewhere))
    begin_and_end(imported)
    assert [each.name for each in imported.iterdir()] == ["prepares.py"]
