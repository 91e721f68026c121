"""What a boot does once for all plugins, what it does side by side, and in which order."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import nxkernel as nx
from nxkernel.host.launch import Launch
from nxkernel.host.zygote import Zygote
from nxkernel.host.zygotes import Zygotes
from nxkernel.kernel.roster import Roster
from nxkernel.middleware.audit import Audit
from tests.support.zoo import Zoo, build, patient

pytestmark = pytest.mark.usefixtures("confinement")

MANY = ("prints", "dies", "floods")


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """Return what grows with each call of *owner*'s *name*."""
    calls: list[Any] = []
    whole: Callable[..., Any] = getattr(owner, name)

    def count(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return whole(*arguments, **options)

    monkeypatch.setattr(owner, name, count)
    return calls


def lookups(folder: Path, *animals: str) -> int:
    """How often a kernel of *animals*, each called once, asks where this Python's libraries are."""
    with pytest.MonkeyPatch.context() as patch:
        calls = counted(patch, sysconfig, "get_path")
        with patient(folder, *animals) as kernel:
            assert all(Zoo(kernel).answers(animal) for animal in animals)
        return len(calls)


def test_what_is_the_same_for_all_is_looked_up_once(tmp_path: Path) -> None:
    """Where libraries lie is asked once for a kernel, however many plugins start."""
    assert lookups(tmp_path / "many", *MANY) == lookups(tmp_path / "one", MANY[0])


def test_zygote_imports_while_plugins_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been started when the first manifest is read, and nobody has waited for it."""
    order: list[str] = []
    for owner, name in ((Zygotes, "begin"), (Roster, "enlist"), (Zygote, "greet")):
        whole = getattr(owner, name)

        def note(*arguments: Any, _name: str = name, _whole: Any = whole) -> Any:
            order.append(_name)
            return _whole(*arguments)

        monkeypatch.setattr(owner, name, note)
    with build(tmp_path, "prints") as kernel:
        assert Zoo(kernel).answers("prints")
    assert order[:2] == ["begin", "enlist"]
    assert order.count("greet") == 1


def test_no_worker_is_asked_for_before_the_header_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The zygote may be there; whatever is forked of it comes after the audit's first row."""
    order: list[str] = []
    boot, start = Audit.boot, Zygotes.start

    def booted(self: Audit, facts: Any) -> None:
        boot(self, facts)
        order.append("header")

    def started(self: Zygotes, launch: Launch, *arguments: Any) -> Any:
        order.append("worker")
        return start(self, launch, *arguments)

    monkeypatch.setattr(Audit, "boot", booted)
    monkeypatch.setattr(Zygotes, "start", started)
    with build(tmp_path, "prints"):
        pass
    assert order[0] == "header"
    assert "worker" in order


def test_boot_that_fails_on_files_leaves_no_process(tmp_path: Path) -> None:
    """What was started ahead of the lockfile ends with the boot that the lockfile stops."""
    lock = tmp_path / "nxkernel.lock"
    lock.write_text("this is no lockfile")
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with pytest.raises(nx.LockMismatch), build(tmp_path / "data", "prints", lock=lock):
        pass
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before
