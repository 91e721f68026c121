"""Launch profiles: from where workers import, and what their interpreter is started with."""

from __future__ import annotations

import sysconfig

import pytest

from nxkernel import _forks
from nxkernel.kernel.profiles import code_folders


def test_where_packages_are_is_asked_while_nobody_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter may answer under a lock of its own, which a forked child would inherit."""
    get_path, held = sysconfig.get_path, list[bool]()

    def asked(name: str) -> str:
        held.append(_forks.whole()._is_owned())  # type: ignore[attr-defined]
        return get_path(name)

    monkeypatch.setattr(sysconfig, "get_path", asked)
    folders = code_folders()
    assert get_path("purelib") in folders
    assert held
    assert all(held)
