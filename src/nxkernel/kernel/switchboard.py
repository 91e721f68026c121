"""The switchboard: the application's calls, in its threads and event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from nxkernel.dispatch.drivers import abandon, drive_async, drive_blocking, run_async
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.errand import Errand
from nxkernel.dispatch.tasks import Tasks
from nxkernel.errors import CallRejected
from nxkernel.kernel.asking import CallOptions
from nxkernel.kernel.deliveries import in_builtin
from nxkernel.kernel.fan import Round
from nxkernel.kernel.lifetime import Lifetime
from nxkernel.kernel.parts import Parts
from nxkernel.kernel.streams import Stream
from nxkernel.types import HookName, HookResult

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

    def offers(self, name: str) -> bool:
        """Whether the application offers a hook of this name."""
        return name in self._lifetime.given.specs

    def drive(self, hook: str, arguments: Mapping[str, Any], options: CallOptions) -> HookResult:
        """Make one call in this thread; that of a hook that streams begins with its first item."""
        made = self._made(hook, arguments, options)
        return made if isinstance(made, HookResult) else made.result()

    def value(self, hook: str, arguments: Mapping[str, Any], options: CallOptions) -> Any:
        """Make one call as :meth:`drive` does, and return the hook's value.

        Raises:
            HookFailed: when it has none.
        """
        return self._made(hook, arguments, options).unwrap()

    def _made(
        self, hook: str, arguments: Mapping[str, Any], options: CallOptions
    ) -> HookResult | Errand | Round:
        presence = self._lifetime.presence
        parts = self._lifetime.parts if presence.state == "running" else self._lifetime.present()
        desk = parts.desk
        spec = desk.specs.get(hook) or desk.spec(hook)
        if spec.options.stream:
            return self._stream(parts, hook, arguments, options)
        if asyncio._get_running_loop() is not None:
            _refuse_in_the_way(parts)
        traffic = parts.traffic
        own = traffic.enter()
        try:
            if presence.state != "running":
                presence.check()
            parts.streams.tidy()
            errand = desk.routes.go(hook, arguments, options)
            if errand is not None:
                return errand
            result: HookResult = parts.drive(desk.hook_call(hook, arguments, options), hook)
            return result
        finally:
            traffic.threads[own] -= 1
            traffic.left(own)

    def drive_historic(
        self,
        hook: str,
        arguments: Mapping[str, Any],
        callback: Callable[[Any], None] | None,
    ) -> HookResult:
        """Make one historic call in this thread."""
        parts = self._lifetime.present()
        _refuse_in_the_way(parts)
        traffic = parts.traffic
        own = traffic.enter()
        try:
            self._lifetime.check()
            parts.streams.tidy()
            result: HookResult = parts.drive(parts.desk.historic_call(hook, arguments, callback))
            return result
        finally:
            traffic.threads[own] -= 1
            traffic.left(own)

    async def adrive(
        self, hook: str, arguments: Mapping[str, Any], options: CallOptions
    ) -> HookResult:
        """Make one call in this event loop."""
        parts = await self._lifetime.apresent()
        if parts.desk.spec(hook).options.stream:
            return self._stream(parts, hook, arguments, options)
        traffic = parts.traffic
        own = traffic.enter_apart()
        try:
            self._lifetime.check()
            parts.streams.tidy()
            errand = parts.desk.routes.go(hook, arguments, options, awaits=True)
            if errand is None:
                generator = parts.desk.hook_call(hook, arguments, options)
                return await _run(parts, generator)
            if errand.taken is not None:
                await _driven(parts, errand.taken)
            result = errand.result()
        finally:
            traffic.threads.pop(own, None)
            traffic.left(own)
        # Out of the count, in which this call would stand in the way of the next ones.
        if errand.taken is None and parts.breath.is_due(errand.asked_s):
            await asyncio.sleep(0)
        return result

    def _stream(
        self, parts: Parts, hook: str, arguments: Mapping[str, Any], options: CallOptions
    ) -> HookResult:
        """Return the stream of a hook that streams; its arguments are checked."""
        spec, traffic = parts.desk.spec(hook), parts.traffic
        own = traffic.enter()
        try:
            self._lifetime.check()
            tasks = Tasks(parts.desk.hook_call(hook, arguments, options))
        finally:
            traffic.threads[own] -= 1
            traffic.left(own)
        drive, lift = _Drive(self._lifetime, parts), parts.desk.lifting(spec)
        stream = Stream(tasks, hook, drive, parts.streams, lift)
        return HookResult(hook=HookName(hook), value=stream)


@attrs.frozen
class _Drive:
    """Drives streams of the kernel whose parts these are."""

    _lifetime: Lifetime
    _parts: Parts

    def __call__(self, tasks: Tasks) -> None:
        """Run until there is an item, or the end, in this thread."""
        parts = self._parts
        _refuse_in_the_way(parts)
        traffic = parts.traffic
        own = traffic.enter()
        try:
            self._lifetime.check()
            parts.streams.tidy()
            drive_blocking(tasks, parts.given.run.clock, parts.plant.bell)
        finally:
            traffic.threads[own] -= 1
            traffic.left(own)

    async def later(self, tasks: Tasks) -> None:
        """Run until there is an item, or the end, in this event loop."""
        parts, traffic = self._parts, self._parts.traffic
        own = traffic.enter_apart()
        try:
            self._lifetime.check()
            parts.streams.tidy()
            clock, bell = parts.given.run.clock, parts.plant.bell
            await drive_async(tasks, clock, bell, parts.streams.orphans)
        finally:
            traffic.threads.pop(own, None)
            traffic.left(own)


async def _run(parts: Parts, generator: Effects[HookResult]) -> HookResult:
    """Run a general call to its end in this event loop."""
    clock, bell = parts.given.run.clock, parts.plant.bell
    result: HookResult = await run_async(generator, clock, bell, parts.streams.orphans)
    return result


async def _driven(parts: Parts, tasks: Tasks) -> None:
    """Drive what has become of an errand to its end in this event loop."""
    try:
        await drive_async(tasks, parts.given.run.clock, parts.plant.bell, parts.streams.orphans)
    except GeneratorExit:
        raise  # What ends them is among the orphans.
    except BaseException:
        if not tasks.over:  # An interrupt struck before they were driven.
            abandon(tasks)
        raise


def _refuse_in_the_way(parts: Parts) -> None:
    """Raise CallRejected for a call that would block an event loop which calls of its own need.

    They might hold the worker that it waits for, and could never let go of it.
    """
    if asyncio._get_running_loop() is not None and parts.traffic.here and not in_builtin():
        raise CallRejected(
            "a blocking call in an event loop that has calls of this kernel under way could wait "
            "for them for ever; await kernel.acall(...), or call in another thread"
        )
