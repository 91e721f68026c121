"""The settings of a plugin as events of the audit: every one of them, and no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nxkernel.audit.facts import MAX_ITEMS
from nxkernel.dispatch.stack import Event, PluginFacts
from nxkernel.settings import Setting

__all__ = ["KIND", "settings_events"]

KIND = "plugin.settings"


def settings_events(facts: PluginFacts) -> Iterator[Event]:
    """Yield the events that say which settings are in force, a bounded number of them in each.

    Values are JSON text: one that is too long for the log is cut where a reader sees it.
    """
    entries = facts.settings.entries
    for start in range(0, len(entries), MAX_ITEMS):
        yield Event(
            kind=KIND,
            plugin=facts.id,
            data={
                "edition": facts.edition,
                "digest": facts.settings.digest,
                "first": start,
                "total": len(entries),
                "settings": {e.path: _facts(e) for e in entries[start : start + MAX_ITEMS]},
            },
        )


def _facts(setting: Setting) -> dict[str, Any]:
    said: dict[str, Any] = {"source": setting.source}
    if setting.origin:
        said["origin"] = setting.origin
    if setting.secret:
        return {**said, "secret": True}
    return {**said, "value": json.dumps(setting.value, ensure_ascii=False, sort_keys=True)}
