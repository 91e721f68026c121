"""For plugin authors and embedders: test against the real thing.

A plugin is tested in a real confined worker, not in a stand-in for one; what helps is a kernel in
one line and a clock that only moves when told. Recorded runs are tests (``replays``), and answer
for plugins that others need (``StandIn``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nxkernel._temporary import temporary
from nxkernel.dispatch.stack import Middleware
from nxkernel.kernel import Kernel
from nxkernel.pipeline import Library
from nxkernel.plugins.discovery import discover
from nxkernel.plugins.layers import Settings
from nxkernel.replay.cases import Case, replays
from nxkernel.replay.stand_ins import StandIn
from nxkernel.run import Run, standard_stack
from nxkernel.settings import Grant, Hosting, Sandbox

__all__ = ["Case", "FakeClock", "StandIn", "replays", "running"]


class FakeClock:
    """A clock that stands still until it is moved.

    It starts far from zero, so that mixing it up with another clock is noticed.
    """

    def __init__(
        self, monotonic: float = 1_000_000.0, wall_ns: int = 1_700_000_000 * 10**9
    ) -> None:
        self._monotonic = monotonic
        self._wall_ns = wall_ns

    def monotonic(self) -> float:
        """Seconds that were advanced, from an arbitrary start."""
        return self._monotonic

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return self._wall_ns

    def advance(self, seconds: float) -> None:
        """Move both hands forward."""
        self._monotonic += seconds
        self._wall_ns += int(seconds * 10**9)


@contextlib.contextmanager
def running(
    *plugins: Path | str,
    project: str,
    specs: Sequence[Any],
    data_dir: Path | str | None = None,
    seed: int | str = 0,
    grants: Mapping[str, Grant] | None = None,
    settings: Settings | Mapping[str, Mapping[str, Any]] | None = None,
    paths: Mapping[str, Path | str] | None = None,
    middleware: Sequence[Middleware] | None = None,
    sandbox: Sandbox | None = None,
    hosting: Hosting | None = None,
    required: Sequence[str] = (),
    evidence: Library | None = None,
) -> Iterator[Kernel]:
    """Run a kernel over the plugins in the folders *plugins*, with the standard stack.

    Without *data_dir* everything is kept in a temporary folder that is removed afterwards.

    Raises:
        NxError: as :class:`Kernel` does.
    """
    with contextlib.ExitStack() as stack:
        if data_dir is None:
            data_dir = stack.enter_context(temporary("test"))
        run = Run.create(data_dir, seed=seed)
        kernel = Kernel(
            project,
            specs=specs,
            run=run,
            plugins=discover(*plugins),
            middleware=standard_stack(run) if middleware is None else middleware,
            sandbox=sandbox,
            hosting=hosting,
            grants=grants,
            settings=settings,
            paths=paths,
            required=required,
            evidence=evidence,
        )
        yield stack.enter_context(kernel)
