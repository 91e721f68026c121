"""A denied access names path or address, the grant that is missing, and the line to write."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, events, patient

ANIMALS = ("trespasses",)


def denied(zoo: Zoo, way: str, target: object) -> tuple[str, dict[str, Any]]:
    """Have the trespasser try; return the message and the one denial that it tells of."""
    outcome = zoo.act("trespasses", [way, str(target)])
    assert outcome.error is not None
    (told,) = [each for each in outcome.error.details["denied"] if each["raised"]]
    return outcome.error.message, told


@pytest.mark.parametrize("way", ["read", "wrapped", "hidden", "thread", "copy"])
def test_a_file(zoo: Zoo, way: str) -> None:
    """Also from within another exception, one raised `from None`, another thread, a library."""
    message, told = denied(zoo, way, "/etc/passwd")
    assert told["target"] == "/etc/passwd"
    assert told["manifest"] == 'read = ["/etc/passwd"]'
    assert message.endswith(
        'the sandbox refused reading /etc/passwd, which nobody granted: put read = ["/etc/passwd"] '
        "below [permissions] in the manifest, and grant it in the application, "
        "grants={'trespasses': nx.Grant(read=('/etc/passwd',))}"
    )


@pytest.mark.parametrize("way", ["write", "remove", "mkdir"])
def test_a_change(zoo: Zoo, tmp_path: Path, way: str) -> None:
    """Writing, removing and making need write."""
    if way == "remove":
        (tmp_path / "x").write_text("")
    _, told = denied(zoo, way, tmp_path / "x")
    assert (told["kind"], told["manifest"]) == ("write", f'write = ["{tmp_path}/x"]')


def test_both_ends_of_a_rename(zoo: Zoo, tmp_path: Path) -> None:
    """A rename has two paths, and each needs its grant."""
    (tmp_path / "x").write_text("")
    outcome = zoo.act("trespasses", ["rename", str(tmp_path / "x")])
    assert outcome.error is not None
    targets = [each["target"] for each in outcome.error.details["denied"]]
    assert targets == [f"{tmp_path}/x", f"{tmp_path}/x.old"]


def test_a_path_below_a_template(zoo: Zoo) -> None:
    """The line has the template, so that it is the same on every machine; so has the message."""
    data = zoo.kernel.run.data_dir
    (data / "media").mkdir()
    (data / "media" / "one.png").write_bytes(b"")
    message, told = denied(zoo, "read", data / "media" / "one.png")
    assert told["manifest"] == 'read = ["{media_dir}/one.png"]'
    assert str(data) not in message


@pytest.mark.parametrize("way", ["connect", "connect itself"])
def test_an_address(zoo: Zoo, way: str) -> None:
    """The port where the socket was made for an address; else that it is TCP, and no more."""
    _, told = denied(zoo, way, 443)
    known = way == "connect"
    assert told["target"] == ("127.0.0.1:443" if known else "tcp")
    assert told["manifest"] == f'network = ["tcp:{443 if known else "PORT"}"]'


def test_a_name(zoo: Zoo) -> None:
    """Names are not resolved inside: the error says so instead of `Temporary failure`."""
    message, _ = denied(zoo, "look up", "example.com")
    assert "looking up the address of example.com" in message
    assert 'network = ["tcp:443"]' in message


@pytest.mark.parametrize(
    ("way", "target", "kind", "line"),
    [
        ("subprocess", "/usr/bin/true", "exec", 'exec = ["/usr/bin/true"]'),
        ("fork", "", "fork", 'exec = ["/path/to/program"]'),
        ("datagram", "53", "socket", None),
        ("signal", "1", "signal", None),
        ("chmod", "/etc/passwd", "mode", None),
        ("read", "/proc/self/environ", "read", None),
        ("list", "/", "read", None),
        ("write", "/usr/lib/x", "write", None),
    ],
)
def test_other_refusals(zoo: Zoo, way: str, target: str, kind: str, line: str | None) -> None:
    """Programs have their line; what nothing grants has none, and says so."""
    message, told = denied(zoo, way, target)
    assert (told["kind"], told["manifest"]) == (kind, line)
    assert ("below [permissions]" in message) == (line is not None)


def test_a_database(zoo: Zoo, tmp_path: Path) -> None:
    """sqlite3 says "unable to open database file": the path and the grant are added."""
    sqlite3.connect(tmp_path / "x.db").close()
    message, told = denied(zoo, "database", tmp_path / "x.db")
    assert message.startswith("OperationalError: unable to open database file; ")
    assert told["manifest"] == f'read = ["{tmp_path}/x.db"]'


def test_a_module_in_a_closed_folder(zoo: Zoo, tmp_path: Path) -> None:
    """The finder passes over a folder that it may not list; the error names it all the same."""
    (tmp_path / "found_elsewhere.py").write_text("")
    message, told = denied(zoo, "import", tmp_path)
    assert message.startswith("ModuleNotFoundError: ")
    assert told["manifest"] == f'read = ["{tmp_path}"]'


def test_a_swallowed_refusal_is_on_record(zoo: Zoo) -> None:
    """A plugin that goes on without: the call is fine, the audit has what was refused."""
    assert zoo.act("trespasses", ["swallowed", "/etc/hosts"]).value == "went on"
    (event,) = [
        event.data
        for event in events(zoo.kernel.run, "access.denied")
        if event.data["denied"][0]["target"] == "/etc/hosts"
    ]
    assert event["denied"] == [
        {
            "kind": "read",
            "target": "/etc/hosts",
            "raised": False,
            "manifest": 'read = ["/etc/hosts"]',
        }
    ]


def test_refusals_are_on_record(zoo: Zoo) -> None:
    """An event has the call, and the plugin whose it was."""
    outcome = zoo.act("trespasses", ["read", "/etc/shadow"])
    event = events(zoo.kernel.run, "access.denied")[-1]
    assert (event.plugin, event.data["call"]) == ("trespasses", outcome.call_id)
    assert event.data["denied"][0]["target"] == "/etc/shadow"


def test_a_file_that_is_not_there(zoo: Zoo) -> None:
    """Nothing was refused: the error is the system's alone."""
    outcome = zoo.act("trespasses", ["read", "/etc/no-such-file"])
    assert outcome.error is not None
    assert outcome.error.message.startswith("FileNotFoundError: ")
    assert "sandbox" not in outcome.error.message


def test_at_import(open_zoo: Opens) -> None:
    """A plugin that reads what is closed while it is imported is told the same."""
    zoo = open_zoo(patient, "import.denied")
    error = zoo.kernel.plugins["import.denied"].error
    assert isinstance(error, nx.NxError)
    assert error.code == "plugin.start"
    assert 'put read = ["/etc/passwd"] below [permissions]' in error.message


def test_without_walls(open_zoo: Opens, tmp_path: Path) -> None:
    """At level `process` nothing is refused by us, and nothing is said about it."""
    zoo = open_zoo(patient, "trespasses", sandbox=nx.Sandbox(require="process"))
    outcome = zoo.act("trespasses", ["read", str(tmp_path)])
    assert outcome.error is not None
    assert "sandbox" not in outcome.error.message
    assert events(zoo.kernel.run, "access.denied") == []
