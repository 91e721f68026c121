"""The switchboard: the application's calls, in its threads and event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from nxkernel.dispatch.drivers import run_async
from nxkernel.dispatch.effects import Effects
from nxkernel.errors import CallRejected
from nxkernel.kernel.asking import CallOptions
from nxkernel.kernel.deliveries import in_builtin
from nxkernel.kernel.desk import Desk
from nxkernel.kernel.lifetime import Lifetime
from nxkernel.kernel.parts import Parts
from nxkernel.types import HookResult

__all__ = ["Switchboard"]


@attrs.frozen
class Switchboard:
    """Makes the calls of one kernel while it runs."""

    _lifetime: Lifetime

    def hook_name(self, hook: str | Callable[..., Any]) -> str:
        """Return the name of a hook that is given by name or by its hookspec.

        Raises:
            CallRejected: when there is no such hook.
        """
        if isinstance(hook, str):
            return self._lifetime.parts.desk.spec(hook).name
        for spec in self._lifetime.given.specs.values():
            if spec.function is hook:
                return spec.name
        name = getattr(hook, "__qualname__", type(hook).__name__)
        raise CallRejected(f"{name} is no hookspec of this kernel", code="call.unknown_hook")

    def drive(self, hook: str, arguments: Mapping[str, Any], options: CallOptions) -> HookResult:
        """Make one call in this thread."""
        return self._drive(lambda desk: desk.hook_call(hook, arguments, options))

    def drive_historic(
        self,
        hook: str,
        arguments: Mapping[str, Any],
        callback: Callable[[Any], None] | None,
    ) -> HookResult:
        """Make one historic call in this thread."""
        return self._drive(lambda desk: desk.historic_call(hook, arguments, callback))

    def _drive(self, call: Callable[[Desk], Effects[HookResult]]) -> HookResult:
        parts = self._lifetime.present()
        _refuse_in_the_way(parts)
        with parts.traffic:
            self._lifetime.check()
            result: HookResult = parts.drive(call(parts.desk))
            return result

    async def adrive(
        self, hook: str, arguments: Mapping[str, Any], options: CallOptions
    ) -> HookResult:
        """Make one call in this event loop."""
        parts = await self._lifetime.apresent()
        with parts.traffic:
            self._lifetime.check()
            generator = parts.desk.hook_call(hook, arguments, options)
            clock, bell = parts.given.run.clock, parts.plant.bell
            result: HookResult = await run_async(generator, clock, bell)
            return result


def _refuse_in_the_way(parts: Parts) -> None:
    """Raise CallRejected for a call that would block an event loop which calls of its own need.

    They might hold the worker that it waits for, and could never let go of it.
    """
    if parts.traffic.here and not in_builtin() and asyncio._get_running_loop() is not None:
        raise CallRejected(
            "a blocking call in an event loop that has calls of this kernel under way could wait "
            "for them for ever; await kernel.acall(...), or call in another thread"
        )
