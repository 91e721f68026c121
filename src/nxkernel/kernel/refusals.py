"""What a caller hears of a nested call that is not made, or that failed."""

from __future__ import annotations

from nxkernel.host.transport import Brokered
from nxkernel.types import Call, CallError, HookResult, Outcome

__all__ = ["brokered_error", "denial", "not_requested", "origin", "too_deep"]


def denial(plugin: str, hook: str) -> str:
    """Say what a plugin lacks to call *hook*."""
    return (
        f"plugin {plugin!r} called {hook!r}, which its manifest does not request; "
        f'add requires = ["{hook}"] to its manifest and grant it in the application'
    )


def too_deep(call: Call, limit: int) -> Outcome:
    """The outcome of a call that its plugin's manifest lets nobody make at this depth."""
    text = (
        f"plugin {call.plugin!r} answers no call that nests deeper than {limit}, "
        "by call_depth below [limits] in its manifest"
    )
    return Outcome.failed(call, "call.depth", text, "caller")


def not_requested(call: Call) -> Outcome:
    """The outcome of a nested call that the caller's manifest does not ask for."""
    text = denial(call.caller or "", call.hook)
    details = {"effect": "deny", "rule": "manifest-requires", "reason": "not requested"}
    return Outcome.failed(call, "policy.denied", text, "caller", details=details)


def brokered_error(code: str, message: str, origin: str) -> Brokered:
    """The answer to a plugin whose nested call failed."""
    return Brokered(error=CallError(code=code, message=message), origin=origin)


def origin(result: HookResult, parent: Call) -> str:
    """Return the plugin in which the failure of a nested call began."""
    for outcome in result.outcomes:
        # Not a provider that failed too and was skipped.
        if outcome.error is not None and outcome.error == result.error:
            return parent.plugin if outcome.fault == "caller" else outcome.origin or outcome.plugin
    return parent.plugin
