"""What was tried is remembered; what the fence refuses is named, whatever the error looks like."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from nxkernel.worker.attempts import ATTEMPTS
from nxkernel.worker.denials import Denial, Fence, Lookout, chain_of


@pytest.fixture
def lookout(tmp_path: Path) -> Lookout:
    """A fence around a folder to read and one to write; port 443 is open."""
    for name in ("read", "write", "closed"):
        (tmp_path / name).mkdir()
    (tmp_path / "closed" / "x").write_text("")
    return Lookout(
        Fence(
            level="confined",
            read=(str(tmp_path / "read"),),
            write=(str(tmp_path / "write"),),
            connect=frozenset({443}),
        )
    )


def hear(lookout: Lookout, event: str, *arguments: object) -> list[tuple[str, str]]:
    """Let the lookout hear one event of the interpreter; return what it reports of it."""
    lookout._hear(event, arguments)
    return [(denial.kind, denial.target) for denial in lookout.news()]


def test_open_files(lookout: Lookout, tmp_path: Path) -> None:
    """Outside of the folders, for what it is opened for; inside, nothing is said."""
    closed = f"{tmp_path}/closed/x"
    assert hear(lookout, "open", closed, "r", os.O_RDONLY) == [("read", closed)]
    assert hear(lookout, "open", closed, "a", os.O_WRONLY) == [("write", closed)]
    assert hear(lookout, "open", f"{tmp_path}/read/y", "r", os.O_RDONLY) == []
    assert hear(lookout, "open", f"{tmp_path}/read/y", "w", os.O_CREAT) != []
    assert hear(lookout, "open", f"{tmp_path}/write/y", "w", os.O_CREAT) == []


def test_names_that_only_begin_alike(lookout: Lookout, tmp_path: Path) -> None:
    """A neighbour of a folder is not in it, and `..` leads out of it."""
    (tmp_path / "reader").write_text("")
    assert hear(lookout, "open", f"{tmp_path}/reader", "r", 0) != []
    error = PermissionError(13, "no", f"{tmp_path}/write/../closed/x")
    assert lookout.reasons(error) == [Denial("read", f"{tmp_path}/closed/x")]


def test_what_is_not_there_was_not_refused(lookout: Lookout, tmp_path: Path) -> None:
    """At `confined`, an absent file is absent; at `isolated` nobody inside can tell."""
    assert hear(lookout, "open", f"{tmp_path}/closed/absent", "r", 0) == []
    isolated = Lookout(Fence(level="isolated", read=lookout.fence.read))
    error = FileNotFoundError(2, "No such file", f"{tmp_path}/closed/absent")
    assert isolated.reasons(error) == [Denial("read", f"{tmp_path}/closed/absent")]
    assert lookout.reasons(error) == []


def test_addresses(lookout: Lookout) -> None:
    """Closed ports are reported, open ones are not."""
    assert hear(lookout, "socket.connect", None, ("10.0.0.1", 443)) == []
    assert hear(lookout, "socket.connect", None, ("10.0.0.1", 80)) == [("connect", "10.0.0.1:80")]
    assert hear(lookout, "socket.bind", None, ("", 443)) == [("listen", ":443")]
    assert hear(lookout, "socket.connect", None, "/run/x") == [("unix", "/run/x")]


def test_a_socket_is_for_the_address_that_was_looked_up(lookout: Lookout) -> None:
    """`create_connection` resolves first: a refused socket then has its address."""
    lookout._hear("socket.getaddrinfo", ("h", 80, 0, 1, 0))
    lookout._hear("socket.__new__", (None, 2, 1, 0))
    assert lookout.reasons(PermissionError(13, "no")) == [Denial("connect", "h:80")]


def test_each_is_reported_once_and_few_at_a_time(lookout: Lookout) -> None:
    """A plugin that tries every port fills neither memory nor audit."""
    for port in range(1000, 2000):
        lookout._hear("socket.connect", (None, ("h", port)))
        lookout._hear("socket.connect", (None, ("h", port)))
    reported = [denial for _ in range(100) for denial in lookout.news()]
    assert len(reported) == len(set(reported)) == 256
    assert len(lookout.news()) == 0


@pytest.mark.parametrize("event", sorted(ATTEMPTS))
def test_odd_arguments_are_passed_over(lookout: Lookout, event: str) -> None:
    """The hook never raises into the plugin's code, whatever it passes."""
    for arguments in ((), (None,) * 4, (object(),) * 4, (b"\xff\0",) * 4, (-1,) * 4):
        lookout._hear(event, arguments)


def test_messages_of_compiled_code(lookout: Lookout, tmp_path: Path) -> None:
    """An error without a file name still has it in its words."""
    error = OSError(f"Failed to open local file '{tmp_path}/closed/x'")
    assert lookout.reasons(error) == [Denial("read", f"{tmp_path}/closed/x")]


def test_databases(lookout: Lookout, tmp_path: Path) -> None:
    """sqlite3 names no file: the last one that was asked for is meant."""
    lookout._hear("sqlite3.connect", (f"file:{tmp_path}/closed/x?mode=ro",))
    error = sqlite3.OperationalError("unable to open database file")
    assert lookout.reasons(error) == [Denial("read", f"{tmp_path}/closed/x")]
    assert lookout.reasons(sqlite3.OperationalError("no such table: t")) == []


def test_refusals_of_the_owner_are_not_ours(lookout: Lookout, tmp_path: Path) -> None:
    """A file inside of the fence that its mode closes needs no grant."""
    assert lookout.reasons(PermissionError(13, "no", f"{tmp_path}/write/x")) == []


def test_chains() -> None:
    """Causes, contexts and groups, once each, also in a circle."""
    inner, outer = ValueError(), KeyError()
    inner.__context__, outer.__cause__ = outer, inner
    group = ExceptionGroup("", [outer, TypeError()])
    assert {type(each) for each in chain_of(group)} == {
        ExceptionGroup,
        KeyError,
        ValueError,
        TypeError,
    }
