"""How an application's code calls hooks: with options, by attribute, by capability."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from nxkernel._pickling import Rooted
from nxkernel.errors import CallRejected
from nxkernel.kernel.asking import PLAIN, CallOptions
from nxkernel.kernel.switchboard import Switchboard
from nxkernel.types import HookResult

__all__ = ["Caller", "CapabilityCaller", "HookCaller", "HookRelay"]


@attrs.frozen
class Caller(Rooted):
    """A kernel with options for the calls made through it."""

    _instead = "call through a kernel there, and pass on what calls return"

    _switchboard: Switchboard
    _options: CallOptions

    @property
    def hook(self) -> HookRelay:
        """The hooks by name."""
        return HookRelay(self._switchboard, self._options)

    def call(self, hook: str | Callable[..., Any], /, **arguments: Any) -> HookResult:
        """Call *hook* as :meth:`Kernel.call` does."""
        name = self._switchboard.hook_name(hook)
        return self._switchboard.drive(name, arguments, self._options)

    async def acall(self, hook: str | Callable[..., Any], /, **arguments: Any) -> HookResult:
        """Call *hook* as :meth:`Kernel.acall` does."""
        name = self._switchboard.hook_name(hook)
        return await self._switchboard.adrive(name, arguments, self._options)


class HookRelay(Rooted):
    """The hooks as attributes."""

    _instead = "call through a kernel there, and pass on what calls return"

    def __init__(self, switchboard: Switchboard, options: CallOptions) -> None:
        self._switchboard = switchboard
        self._options = options

    def __getattr__(self, name: str) -> HookCaller:
        if name.startswith("__"):
            raise AttributeError(name)
        caller = HookCaller(self._switchboard, self._options, name)
        if self._switchboard.offers(name):  # from now on it is found without asking here
            self.__dict__[name] = caller
        return caller


@attrs.frozen
class HookCaller(Rooted):
    """One hook, called as pluggy calls it."""

    _instead = "call through a kernel there, and pass on what calls return"

    _switchboard: Switchboard
    _options: CallOptions
    #: The hook's name.
    name: str

    def __call__(self, **arguments: Any) -> Any:
        """Return the hook's value.

        Raises:
            HookFailed: when it has none because a provider that matters failed.
        """
        return self._switchboard.value(self.name, arguments, self._options)

    def call_historic(
        self,
        result_callback: Callable[[Any], None] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Call all providers, now and whenever a new worker starts.

        Raises:
            HookFailed: when the call has no value now; it is remembered all the same.
        """
        self._switchboard.drive_historic(self.name, kwargs or {}, result_callback).unwrap()


class CapabilityCaller(Rooted):
    """The hooks of one capability, as methods."""

    _instead = "call through a kernel there, and pass on what calls return"

    def __init__(self, switchboard: Switchboard, methods: Mapping[str, str]) -> None:
        self._switchboard = switchboard
        self._methods = dict(methods)

    def __getattr__(self, method: str) -> HookCaller:
        if method.startswith("__"):
            raise AttributeError(method)
        if method not in self._methods:
            known = ", ".join(sorted(self._methods))
            raise CallRejected(f"no method {method!r}; the capability has: {known}")
        return HookCaller(self._switchboard, PLAIN, self._methods[method])
