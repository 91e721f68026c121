"""Plugins at the walls of level `confined`: the refusal is an outcome, and it is the system's.

The corpus in `tests/escapes` attacks the walls themselves; here the whole way from a plugin to its
outcome is held to them.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support.zoo import Zoo

ANIMALS = ("trespasses", "tidy", "inspects")


def refused(zoo: Zoo, way: str, target: object) -> str:
    """Have the trespasser try; return the errno that refused it."""
    outcome = zoo.act("trespasses", [way, str(target)])
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("plugin.raised", "plugin")
    assert outcome.error.details["exception"] == "builtins.PermissionError"
    assert zoo.answers("trespasses")
    return str(outcome.error.details["errno"])


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "/proc/1/cmdline"])
def test_files_of_the_machine_are_closed(zoo: Zoo, path: str) -> None:
    """Neither the machine's files nor /proc can be read."""
    assert refused(zoo, "read", path) == "EACCES"


def test_folders_of_the_machine_are_closed(zoo: Zoo, tmp_path: Path) -> None:
    """Nothing outside its own world can be listed or written."""
    assert refused(zoo, "list", "/") == "EACCES"
    assert refused(zoo, "write", tmp_path / "new") == "EACCES"
    assert list(tmp_path.iterdir()) == []


def test_network_is_closed(zoo: Zoo) -> None:
    """A connection to a port that listens is refused before it is made."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert refused(zoo, "connect", server.getsockname()[1]) == "EACCES"


def test_processes_are_closed(zoo: Zoo) -> None:
    """No fork, no program, no signal to another process."""
    assert refused(zoo, "fork", "") == "EPERM"
    assert refused(zoo, "subprocess", "/bin/true") == "EPERM"
    assert refused(zoo, "signal", os.getpid()) == "EPERM"


def test_other_plugins_are_closed(zoo: Zoo) -> None:
    """The folder, and so the data, of another plugin can be neither read nor written."""
    theirs = zoo.act("inspects").value["folder"]
    assert refused(zoo, "list", theirs) == "EACCES"
    assert refused(zoo, "write", Path(theirs) / "planted") == "EACCES"


def test_audit_is_closed(zoo: Zoo) -> None:
    """No plugin can read what is on record about it, or remove it."""
    log = zoo.kernel.run.audit_log.path
    assert refused(zoo, "read", log) == "EACCES"
    assert refused(zoo, "remove", log) == "EACCES"


def test_own_code_cannot_be_changed(zoo: Zoo) -> None:
    """The verified copy is readable and not writable: what was hashed is what runs."""
    (copy,) = [
        path.parent
        for path in (zoo.kernel.run.data_dir / "cache" / "code").glob("*/plugin.toml")
        if 'id = "trespasses"' in path.read_text()
    ]
    assert zoo.act("trespasses", ["read", str(copy / "plugin.py")]).ok
    assert refused(zoo, "write", copy / "plugin.py") == "EACCES"
    assert refused(zoo, "write", copy / "new.py") == "EACCES"


def test_own_folder_is_open(zoo: Zoo) -> None:
    """shutil, tempfile, zipfile and sqlite3 work as usual in the plugin's own run_dir."""
    outcome = zoo.act("tidy", "some text")
    assert outcome.value == "some text", outcome.error


def test_every_worker_has_witnessed_its_walls(zoo: Zoo) -> None:
    """Each plugin runs at `confined`, and its own self-test met a refusal on every axis."""
    for view in zoo.kernel.plugins.values():
        assert view.level == "confined"
        assert set(view.witnessed) >= {"list /", "socket", "fork", "chmod", "signal"}
