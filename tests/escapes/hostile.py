"""What a hostile plugin is made of: its hookimpl runs whatever code it is handed.

A copy of this file is the plugin of every attempt, and runs in its worker; nothing else of the
tests is there. What is put in the place of the line below runs when the plugin is imported.
"""

from __future__ import annotations

import os
from typing import Any

import nxkernel as nx

hookimpl = nx.HookimplMarker("escapes")
out: Any = None
# AT IMPORT


class Plugin:
    """Tries."""

    def __init__(self, context: nx.PluginContext) -> None:
        self.places = {
            "r": os.path.dirname(os.path.abspath(__file__)),
            "w": str(context.run_dir),
            "scratch": os.environ["TMPDIR"],
            "channel": 3,
            "fds": [0, 1, 2, 3, 4, 5, 6],
        }

    @hookimpl
    def attempt(self, code: str, facts: dict[str, Any]) -> dict[str, Any]:
        """Run *code* and tell what came of it."""
        namespace = {"__name__": "plugin", "H": {**facts, **self.places}, "out": out}
        try:
            exec(compile(code, "<attempt>", "exec"), namespace)
            return {"kind": "value", "value": repr(namespace["out"])}
        except BaseException as error:
            # An attempt on memory must not leave too little of it to say what came of it.
            namespace.clear()
            return {
                "kind": "error",
                "exceptions": [cls.__name__ for cls in type(error).__mro__],
                "errno": getattr(error, "errno", None),
                "message": _text(error),
            }

    @hookimpl
    def echo(self, value: int) -> int:
        """Return *value*: this plugin still answers."""
        return value


def _text(error: BaseException) -> str:
    try:
        return str(error)[:500].encode("utf-8", "replace").decode()
    except Exception:
        return "no message"
