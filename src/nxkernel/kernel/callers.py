"""How an application's code calls hooks: with options, by attribute, by capability."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from nxkernel.errors import CallRejected
from nxkernel.kernel.desk import CallOptions
from nxkernel.types import HookResult

__all__ = ["Caller", "CapabilityCaller", "HookCaller", "HookRelay", "Switchboard"]


class Switchboard(Protocol):
    """What the callers need of the kernel."""

    def hook_name(self, hook: str | Callable[..., Any]) -> str:
        """Return the name of a hook that is given by name or by its hookspec."""

    def drive(self, hook: str, arguments: Mapping[str, Any], options: CallOptions) -> HookResult:
        """Make one call in this thread."""

    async def adrive(
        self, hook: str, arguments: Mapping[str, Any], options: CallOptions
    ) -> HookResult:
        """Make one call in this event loop."""

    def drive_historic(
        self,
        hook: str,
        arguments: Mapping[str, Any],
        callback: Callable[[Any], None] | None,
    ) -> HookResult:
        """Make one historic call in this thread."""


@attrs.frozen
class Caller:
    """A kernel with options for the calls made through it."""

    _kernel: Switchboard
    _options: CallOptions

    @property
    def hook(self) -> HookRelay:
        """The hooks by name."""
        return HookRelay(self._kernel, self._options)

    def call(self, hook: str | Callable[..., Any], /, **arguments: Any) -> HookResult:
        """Call *hook* as :meth:`Kernel.call` does."""
        return self._kernel.drive(self._kernel.hook_name(hook), arguments, self._options)

    async def acall(self, hook: str | Callable[..., Any], /, **arguments: Any) -> HookResult:
        """Call *hook* as :meth:`Kernel.acall` does."""
        return await self._kernel.adrive(self._kernel.hook_name(hook), arguments, self._options)


@attrs.frozen
class HookRelay:
    """The hooks as attributes."""

    _kernel: Switchboard
    _options: CallOptions

    def __getattr__(self, name: str) -> HookCaller:
        if name.startswith("__"):
            raise AttributeError(name)
        return HookCaller(self._kernel, self._options, name)


@attrs.frozen
class HookCaller:
    """One hook, called as pluggy calls it."""

    _kernel: Switchboard
    _options: CallOptions
    #: The hook's name.
    name: str

    def __call__(self, **arguments: Any) -> Any:
        """Return the hook's value.

        Raises:
            HookFailed: when it has none because a provider that matters failed.
        """
        name = self._kernel.hook_name(self.name)
        return self._kernel.drive(name, arguments, self._options).unwrap()

    def call_historic(
        self,
        result_callback: Callable[[Any], None] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Call all providers, now and whenever a new worker starts.

        Raises:
            HookFailed: when the call has no value now; it is remembered all the same.
        """
        self._kernel.drive_historic(self.name, kwargs or {}, result_callback).unwrap()


class CapabilityCaller:
    """The hooks of one capability, as methods."""

    def __init__(self, kernel: Switchboard, methods: Mapping[str, str]) -> None:
        self._kernel = kernel
        self._methods = dict(methods)

    def __getattr__(self, method: str) -> HookCaller:
        if method.startswith("__"):
            raise AttributeError(method)
        if method not in self._methods:
            known = ", ".join(sorted(self._methods))
            raise CallRejected(f"no method {method!r}; the capability has: {known}")
        return HookCaller(self._kernel, CallOptions(), self._methods[method])
