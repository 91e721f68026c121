"""The processes of one kernel: zygotes, housekeeper, and a keeper for each plugin."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from nxkernel import _locks, _system
from nxkernel._clock import Clock
from nxkernel._once import once
from nxkernel._seeds import child
from nxkernel.dispatch.drivers import Bell, run_blocking
from nxkernel.dispatch.effects import Effects, Gate, Signal
from nxkernel.errors import KernelConfigError, KernelNotRunning
from nxkernel.host.custody import Custody
from nxkernel.host.guarded import Guarded
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.keeper import Keeper
from nxkernel.host.launch import Launcher
from nxkernel.host.logfile import LogFile
from nxkernel.host.logwriter import LogWriter, Pending
from nxkernel.host.memory_kills import MemoryKills, count_of_group
from nxkernel.host.rounds import Rounds
from nxkernel.host.slot import RETIRED, Slot
from nxkernel.host.spawn import Spawner
from nxkernel.host.supervision import Policy
from nxkernel.host.supervisor import Supervisor
from nxkernel.host.ticker import Ticker
from nxkernel.host.watchdog import INTERVAL_S, Watchdog, gauge
from nxkernel.host.workers import Worker
from nxkernel.host.zygote import Profile
from nxkernel.host.zygotes import Zygotes
from nxkernel.kernel.machine import CONFINING
from nxkernel.kernel.places import Place
from nxkernel.kernel.profiles import default_profile
from nxkernel.settings import Hosting
from nxkernel.types import Level, PluginId

__all__ = ["Plant"]

#: Seconds between SIGTERM and SIGKILL in the stop ladder.
_TERM_GRACE_S = 0.2
#: Seconds between two looks at what a stopping worker still says.
_PUMP_S = 0.05


class Plant:
    """Starts, watches and ends the processes of one kernel."""

    def __init__(
        self,
        hosting: Hosting,
        level: Level,
        clock: Clock,
        key: bytes,
        logs: Path | None = None,
        *,
        profile: Callable[[], Profile] | None = None,
        tidy: Callable[[], None] = lambda: None,
    ) -> None:
        """*profile*: what most plugins' workers are started with, asked for when one is needed.

        *tidy*: what else is done now and then, besides looking after the workers.
        """

        def look_round() -> None:
            rounds.make()
            tidy()

        system = _system.current()
        self.bell = Bell(system)
        self._hosting = hosting
        self._level = level
        self._ask_profile = profile
        self._clock = clock
        #: Where the plugins' output is kept, or None.
        self._logs = logs
        #: Node of the seed tree below which each plugin's pauses are drawn.
        self._key = key
        self._lock = _locks.lock()
        self._housekeeper = Housekeeper(self.bell.ring, system)
        self._log_writer = LogWriter()
        self._launcher = _launcher(hosting, system, self._housekeeper)
        self._memory_kills = MemoryKills(count_of_group())
        #: Of the editions that new calls go to.
        self.keepers: dict[PluginId, Keeper] = {}
        #: Of editions on trial, and of those that finish their last calls.
        self.aside: dict[tuple[PluginId, int], Keeper] = {}
        self._retired = False
        rounds = Rounds(
            self._everybody,
            clock,
            interval_s=hosting.ping_interval_s,
            timeout_s=hosting.ping_timeout_s,
        )
        self._rounds = Ticker("nxkernel-rounds", INTERVAL_S, look_round, Guarded("a round"))
        self._watchdog = Watchdog(self._everybody, clock.monotonic, gauge())

    def begin(self) -> None:
        """Start what most plugins' workers come from, so that it imports while others work.

        Nobody is forked of it before :meth:`ready`. Why it cannot be started is for `start` to say.
        """
        with suppress(KernelConfigError):
            self._launcher.begin(self._profile)

    def start(self) -> None:
        """Start the housekeeping thread, and what :meth:`begin` could not.

        Raises:
            KernelConfigError: when there is no interpreter for workers.
        """
        self._launcher.begin(self._profile)
        self._housekeeper.start()
        self._rounds.start()
        self._watchdog.start()

    def ready(self) -> None:
        """Wait until workers can be started: what they come from takes its time to import.

        Raises:
            KernelConfigError: when the interpreter is not one that can run workers.
        """
        self._launcher.prepare(self._profile)

    @once
    def _profile(self) -> Profile:
        ask = self._ask_profile
        return ask() if ask is not None else default_profile(self._hosting, self._level)

    def add(self, place: Place) -> Keeper:
        """Make a plugin's place; nothing is started yet."""
        keeper = self._make(place)
        self.keepers[place.plugin] = keeper
        return keeper

    def put_aside(self, place: Place) -> Keeper:
        """Make the place of another edition, beside the one that new calls go to.

        Raises:
            KernelNotRunning: when the kernel is closing.
        """
        keeper = self._make(place)
        with self._lock:
            if self._retired:
                raise KernelNotRunning("the kernel is closed; build a new one")
            self.aside[place.plugin, place.edition] = keeper
        return keeper

    def promote(self, plugin: PluginId, edition: int) -> None:
        """Send new calls to an edition that was aside; the one before it goes aside."""
        keeper = self.aside[plugin, edition]
        before = self.keepers.get(plugin)
        if before is not None:
            # In this order: a call that asks for either finds it at every moment.
            self.aside[plugin, before.edition] = before
        self.keepers[plugin] = keeper
        del self.aside[plugin, edition]

    def demote(self, plugin: PluginId) -> None:
        """Send no new calls to *plugin*; it goes aside."""
        keeper = self.keepers.get(plugin)
        if keeper is not None:
            self.aside[plugin, keeper.edition] = keeper
            del self.keepers[plugin]

    def dismiss(self, plugin: PluginId, edition: int) -> None:
        """End an edition that is aside: its worker by the stop ladder, its calls with it."""
        keeper = self.aside.get((plugin, edition))
        if keeper is not None:
            keeper.retire(RETIRED)
            self._climb([keeper, *keeper.cells.values()])
            keeper.close()
            self.aside.pop((plugin, edition), None)

    def _make(self, place: Place) -> Keeper:
        before = self.keepers.get(place.plugin)
        keeper = Keeper(
            place.plugin,
            slot=Slot(self._lock, self.bell.ring),
            plan=place.plan,
            launcher=self._launcher,
            housekeeper=self._housekeeper,
            supervisor=self._supervisor(place),
            check_status=_checker(self._level),
            report=place.report,
            log_tail=self._hosting.log_tail,
            log_disk=self._log_disk(place.plugin),
            start_timeout_s=self._hosting.start_timeout_s,
            answer_s=self._hosting.ping_timeout_s,
            cpu_seconds=place.cpu_seconds,
            patient=place.patient,
            memory_kills=self._memory_kills,
            edition=place.edition,
            forks_calls=place.forks_calls,
        )
        if before is not None:
            # One log for the plugin, and one count of its workers, whatever edition they run.
            keeper.log, keeper.slot.generation = before.log, before.slot.generation
        return keeper

    def _log_disk(self, plugin: PluginId) -> Pending | None:
        if self._logs is None or not self._hosting.log_file:
            return None
        file = LogFile(self._logs / f"{plugin}.log", self._hosting.log_file)
        return self._log_writer.queue(file)

    def _supervisor(self, place: Place) -> Supervisor:
        policy = self._policy(place.plugin)
        return Supervisor(place.plugin, policy, self._clock, place.report, place.record)

    def _policy(self, plugin: PluginId) -> Policy:
        hosting = self._hosting
        return Policy(
            intensity=hosting.restart_intensity,
            period_s=hosting.restart_period_s,
            backoff_s=hosting.backoff_s,
            backoff_max_s=hosting.backoff_max_s,
            quarantine_s=hosting.quarantine_s,
            key=child(self._key, "supervisor", plugin),
        )

    def remove(self, plugin: PluginId) -> None:
        """Forget a plugin whose worker has ended."""
        self.keepers.pop(plugin).close()

    # -- ending --------------------------------------------------------------------------

    def retire(self) -> None:
        """Let no call reach a worker any more; what is under way ends with ``lost_by`` set."""
        with self._lock:
            self._retired = True
        for keeper in self._keepers():
            keeper.retire()

    def stop(self) -> None:
        """Climb the stop ladder: ask, wait, SIGTERM, wait, SIGKILL; then end the zygotes."""
        self.retire()
        self._rounds.stop()
        self._watchdog.stop()
        self._climb(self._everybody())
        self._launcher.end()
        self._housekeeper.stop()
        self._log_writer.stop()
        self._launcher.close()
        for keeper in self._keepers():
            keeper.close()

    def _keepers(self) -> list[Keeper]:
        return [*self.keepers.values(), *self.aside.values()]

    def _everybody(self) -> list[Custody]:
        """Every place of a worker, those of calls among them."""
        found: list[Custody] = []
        for keeper in self._keepers():
            found += [keeper, *keeper.cells.values()]
        return found

    def _climb(self, places: Sequence[Custody]) -> None:
        """Climb the stop ladder with the workers of *places*, which let nobody in any more."""
        asked = [each.ask_to_stop() for each in places]
        left = self._outlast([w for w in asked if w is not None], self._hosting.stop_grace_s)
        for worker in left:
            worker.process.terminate()
        for worker in self._outlast(left, _TERM_GRACE_S):
            worker.process.kill()

    def _outlast(self, workers: list[Worker], seconds: float) -> list[Worker]:
        """Wait until all have ended or the time is up; returns those that are left."""
        until = self._clock.monotonic() + seconds
        run_blocking(self._ends(workers, until), self._clock, self.bell)
        return [worker for worker in workers if worker.exit is None]

    def _ends(self, workers: list[Worker], until: float) -> Effects[None]:
        """Wait for the workers' ends, reading what they still say: no pipe must hold one up."""

        def ended() -> bool:
            for worker in workers:
                worker.channel.pump()
            return all(worker.exit is not None for worker in workers)

        signal, now = Signal.DEADLINE, self._clock.monotonic()
        while signal is Signal.DEADLINE and now < until:
            signal = yield Gate(ended, min(until, now + _PUMP_S))
            now = self._clock.monotonic()


def _launcher(hosting: Hosting, system: _system.System, housekeeper: Housekeeper) -> Launcher:
    """Return what starts the workers of this kernel.

    Raises:
        KernelConfigError: for a zygote where there can be none.
    """
    if hosting.launcher == "zygote" and not system.zygote:
        raise KernelConfigError(
            f'Hosting(launcher="zygote") needs Linux; this is {sys.platform}. Use "spawn"'
        )
    if hosting.launcher == "spawn" or not system.zygote:
        return Spawner(housekeeper.hear, system)
    return Zygotes(housekeeper)


def _checker(level: Level) -> Callable[[int], None] | None:
    if level not in CONFINING:
        return None
    from nxkernel.host.sandbox.linux.check import check_status

    return functools.partial(check_status, isolated=level == "isolated")
