"""The innermost middleware: every call gets the seed that its name in the tree says."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from nxkernel._altered import filled
from nxkernel._pickling import Rooted
from nxkernel._seeds import call_key, call_keys, run_key
from nxkernel.dispatch.entrances import Passage
from nxkernel.dispatch.errand import Errand, Steps, Whom
from nxkernel.dispatch.stack import BootFacts, Layer
from nxkernel.errors import KernelConfigError
from nxkernel.settings import MODES, Guard, Mode
from nxkernel.types import Call, Outcome

__all__ = ["Determinism"]


class Determinism(Rooted):
    """Sets ``call.seed``, and the annotation ``seed`` (hex) of the outcome.

    The seed follows from the run's seed, the plugin, the hookimpl and the call's key alone: not
    from the order of calls, the attempt, the worker, the process or the time.

    In the workers a guard sees what plugins draw from anything else. Its modes: ``"off"`` sees
    nothing, ``"warn"`` puts each place on record, ``"strict"`` refuses it in calls.

    Args:
        guard: mode for randomness.
        clocks: mode for clocks that a plugin, or a library of its own, asks directly.
        environment: mode for facts of machine and process: its number, the host's name.
        plugins: modes of single plugins, by id, in the place of *guard*; ``"off"`` is off for
            clocks and environment as well.

    Raises:
        KernelConfigError: for a mode that there is not.
    """

    _instead = "a middleware belongs to its kernel; make another one for the kernel there"

    name = "determinism"

    def __init__(
        self,
        *,
        guard: Mode = "warn",
        clocks: Mode = "off",
        environment: Mode = "off",
        plugins: Mapping[str, Mode] | None = None,
    ) -> None:
        given = {"guard": guard, "clocks": clocks, "environment": environment}
        by_plugin = dict(plugins or {})
        for name, mode in (*given.items(), *sorted(by_plugin.items())):
            if mode not in MODES:
                raise KernelConfigError(
                    f"Determinism({name}={mode!r}): expected one of {', '.join(MODES)}"
                )
        self._guard = Guard(chance=guard, clocks=clocks, environment=environment)
        self._plugins = by_plugin
        self._run = b""

    def boot(self, facts: BootFacts) -> None:
        """Derive the root of the run's tree."""
        self._run = run_key(facts.seed)

    def guard_of(self, plugin: str) -> Guard:
        """Return what of *plugin*'s randomness is seen."""
        mode = self._plugins.get(plugin)
        if mode is None:
            return self._guard
        return Guard() if mode == "off" else attrs.evolve(self._guard, chance=mode)

    def around(self, call: Call) -> Layer:
        """Send the call on with its seed."""
        # By the hookimpl, whose name is the hook's unless a plugin implements a hook twice.
        seed = call_key(self._run, call.plugin, call.impl, call.key)
        outcome = yield filled(Call, {**call.__dict__, "seed": seed})
        return _noted(seed, outcome)

    def through(self, call: Call) -> Passage:
        """Do what ``around`` does."""
        seed = call_key(self._run, call.plugin, call.impl, call.key)
        return filled(Call, {**call.__dict__, "seed": seed}), _noted, seed

    def usual(self, whom: Whom) -> Steps:
        """Return the same for usual calls."""
        run, plugin, impl = self._run, whom.plugin, whom.impl
        keyed = call_keys(run, plugin, impl)

        def admit(errand: Errand) -> bool:
            key = errand.key
            errand.seed = keyed(errand.raw) if key is None else call_key(run, plugin, impl, key)
            return True

        def passage(errand: Errand, call: Call) -> Passage:
            return filled(Call, {**call.__dict__, "seed": errand.seed}), _noted, errand.seed

        return Steps(admit=admit, passage=passage)

    def close(self) -> None:
        """Nothing to do: a seed needs no end."""


def _noted(seed: bytes, outcome: Outcome) -> Outcome:
    annotations = {**outcome.annotations, "seed": seed.hex()}
    return filled(Outcome, {**outcome.__dict__, "annotations": annotations})
