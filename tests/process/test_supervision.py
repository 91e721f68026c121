"""Workers that die are replaced; a plugin that dies too often rests."""

from __future__ import annotations

import os
import signal

import psutil

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.calls import FakeClock
from tests.support.zoo import Zoo, build, code_of, events, patient

TWICE = nx.Hosting(restart_intensity=2, restart_period_s=60.0)


def crash(zoo: Zoo, times: int) -> None:
    for _ in range(times):
        assert code_of(zoo.act("dies", "exit")) == "plugin.crashed"


def kill_idle(pid: int) -> None:
    """Kill a worker that nobody calls, and wait until it is gone."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    process.wait()


class TestQuarantine:
    """Restart intensity, on an injected clock."""

    def test_crash_loop_is_quarantined(self, open_zoo: Opens) -> None:
        """After more deaths than the intensity within the period, no worker is started."""
        zoo = open_zoo(build, "dies", clock=FakeClock(), hosting=TWICE)
        crash(zoo, 3)
        outcome = zoo.ask("dies", "echo", value=1)
        assert (code_of(outcome), outcome.fault) == ("plugin.quarantined", "plugin")
        assert zoo.kernel.plugins["dies"].state == "quarantined"
        assert zoo.kernel.plugins["dies"].starts == 3

    def test_quarantine_ends_with_the_period(self, open_zoo: Opens) -> None:
        """When the oldest death has left the period, the plugin runs again by itself."""
        clock = FakeClock()
        zoo = open_zoo(build, "dies", clock=clock, hosting=TWICE)
        crash(zoo, 3)
        clock.now += 59.9
        assert not zoo.answers("dies")
        clock.now += 0.1
        assert zoo.answers("dies")

    def test_deaths_far_apart_do_not_add_up(self, open_zoo: Opens) -> None:
        """A plugin that dies now and then is never quarantined."""
        clock = FakeClock()
        zoo = open_zoo(build, "dies", clock=clock, hosting=TWICE)
        for _ in range(4):
            crash(zoo, 1)
            clock.now += 40.0
        assert zoo.answers("dies")

    def test_exceptions_are_no_deaths(self, open_zoo: Opens) -> None:
        """Intensity counts dead processes; failed calls are the breaker's business."""
        zoo = open_zoo(patient, "raises", hosting=TWICE)
        for _ in range(10):
            assert code_of(zoo.act("raises", "ordinary")) == "plugin.raised"
        assert zoo.answers("raises")
        assert zoo.kernel.plugins["raises"].starts == 1

    def test_neighbour_is_not_quarantined(self, open_zoo: Opens) -> None:
        """The count is the plugin's own."""
        zoo = open_zoo(build, "dies", "prints", clock=FakeClock(), hosting=TWICE)
        crash(zoo, 3)
        assert zoo.act("prints", 1).value == 1


class TestIdleDeath:
    """A worker that ends while nobody calls it."""

    def test_it_costs_no_call(self, open_zoo: Opens) -> None:
        """The next call has a new worker and succeeds at the first attempt."""
        zoo = open_zoo(build, "inspects")
        first = zoo.act("inspects").value["pid"]
        kill_idle(first)
        outcome = zoo.act("inspects")
        assert outcome.value["pid"] != first
        assert outcome.attempts == 1

    def test_it_is_on_record(self, open_zoo: Opens) -> None:
        """The audit has the exit, when the replacement is needed."""
        zoo = open_zoo(build, "inspects")
        kill_idle(zoo.act("inspects").value["pid"])
        zoo.act("inspects")
        (event,) = events(zoo.kernel.run, "worker.exit")
        assert event.plugin == "inspects"

    def test_it_counts_as_a_death(self, open_zoo: Opens) -> None:
        """Else a plugin could escape the intensity by dying between its calls."""
        zoo = open_zoo(build, "inspects", clock=FakeClock(), hosting=TWICE)
        for _ in range(3):
            kill_idle(zoo.act("inspects").value["pid"])
        assert code_of(zoo.act("inspects")) == "plugin.quarantined"


class TestStates:
    """What `health` and `plugins` show."""

    def test_lazy_by_default(self, open_zoo: Opens) -> None:
        """Once its hookimpls are known, a plugin's worker starts at its first call."""
        open_zoo(build, "prints", "raises").kernel.close()
        zoo = open_zoo(build, "prints", "raises")
        assert zoo.kernel.health() == {"prints": "stopped", "raises": "stopped"}
        zoo.act("prints")
        assert zoo.kernel.health() == {"prints": "ready", "raises": "stopped"}

    def test_eager_when_asked(self, open_zoo: Opens) -> None:
        """`Hosting(eager=True)` starts them all at boot."""
        open_zoo(build, "prints", "raises").kernel.close()
        zoo = open_zoo(build, "prints", "raises", hosting=nx.Hosting(eager=True))
        assert zoo.kernel.health() == {"prints": "ready", "raises": "ready"}
