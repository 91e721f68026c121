"""The settings of a plugin on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from nxkernel.audit.log import AuditLog
from nxkernel.audit.reader import AuditReader
from nxkernel.audit.settings import settings_events
from nxkernel.settings import PluginSettings, Setting
from tests.unit.audit.logs import Ticks, boot_facts, facts_of


def with_settings(*entries: Setting) -> Any:
    """Return what the stack knows of a plugin with *entries*."""
    return attrs.evolve(facts_of(), settings=PluginSettings(plugin="ocr.rapid", entries=entries))


def test_every_setting_has_its_value_and_its_source() -> None:
    """The file or the variable is named; of a secret there is neither value nor mask."""
    facts = with_settings(
        Setting(path="/lang", value="de", source="file", origin="app.toml"),
        Setting(path="/net/port", value=80, source="schema"),
        Setting(path="/token", value="********", source="environment", origin="A", secret=True),
    )
    (event,) = settings_events(facts)
    assert (event.kind, event.plugin) == ("plugin.settings", "ocr.rapid")
    assert event.data["settings"] == {
        "/lang": {"source": "file", "origin": "app.toml", "value": '"de"'},
        "/net/port": {"source": "schema", "value": "80"},
        "/token": {"source": "environment", "origin": "A", "secret": True},
    }
    assert event.data["digest"] == facts.settings.digest


def test_many_settings_are_all_on_record(tmp_path: Path) -> None:
    """What does not fit into one event goes on in the next."""
    entries = [Setting(path=f"/k{n:03}", value=n, source="schema") for n in range(150)]
    log = AuditLog(tmp_path / "audit.db", Ticks())
    log.begin_run(boot_facts())
    log.plugin(with_settings(*entries))
    log.end_run()
    log.close()
    with AuditReader(tmp_path / "audit.db") as reader:
        events = reader.events("run-1", "plugin.settings")
    assert [event.data["first"] for event in events] == [0, 64, 128]
    found = {path: each for event in events for path, each in event.data["settings"].items()}
    assert {path: json.loads(each["value"]) for path, each in found.items()} == {
        each.path: each.value for each in entries
    }


def test_a_plugin_that_does_not_run_has_no_settings_in_force(tmp_path: Path) -> None:
    """Neither has one without settings."""
    log = AuditLog(tmp_path / "audit.db", Ticks())
    log.begin_run(boot_facts())
    log.plugin(with_settings(Setting(path="/a", value=1, source="schema")), "plugin.handshake")
    log.plugin(facts_of())
    log.close()
    with AuditReader(tmp_path / "audit.db") as reader:
        assert reader.events("run-1", "plugin.settings") == []
