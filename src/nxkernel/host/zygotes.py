"""The zygotes of one kernel: one per launch profile, each started when its first worker is."""

from __future__ import annotations

from contextlib import suppress

from nxkernel import _forks, _locks
from nxkernel.errors import EnvironmentUnavailable, KernelConfigError
from nxkernel.host.housekeeping import Housekeeper
from nxkernel.host.launch import Launch, start
from nxkernel.host.logs import LogTail
from nxkernel.host.workers import Worker
from nxkernel.host.zygote import Profile, Zygote

__all__ = ["Zygotes"]


class Zygotes:
    """Starts each worker from the zygote of its profile. Thread-safe."""

    def __init__(self, housekeeper: Housekeeper) -> None:
        self._housekeeper = housekeeper
        self._lock = _locks.lock()
        self._living: dict[Profile, Zygote] = {}
        #: Those that nobody has waited for yet.
        self._starting: dict[Profile, Zygote] = {}
        #: Those that ended by themselves: their exits may still be read, so they close with us.
        self._dead: list[Zygote] = []
        _forks.register(self)

    def begin(self, profile: Profile) -> None:
        """Start the zygote of *profile*, and let it import what it needs meanwhile.

        That it cannot be started is for :meth:`prepare` to say.
        """
        with self._lock, suppress(OSError):
            if profile not in self._living and profile not in self._starting:
                self._starting[profile] = Zygote(profile, wait=False)

    def prepare(self, profile: Profile) -> None:
        """Start the zygote of *profile*.

        Raises:
            KernelConfigError: when it does not start.
        """
        self.of(profile)

    def of(self, profile: Profile) -> Zygote:
        """Return the zygote of *profile*, a new one if there is none that lives.

        Raises:
            KernelConfigError: when it does not start.
        """
        with self._lock:
            known = self._living.get(profile)
            if known is not None and not known.gone:
                return known
            if known is not None:
                self._dead.append(self._living.pop(profile))
            zygote = self._starting.pop(profile, None)
            if zygote is None:
                zygote = Zygote(profile)
            else:
                zygote.greet()
            self._living[profile] = zygote
            self._housekeeper.hear(zygote)
            return zygote

    def start(self, launch: Launch, log: LogTail, generation: int) -> Worker:
        """Fork a worker from the zygote of its profile.

        Raises:
            NxError: when there is no zygote, or the host has too many files open.
        """
        return start(self._for(launch), launch, log, generation)

    def _for(self, launch: Launch) -> Zygote:
        """Return the launch's zygote; that an interpreter of one plugin fails concerns it alone."""
        try:
            return self.of(launch.profile)
        except (KernelConfigError, OSError) as error:
            load = launch.load
            if load is None or load.environment is None:
                raise
            raise EnvironmentUnavailable(
                f"{load.plugin}: the interpreter of its environment does not start; "
                "run `nxkernel plugins install` again",
                code="environment.interpreter",
                plugin=load.plugin,
                details={"executable": str(launch.profile.python), "reason": str(error)},
            ) from None

    def end(self) -> None:
        """End every zygote, and with it every worker that is left."""
        for zygote in self._all():
            zygote.end()

    def close(self) -> None:
        """Close the pipes of exits, once nobody reads them any more."""
        for zygote in self._all():
            zygote.close()
        self._living.clear()
        self._starting.clear()
        self._dead.clear()

    def abandon(self) -> None:
        """In a forked child of the host: forget them, they are its parent's."""
        self._lock = _locks.lock()
        self._living.clear()
        self._starting.clear()
        self._dead.clear()

    def _all(self) -> list[Zygote]:
        return [*self._living.values(), *self._starting.values(), *self._dead]
