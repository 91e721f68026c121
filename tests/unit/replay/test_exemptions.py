"""Which recorded calls are not made again, and for what reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nxkernel.replay.exemptions import exemption
from nxkernel.replay.session import Session
from tests.support.recordings import Written

CLOSED = ("call.cancelled", "the stream was closed before its end")
RAISED = ("plugin.raised", "no")
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "answered": ({"value": 1}, ""),
    "raised": ({"error": RAISED}, ""),
    "crashed": ({"error": ("plugin.crashed", "it ended")}, ""),
    "builtin": ({"level": "host"}, "a builtin of the application answered it"),
    "stream": ({"stream": True}, ""),
    "closed stream": ({"stream": True, "items": [1], "error": CLOSED}, ""),
    "stream that nobody asked": (
        {"stream": True, "error": CLOSED},
        "it ended with call.cancelled, which was not the plugin's doing",
    ),
    "cancelled": (
        {"error": ("call.cancelled", "the caller went away")},
        "it ended with call.cancelled, which was not the plugin's doing",
    ),
    "unstarted": (
        {"error": ("plugin.quarantined", "for now")},
        "it ended with plugin.quarantined, which was not the plugin's doing",
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_says_nothing_of_the_plugin_is_left_out(name: str, tmp_path: Path) -> None:
    """Everything else is made again, failures of the plugin as well."""
    changes, reason = CASES[name]
    written = Written(tmp_path / "recorded.pack")
    written.call("act", {"value": 1}, **changes)
    with Session.open(written.close()) as session:
        assert exemption(session.calls[0]) == reason
