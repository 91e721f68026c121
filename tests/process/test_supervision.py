"""Workers that die are replaced; a plugin that dies too often rests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import psutil
import pytest

import nxkernel as nx
from nxkernel.kernel.quarantine import quarantines
from tests.process.conftest import Opens
from tests.support.calls import FakeClock
from tests.support.zoo import PATIENCE_S, Zoo, build, code_of, copies, events, eventually, patient

#: At once: on a clock that stands still no pause would end.
TWICE = nx.Hosting(restart_intensity=2, restart_period_s=60.0, backoff_s=0.0)


def states(zoo: Zoo) -> dict[str, str]:
    return {name: health.state for name, health in zoo.kernel.health().items()}


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

    def test_quarantine_ends_by_itself(self, open_zoo: Opens) -> None:
        """After its time one worker is started on probation; an answer forgives what was."""
        clock = FakeClock()
        zoo = open_zoo(build, "dies", clock=clock, hosting=TWICE)
        crash(zoo, 3)
        clock.now += 299.9
        assert not zoo.answers("dies")
        clock.now += 0.1
        assert zoo.answers("dies")
        assert zoo.kernel.health()["dies"].budget == 2
        (event,) = events(zoo.kernel.run, "plugin.released")
        assert (event.plugin, event.data) == ("dies", {"by": "probation"})

    def test_probation_is_one_trial(self, open_zoo: Opens) -> None:
        """A death on probation leads back at once, whatever the intensity would forgive."""
        clock = FakeClock()
        zoo = open_zoo(build, "dies", clock=clock, hosting=TWICE)
        crash(zoo, 3)
        clock.now += 300.0
        crash(zoo, 1)
        assert code_of(zoo.ask("dies", "echo", value=1)) == "plugin.quarantined"
        assert len(events(zoo.kernel.run, "plugin.quarantined")) == 2

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


class TestRelease:
    """Quarantine ends by a word of the application or of an operator."""

    def test_the_application_releases(self, open_zoo: Opens) -> None:
        """The plugin runs at once, with its whole budget; it is on record who said so."""
        zoo = open_zoo(build, "dies", clock=FakeClock(), hosting=TWICE)
        crash(zoo, 3)
        assert not zoo.answers("dies")
        assert zoo.kernel.release("dies")
        assert zoo.answers("dies")
        assert zoo.kernel.health()["dies"].budget == 2
        assert not zoo.kernel.release("dies")
        (event,) = events(zoo.kernel.run, "plugin.released")
        assert (event.plugin, event.data) == ("dies", {"by": "application"})

    def test_only_plugins_are_released(self, open_zoo: Opens) -> None:
        """A name that is none is a mistake."""
        zoo = open_zoo(build, "dies")
        with pytest.raises(nx.CallRejected, match="no plugin 'lives'"):
            zoo.kernel.release("lives")

    def test_an_operator_releases_in_a_running_kernel(self, open_zoo: Opens) -> None:
        """From another process, by the data directory alone."""
        zoo = open_zoo(build, "dies", clock=FakeClock(), hosting=TWICE)
        crash(zoo, 3)
        assert not zoo.answers("dies")
        command = [sys.executable, "-m", "nxkernel_cli", "plugins", "release", "dies"]
        subprocess.run([*command, zoo.kernel.run.data_dir], check=True, capture_output=True)
        assert zoo.answers("dies")
        (event,) = events(zoo.kernel.run, "plugin.released")
        assert (event.plugin, event.data) == ("dies", {"by": "operator"})

    @pytest.mark.parametrize("eager", [False, True])
    def test_the_next_kernel_honours_it(self, open_zoo: Opens, eager: bool) -> None:
        """A restart of the application is no release; the time that is left counts on."""
        clock = FakeClock()
        zoo = open_zoo(build, "dies", "prints", clock=clock, hosting=TWICE)
        crash(zoo, 3)
        zoo.kernel.close()
        clock.now += 299.0
        hosting = attrs.evolve(TWICE, eager=eager)
        zoo = open_zoo(build, "dies", "prints", clock=clock, hosting=hosting)
        assert code_of(zoo.ask("dies", "echo", value=1)) == "plugin.quarantined"
        assert zoo.kernel.health()["dies"].retry_in_s == 1.0
        clock.now += 1.0
        assert zoo.answers("dies")
        assert quarantines(zoo.kernel.run.data_dir) == []

    def test_changed_code_is_let_in(self, open_zoo: Opens, tmp_path: Path) -> None:
        """It is on record that the old code's quarantine ended so."""
        clock = FakeClock()
        (copy,) = copies(tmp_path / "changing", "dies", ["changes"])
        zoo = open_zoo(build, clock=clock, hosting=TWICE, folders=[copy])
        for _ in range(3):
            assert code_of(zoo.act("changes", "exit")) == "plugin.crashed"
        zoo.kernel.close()
        (copy / "plugin.py").write_text((copy / "plugin.py").read_text() + "\n# mended\n")
        zoo = open_zoo(build, clock=clock, hosting=TWICE, folders=[copy])
        assert zoo.answers("changes")
        (event,) = events(zoo.kernel.run, "plugin.released")
        assert (event.plugin, event.data) == ("changes", {"by": "changed code"})


class TestBackoff:
    """Pauses between the starts of a plugin that dies again before it has answered."""

    def test_a_short_pause_is_waited_for(self, open_zoo: Opens) -> None:
        """The call that comes in it works, later; the pause is on record, drawn from the seed."""
        hosting = nx.Hosting(backoff_s=0.02, timeout_s=PATIENCE_S)
        zoo = open_zoo(build, "dies", hosting=hosting)
        crash(zoo, 2)
        assert zoo.answers("dies")
        pauses = [e.data for e in events(zoo.kernel.run, "worker.state") if "wait_s" in e.data]
        assert pauses == [
            {"from": "busy", "in_a_row": 2, "to": "backoff", "wait_s": pauses[0]["wait_s"]}
        ]
        assert 0.01 <= pauses[0]["wait_s"] <= 0.02

    def test_a_long_pause_is_an_outcome(self, open_zoo: Opens) -> None:
        """A call whose deadline comes first hears so at once, each time in the same words."""
        zoo = open_zoo(build, "dies", hosting=nx.Hosting(backoff_s=1000.0, backoff_max_s=1000.0))
        crash(zoo, 2)
        first, second = (zoo.ask("dies", "echo", value=1) for _ in range(2))
        assert (code_of(first), first.fault) == ("plugin.backoff", "plugin")
        assert first.error == second.error
        health = zoo.kernel.health()["dies"]
        assert (health.state, health.ok, health.deaths) == ("backoff", False, 2)
        assert health.retry_in_s is not None
        assert health.retry_in_s > PATIENCE_S


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
        assert states(zoo) == {"prints": "stopped", "raises": "stopped"}
        zoo.act("prints")
        assert states(zoo) == {"prints": "ready", "raises": "stopped"}

    def test_eager_when_asked(self, open_zoo: Opens) -> None:
        """`Hosting(eager=True)` starts them all at boot."""
        open_zoo(build, "prints", "raises").kernel.close()
        zoo = open_zoo(build, "prints", "raises", hosting=nx.Hosting(eager=True))
        assert states(zoo) == {"prints": "ready", "raises": "ready"}


class TestPings:
    """Idle workers are asked whether they are there."""

    def test_a_worker_that_hangs_between_its_calls_costs_none(self, open_zoo: Opens) -> None:
        """It is stopped, as a hang in its main thread would stop it; the next call works."""
        hosting = nx.Hosting(ping_interval_s=0.01, ping_timeout_s=1.0, backoff_s=0.0)
        zoo = open_zoo(build, "inspects", hosting=hosting)
        first = zoo.act("inspects").value["pid"]
        os.kill(first, signal.SIGSTOP)
        eventually(lambda: zoo.kernel.health()["inspects"].pings_missed > 0, "it was given up")
        outcome = zoo.act("inspects")
        assert (outcome.ok, outcome.attempts) == (True, 1)
        assert outcome.value["pid"] != first
        assert events(zoo.kernel.run, "worker.unresponsive")[0].plugin == "inspects"

    def test_a_healthy_worker_answers(self, open_zoo: Opens) -> None:
        """It stays the same one; the health counts its answers."""
        hosting = nx.Hosting(ping_interval_s=0.01, ping_timeout_s=PATIENCE_S)
        zoo = open_zoo(build, "inspects", hosting=hosting)
        first = zoo.act("inspects").value["pid"]
        eventually(lambda: zoo.kernel.health()["inspects"].pings >= 2, "it answered twice")
        assert zoo.act("inspects").value["pid"] == first
        assert zoo.kernel.health()["inspects"].pings_missed == 0
