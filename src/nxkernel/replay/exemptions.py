"""Exemptions: recorded calls that are not made again, each with its reason."""

from __future__ import annotations

from nxkernel.recording.records import RecordedCall

__all__ = ["CLOSED", "exemption"]

#: How a stream ends that its consumer has closed.
CLOSED = "call.cancelled"
#: Ends that come from the plugin, whatever the host was doing at the time. Every other one, such as
#: a call that was cancelled, says nothing of the plugin.
_THE_PLUGINS = frozenset(
    {
        "contract.output",
        "determinism.blocked",
        "plugin.crashed",
        "plugin.limit",
        "plugin.raised",
        "plugin.timeout",
        "protocol.violation",
        "provider.not_applicable",
    }
)


def exemption(call: RecordedCall) -> str:
    """Return why *call* is not made again, or nothing."""
    ended = call.ended
    if call.begun.level == "host":
        return "a builtin of the application answered it"
    if ended is None:
        return "the recording broke off before it ended"
    error = ended.error
    if error is None or error == call.begun.inner_error:
        return ""
    if call.items and error.code == CLOSED:
        return ""  # Its consumer wanted no more; what it gave until then is the plugin's doing.
    if ended.lost or error.code not in _THE_PLUGINS:
        return f"it ended with {error.code}, which was not the plugin's doing"
    return ""
