"""Circumstances: what has changed around the plugins since a run was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from nxkernel.dispatch.stack import PluginFacts
from nxkernel.recording.records import Head, PluginRecord
from nxkernel.replay.comparing import shown

__all__ = ["Circumstance", "of_plugin", "of_run"]

#: Of the run's header, what can change a plugin's answers. The stack is none of it: what is
#: compared is what the plugin gave.
_HEADER = (
    "kernel",
    "python",
    "implementation",
    "platform",
    "level",
    "guard",
    "addresses",
    "lock_digest",
    "environment",
    "surroundings",
)


@attrs.frozen(kw_only=True)
class Circumstance:
    """Something that is not as it was."""

    #: ``code``, ``settings``, ``version``, ``python``, ``library numpy`` ...
    name: str
    then: str
    now: str
    #: The plugin that it concerns; empty for all of them.
    plugin: str = ""

    def __str__(self) -> str:
        of = f" of {self.plugin}" if self.plugin else ""
        return f"{self.name}{of}: {self.then} then, {self.now} now"


def of_run(head: Head, now: Head) -> tuple[Circumstance, ...]:
    """Return what has changed for all plugins; *now* is what a recording would begin with."""
    facts = ((name, head.environment.get(name), now.environment.get(name)) for name in _HEADER)
    names = sorted(head.libraries.keys() | now.libraries.keys())
    versions = ((f"library {n}", head.libraries.get(n), now.libraries.get(n)) for n in names)
    processor = ("processor", head.processor, now.processor)
    return tuple(_changed("", (*facts, processor, *versions)))


def of_plugin(then: PluginRecord, now: PluginFacts) -> tuple[Circumstance, ...]:
    """Return what has changed of one plugin."""
    facts = (
        ("code", then.code_digest, now.code_digest),
        ("version", then.version, now.version),
        ("settings", then.settings_digest, now.settings.digest),
        ("level", then.level, now.level),
    )
    return tuple(_changed(then.id, facts))


def _changed(plugin: str, facts: tuple[tuple[str, Any, Any], ...]) -> Iterator[Circumstance]:
    for name, then, now in facts:
        if then != now:
            yield Circumstance(name=name, plugin=plugin, then=_shown(then), now=_shown(now))


def _shown(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else shown(value)
