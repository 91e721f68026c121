"""What a plugin is handed: its settings, its randomness, its folder, its way to call others."""

from __future__ import annotations

import datetime
import functools
import logging
import random
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from nxkernel._pickling import Rooted
from nxkernel._streams import Streams
from nxkernel._tally import Tally

__all__ = ["Capability", "PluginContext"]


class Kernel(Protocol):
    """What the context needs of the runner."""

    def call(self, hook: str, arguments: Mapping[str, Any]) -> Any:
        """Have the host call *hook* and return its value."""

    def streams(self) -> Streams:
        """What the call that is on top draws from: the same object for the whole of that call."""

    def traceparent(self) -> str:
        """The span around the call that is on top, or nothing."""

    def tally(self) -> Tally:
        """Where the call that is on top counts its rows: the same object for the whole of it."""


class PluginContext(Rooted):
    """A plugin's view of the kernel; there is no other.

    A class named by the manifest's entrypoint receives it if its ``__init__`` takes an argument.
    """

    _instead = "pass on what you need of it: a setting, a seed drawn from rng"

    def __init__(
        self,
        *,
        plugin_id: str,
        settings: Mapping[str, Any],
        run_dir: str,
        started_ns: int,
        kernel: Kernel,
    ) -> None:
        #: The plugin's id as in its manifest.
        self.plugin_id = plugin_id
        #: Effective settings: schema defaults, manifest defaults, the application's values.
        self.settings = settings
        self._run_dir = run_dir
        self._started_ns = started_ns
        self._kernel = kernel

    # Made when they are asked for: most plugins ask for neither, and a start would pay for both.

    @functools.cached_property
    def run_dir(self) -> Path:
        """The plugin's own folder in the run directory; the only place it may write."""
        return Path(self._run_dir)

    @functools.cached_property
    def log(self) -> logging.Logger:
        """A logger whose lines become part of the plugin's captured log."""
        return logging.getLogger(f"nxkernel.plugin.{self.plugin_id}")

    @property
    def rng(self) -> random.Random:
        """A generator seeded for the current call: same call, same numbers, on any machine."""
        return self._kernel.streams().rng

    def numpy_rng(self) -> Any:
        """Return the ``numpy.random.Generator`` of the current call, the same object each time."""
        return self._kernel.streams().numpy_rng()

    def torch_generator(self, device: str = "cpu") -> Any:
        """Return the ``torch.Generator`` of the current call, the same object each time."""
        return self._kernel.streams().torch_generator(device)

    def uuid(self) -> uuid.UUID:
        """Return a UUID of the current call: another one each time, the same ones in every run."""
        return self._kernel.streams().uuid()

    def now(self) -> datetime.datetime:
        """Return the run's start, in UTC: the same for every call of a run."""
        seconds, nanoseconds = divmod(self._started_ns, 1_000_000_000)
        start = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        return start.replace(microsecond=nanoseconds // 1000)

    @property
    def traceparent(self) -> str:
        """The span around the current call, as W3C Trace Context writes it; empty without one.

        It is for spans of your own and for logs. It is another one in every run: nothing that is
        returned may depend on it.
        """
        return self._kernel.traceparent()

    def call(self, hook: str, **arguments: Any) -> Any:
        """Call *hook* through the kernel and return its value.

        Raises:
            PolicyDenied: when the manifest did not request it or the application did not grant it.
            PluginFailed: when the hook has no value; ``code`` says why.
        """
        return self._kernel.call(hook, arguments)

    def count(self, *, rows_read: int = 0, rows_written: int = 0) -> None:
        """Add rows that storage read or wrote for the current call, for the audit's record of it.

        Raises:
            ValueError: for a negative number.
        """
        self._kernel.tally().add(rows_read, rows_written)

    def capability(self, name: str) -> Capability:
        """Return the hooks of one capability, by method name."""
        return Capability(name, self.call)


class Capability(Rooted):
    """The hooks of one capability, as methods."""

    _instead = "call it here, and pass on its value"

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self._prefix = name.replace(".", "_") + "_"
        self._call = call

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)

        def bound(**arguments: Any) -> Any:
            return self._call(self._prefix + method, **arguments)

        return bound
