"""The processes of one kernel: zygote, housekeeper, and a keeper for each plugin."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nxkernel
from nxkernel._clock import Clock
from nxkernel.dispatch.drivers import Bell
from nxkernel.errors import KernelConfigError, SandboxUnavailable
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.keeper import Keeper
from nxkernel.host.launch import Launch
from nxkernel.host.slot import Slot, Worker
from nxkernel.host.supervisor import Supervision
from nxkernel.host.zygote import Profile, Zygote
from nxkernel.settings import Hosting
from nxkernel.types import Level, PluginId

__all__ = ["Plant", "code_folders", "worker_environment"]

#: Seconds between SIGTERM and SIGKILL in the stop ladder.
_TERM_GRACE_S = 0.2
#: One thread per numeric library: results of BLAS depend on the number of threads.
_ONE_THREAD = ("MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_RUNTIME = ("attrs", "attr", "cattrs", "msgspec", "pluggy", "nxkernel")


def worker_environment() -> dict[str, str]:
    """Return the environment that every worker shares; nothing of the host's is in it.

    The hash seed is a constant: derived from a run's seed it would make the zygote, and with it
    every start, belong to one run.
    """
    return {
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "TZ": "UTC",
        **dict.fromkeys(_ONE_THREAD, "1"),
    }


def code_folders() -> tuple[str, ...]:
    """Return the folders from which workers import packages, resolved and sorted."""
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    for name in _RUNTIME:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            folders.add(str(Path(spec.origin).parent.parent))
    return tuple(sorted({os.path.realpath(f) for f in folders if os.path.isdir(f)}))


class Plant:
    """Starts, watches and ends the processes of one kernel."""

    def __init__(self, hosting: Hosting, level: Level, clock: Clock) -> None:
        self.bell = Bell()
        self._hosting = hosting
        self._level = level
        self._clock = clock
        self._lock = threading.Lock()
        self._zygote: Zygote | None = None
        self._housekeeper = Housekeeper(self.bell.ring)
        self.keepers: dict[PluginId, Keeper] = {}

    def start(self) -> None:
        """Start the zygote and the housekeeping thread.

        Raises:
            KernelConfigError: when the interpreter is not one that can run a zygote.
        """
        python = self._hosting.python or Path(sys.executable or "")
        if self._hosting.python is None and (getattr(sys, "frozen", False) or not sys.executable):
            raise KernelConfigError(
                "this program is frozen: its executable is no Python interpreter; "
                "give one with Hosting(python=...)"
            )
        profile = Profile(
            python=python,
            bootstrap=Path(nxkernel.__file__).parent / "worker" / "bootstrap.py",
            sys_path=code_folders(),
            environment={**worker_environment(), **self._hosting.environment},
        )
        self._zygote = Zygote(profile)
        self._housekeeper.start(self._zygote)

    def add(
        self,
        plugin: PluginId,
        plan: Callable[[], Launch],
        *,
        cpu_seconds: float | None,
        report: Callable[[str, str, Mapping[str, Any]], None],
    ) -> Keeper:
        """Make the place for a plugin's worker; nothing is started yet."""
        keeper = Keeper(
            plugin,
            slot=Slot(self._lock, self.bell.ring),
            plan=plan,
            zygote=self._running,
            housekeeper=self._housekeeper,
            supervision=Supervision(
                intensity=self._hosting.restart_intensity, period_s=self._hosting.restart_period_s
            ),
            check_status=_checker(self._level),
            report=report,
            log_tail=self._hosting.log_tail,
            start_timeout_s=self._hosting.start_timeout_s,
            cpu_seconds=cpu_seconds,
        )
        self.keepers[plugin] = keeper
        return keeper

    def remove(self, plugin: PluginId) -> None:
        """Forget a plugin whose worker has ended."""
        self.keepers.pop(plugin).close()

    def _running(self) -> Zygote:
        if self._zygote is None:
            raise SandboxUnavailable("the kernel's zygote is not running")
        return self._zygote

    # -- ending --------------------------------------------------------------------------

    def retire(self) -> None:
        """Let no call reach a worker any more; what is under way ends with ``lost_by`` set."""
        for keeper in list(self.keepers.values()):
            keeper.retire()

    def stop(self) -> None:
        """Climb the stop ladder: ask, wait, SIGTERM, wait, SIGKILL; then end the zygote."""
        self.retire()
        asked = [k.ask_to_stop() for k in self.keepers.values()]
        workers = [w for w in asked if w is not None]
        left = self._outlast(workers, self._hosting.stop_grace_s)
        for worker in left:
            _signal(worker, signal.SIGTERM)
        for worker in self._outlast(left, _TERM_GRACE_S):
            _signal(worker, signal.SIGKILL)
        if self._zygote is not None:
            self._zygote.end()
        self._housekeeper.stop()
        if self._zygote is not None:
            self._zygote.close()
        for keeper in self.keepers.values():
            keeper.close()
        self._zygote = None

    def _outlast(self, workers: list[Worker], seconds: float) -> list[Worker]:
        """Wait until all have ended or the time is up; returns those that are left."""
        until = self._clock.monotonic() + seconds
        left = list(workers)
        while left and (rest := until - self._clock.monotonic()) > 0:
            poll = select.poll()
            for worker in left:
                worker.channel.pump()
                poll.register(worker.pidfd, select.POLLIN)
            ended = {fd for fd, _ in poll.poll(min(50, int(rest * 1000) + 1))}
            left = [worker for worker in left if worker.pidfd not in ended]
        return left

    def abandon(self) -> None:
        """In a forked child of the embedder: drop every inherited descriptor, touch no process."""
        if self._zygote is not None:
            self._zygote.abandon()
        self._housekeeper.abandon()
        for keeper in self.keepers.values():
            keeper.abandon()
        self._zygote = None


def _signal(worker: Worker, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(worker.pidfd, number)
    except (ProcessLookupError, OSError):
        return


def _checker(level: Level) -> Callable[[int], None] | None:
    if level not in ("confined", "isolated"):
        return None
    from nxkernel.host.sandbox.linux.check import check_status

    return check_status
