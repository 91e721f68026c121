"""The look from outside: a worker that is not confined is never given plugin code."""

from __future__ import annotations

import os
import subprocess

import pytest

from nxkernel.errors import SandboxUnavailable
from nxkernel.host.sandbox.linux import check

CONFINED = dict(check.EXPECTED)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("NoNewPrivs", "0"), ("Seccomp", "0"), ("Seccomp", "1"), ("Threads", "2")),
        *(("CapEff", "0000000000000001"), ("CapPrm", "000001ffffffffff")),
    ],
)
def test_one_field_is_enough(monkeypatch: pytest.MonkeyPatch, field: str, value: str) -> None:
    """Each guarantee is looked at by itself, and named."""
    monkeypatch.setattr(check, "status_fields", lambda pid: {**CONFINED, field: value})
    with pytest.raises(SandboxUnavailable, match=f"{field} is {value}"):
        check.check_status(1)


def test_missing_field_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that does not say is not trusted."""
    silent = {name: value for name, value in CONFINED.items() if name != "Seccomp"}
    monkeypatch.setattr(check, "status_fields", lambda pid: silent)
    with pytest.raises(SandboxUnavailable, match="Seccomp is None"):
        check.check_status(1)


def test_confined_worker_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a confined worker shows is accepted."""
    monkeypatch.setattr(check, "status_fields", lambda pid: CONFINED)
    check.check_status(1)


def test_this_process_is_not_confined() -> None:
    """The real file of a real process, without the pid in the message."""
    with pytest.raises(SandboxUnavailable, match="NoNewPrivs is 0") as caught:
        check.check_status(os.getpid())
    assert str(os.getpid()) not in caught.value.message


def test_process_that_ended() -> None:
    """A worker that died before it could be looked at is not confined."""
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    with pytest.raises(SandboxUnavailable, match="it ended"):
        check.check_status(gone.pid)


FORK, TEMPLATE = {"PPid": "5", "Seccomp_filters": "2"}, {"Seccomp_filters": "1"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"PPid": "6"}, "no child of its template"),
        ({"Seccomp_filters": "1"}, "no filter of its own"),
        ({"Seccomp_filters": "3"}, "no filter of its own"),
    ],
)
def test_a_fork_that_is_not_what_it_must_be(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], words: str
) -> None:
    """It must be the template's child, with exactly one filter more."""
    shown = {7: {**FORK, **changed}, 5: TEMPLATE}
    monkeypatch.setattr(check, "status_fields", shown.__getitem__)
    with pytest.raises(SandboxUnavailable, match=words):
        check.check_fork(7, 5)


@pytest.mark.parametrize(
    "shown",
    [
        {7: FORK, 5: TEMPLATE},
        {7: {**FORK, "Seccomp_filters": "0"}, 5: {"Seccomp_filters": "0"}},
        {7: {"PPid": "5"}, 5: {}},
    ],
    ids=["confined", "process", "old kernel"],
)
def test_a_fork_that_is(monkeypatch: pytest.MonkeyPatch, shown: dict[int, dict[str, str]]) -> None:
    """Without walls, and where the kernel counts no filters, descent is all that there is."""
    monkeypatch.setattr(check, "status_fields", shown.__getitem__)
    check.check_fork(7, 5)


def test_a_fork_that_ended() -> None:
    """Nobody is left to be looked at."""
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    with pytest.raises(SandboxUnavailable, match="it or its template has ended"):
        check.check_fork(gone.pid, os.getpid())
    assert check.threads_of(gone.pid) is None


def test_threads_are_counted() -> None:
    """Of this process there is one at least."""
    assert (check.threads_of(os.getpid()) or 0) >= 1
