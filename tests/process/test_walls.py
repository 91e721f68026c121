"""Plugins at the walls of level `confined`: the refusal is an outcome, and it is the system's.

The corpus in `tests/escapes` attacks the walls themselves; here the whole way from a plugin to its
outcome is held to them.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

import nxkernel as nx
from nxkernel.host.keeper import Keeper
from tests.support.zoo import Zoo, copies, patient

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


class TestWitness:
    """A boot has its level witnessed once, and again when the account cannot be believed."""

    @staticmethod
    def boot(data: Path) -> list[str]:
        """Boot, and return the plugins for which a worker was started, the probe among them."""
        started: list[str] = []
        launch = Keeper.launch

        def noted(keeper: Keeper, *arguments: object) -> object:
            started.append(keeper.plugin)
            return launch(keeper, *arguments)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Keeper, "launch", noted)
            with patient(data, "inspects") as kernel:
                assert Zoo(kernel).act("inspects").ok
                assert kernel.plugins["inspects"].witnessed["list /"] == "EACCES"
        return started

    def test_once_for_a_machine(self, confinement: None, tmp_path: Path) -> None:
        """The second boot starts no probe; its workers still try their walls themselves."""
        assert self.boot(tmp_path)[0] == "nxkernel.probe"
        assert "nxkernel.probe" not in self.boot(tmp_path)

    def test_again_when_the_account_was_edited(self, confinement: None, tmp_path: Path) -> None:
        """An entry with another content than its digest says is passed over, and replaced."""
        self.boot(tmp_path)
        (entry,) = (tmp_path / "cache" / "witness").iterdir()
        before = entry.read_bytes()
        entry.write_bytes(before.replace(b"EACCES", b"EAXXES"))
        assert self.boot(tmp_path)[0] == "nxkernel.probe"
        assert entry.read_bytes() == before

    def test_no_plugin_may_write_it(self, confinement: None, tmp_path: Path) -> None:
        """A plugin that is granted the folder of the account does not run, and says why."""
        (copy,) = copies(tmp_path / "plugins", "keeps", ["greedy"])
        manifest = copy / "plugin.toml"
        ask = '[permissions]\nwrite = ["{media_dir}"]\n'
        manifest.write_text(manifest.read_text() + ask)
        data = tmp_path / "data"
        options = {
            "folders": [copy],
            "paths": {"media_dir": data / "cache" / "witness"},
            "grants": {"greedy": nx.Grant(write=("{media_dir}",))},
        }
        with patient(data, **options) as kernel:
            error = kernel.plugins["greedy"].error
        assert error is not None
        assert "cannot grant write" in str(error)
        assert "cache/witness" in str(error)
