"""Plain pluggy: plugins in the process of the application."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pluggy

from benchmarks.contest import work

NAME = "pluggy, in process"
NOTE = "no isolation: a plugin's crash, hang or leak is the application's; nothing crosses"
CANNOT = {
    "restart": "dies with its plugin",
    "memory": "no process to measure",
}
hookspec, hookimpl = pluggy.HookspecMarker("bench"), pluggy.HookimplMarker("bench")


class Specs:
    """The hooks."""

    @hookspec(firstresult=True)
    def echo(self, value):
        """Return *value*."""

    @hookspec(firstresult=True)
    def pages(self, data):
        """Read every page."""

    @hookspec
    def everybody(self, value):
        """Return *value*, each."""

    @hookspec(firstresult=True)
    def nest(self, value):
        """Ask another plugin."""

    @hookspec(firstresult=True)
    def answer(self, value):
        """Be asked."""


class Member:
    """A plugin as all have it."""

    @hookimpl
    def everybody(self, value):
        return value


class Second(Member):
    """The plugin that is asked."""

    @hookimpl
    def answer(self, value):
        return value


class First(Member):
    """The plugin that does the work."""

    def __init__(self, hook):
        self.hook = hook

    @hookimpl
    def echo(self, value):
        return value

    @hookimpl
    def pages(self, data):
        return work.pages(data)

    @hookimpl
    def nest(self, value):
        return self.hook.answer(value=value)


class Fleet:
    """Plugins of one manager."""

    def __init__(self, count: int) -> None:
        manager = pluggy.PluginManager("bench")
        manager.add_hookspecs(Specs)
        for number in range(count):
            manager.register([First(manager.hook), Second(), Member()][min(number, 2)], str(number))
        self._hook = manager.hook

    def echo(self, value: Any) -> Any:
        return self._hook.echo(value=value)

    def pages(self, data: Any) -> int:
        return int(self._hook.pages(data=data))

    def binary(self, data: bytes) -> Any:
        return data

    def everybody(self, value: Any) -> list[Any]:
        return list(self._hook.everybody(value=value))

    def nest(self, value: Any) -> Any:
        return self._hook.nest(value=value)


@contextlib.contextmanager
def fleet(count: int) -> Iterator[Fleet]:
    """Register *count* plugins."""
    yield Fleet(count)
