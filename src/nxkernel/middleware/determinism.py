"""The innermost middleware: every call gets the seed that its name in the tree says."""

from __future__ import annotations

import attrs

from nxkernel._seeds import call_key, run_key
from nxkernel.dispatch.stack import BootFacts, Layer
from nxkernel.types import Call

__all__ = ["Determinism"]


class Determinism:
    """Sets ``call.seed``, and the annotation ``seed`` (hex) of the outcome.

    The seed follows from the run's seed, the plugin, the hookimpl and the call's key alone: not
    from the order of calls, the attempt, the worker, the process or the time.
    """

    name = "determinism"

    def __init__(self) -> None:
        self._run = b""

    def boot(self, facts: BootFacts) -> None:
        """Derive the root of the run's tree."""
        self._run = run_key(facts.seed)

    def around(self, call: Call) -> Layer:
        """Send the call on with its seed."""
        # By the hookimpl, whose name is the hook's unless a plugin implements a hook twice.
        seed = call_key(self._run, call.plugin, call.impl, call.key)
        outcome = yield attrs.evolve(call, seed=seed)
        return attrs.evolve(outcome, annotations={**outcome.annotations, "seed": seed.hex()})

    def close(self) -> None:
        """Nothing to do: a seed needs no end."""
