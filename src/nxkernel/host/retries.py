"""Whether a call that was lost with its worker is made again, and as what."""

from __future__ import annotations

import attrs

from nxkernel.types import Call, Outcome

__all__ = ["again"]


def again(call: Call, outcome: Outcome, deadline: float, now: float) -> Call | None:
    """Return the next attempt of *call*, or None.

    Only a crash of the worker loses a call: an exception, a broken contract, a broken protocol or
    a missed deadline is the plugin's answer, and would be again. Whatever the attempt, key and
    seed stay: the plugin is asked the same thing.

    *deadline*: the call's, moved by the time that was not the plugin's.
    """
    lost = outcome.error is not None and outcome.error.code == "plugin.crashed"
    # What of a stream was shown cannot be taken back.
    if not (lost and call.retries and now < deadline) or outcome.items:
        return None
    return attrs.evolve(call, attempt=call.attempt + 1, retries=call.retries - 1, deadline=deadline)
