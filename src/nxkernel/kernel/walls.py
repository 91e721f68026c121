"""Walls: what a worker is confined by, from its plugin's grant, code and libraries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nxkernel._once import once
from nxkernel.host.launch import Confinement, Fence
from nxkernel.kernel.caches import Caches
from nxkernel.kernel.homes import Home
from nxkernel.kernel.machine import CONFINING, unconfined
from nxkernel.run import Run
from nxkernel.settings import Grant, Limits
from nxkernel.types import Level

__all__ = ["Walls"]


class Walls:
    """Builds the confinement of one kernel's workers; below level confined, limits alone."""

    def __init__(self, run: Run, level: Level) -> None:
        self._run = run
        self._level = level

    @once
    def _library(self) -> tuple[str, ...]:
        """What any Python code reads; looked up once, as what plugins' homes read is."""
        from nxkernel.host.sandbox.linux import policy

        return policy.default_read_paths()

    @once
    def _protected(self) -> tuple[str, ...]:
        """The host's own files: no plugin may write there."""
        data = self._run.data_dir
        own = (*Caches(data).protected, data / "audit", self._run.dir / "logs")
        return tuple(map(str, own))

    def around(
        self,
        limits: Limits,
        code: Sequence[str],
        home: Home,
        run_dir: Path,
        granted: Grant,
        *,
        entropy: bool = True,
        template: bool = False,
    ) -> Confinement:
        """Return the confinement of a plugin's worker.

        *code* is what the plugin itself is imported from, *granted* has real paths; *entropy*:
        whether it may draw random bytes of the system; *template*: whether it forks its calls.
        """
        if self._level not in CONFINING:
            return unconfined(limits)
        from nxkernel.host.sandbox.linux import policy
        from nxkernel.host.sandbox.linux.devices import nodes_of

        plan = policy.ConfinementPlan(
            code=tuple(code) if home.environment is None else (*code, home.environment.prefix),
            read=(*home.read, *granted.read),
            write=tuple(sorted({str(run_dir), *granted.write})),
            protected=self._protected,
            connect_tcp=granted.connect,
            bind_tcp=granted.listen,
            execute=granted.exec,
            devices=nodes_of("gpu") if "gpu" in granted.devices else (),
            inputs=nodes_of("raw_input") if "raw_input" in granted.devices else (),
            limits=limits,
            own_root=self._level == "isolated",
            library=self._library,
            scratch=_scratch(run_dir),
            names=home.names,
            entropy=entropy,
            template=template,
        )
        return policy.build(plan)

    def around_calls(self, granted: Grant, *, entropy: bool = True) -> bytes:
        """Return the filter that each call stacks on that of its template; empty below confined."""
        if self._level not in CONFINING:
            return b""
        from nxkernel.host.sandbox.linux import policy
        from nxkernel.host.sandbox.linux.devices import nodes_of

        return policy.call_filter(
            policy.ConfinementPlan(
                connect_tcp=granted.connect,
                bind_tcp=granted.listen,
                devices=nodes_of("gpu") if "gpu" in granted.devices else (),
                inputs=nodes_of("raw_input") if "raw_input" in granted.devices else (),
                entropy=entropy,
            )
        )

    def around_nobody(self, limits: Limits, home: Home, run_dir: Path) -> Confinement:
        """Return the confinement of a worker that has no plugin."""
        if self._level not in CONFINING:
            return unconfined(limits)
        from nxkernel.host.sandbox.linux import policy

        return policy.build(
            policy.ConfinementPlan(
                read=home.read,
                write=(str(run_dir),),
                own_root=self._level == "isolated",
                scratch=_scratch(run_dir),
            )
        )

    def fence(self, code: Sequence[str], home: Home, granted: Grant) -> Fence:
        """Where the walls stand, for the error messages of the worker; none below confined."""
        if self._level not in CONFINING:
            return Fence(read=[], connect=[], listen=[], processes=False)
        return Fence(
            read=sorted({*code, *home.read, *granted.read}),
            connect=list(granted.connect),
            listen=list(granted.listen),
            processes=self.let_programs_start(granted),
        )

    def let_programs_start(self, granted: Grant) -> bool:
        """Whether the plugin may have processes of its own."""
        return self._level in CONFINING and bool(granted.exec)


def _scratch(run_dir: Path) -> tuple[str, ...]:
    """TMPDIR and HOME, which a root of its own keeps in memory."""
    return (str(run_dir / "home"), str(run_dir / "tmp"))
