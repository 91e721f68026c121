"""The supervisor: what it hears, what it reports, whom it refuses, what outlives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nxkernel.errors import WorkerLost
from nxkernel.host.supervision import Policy
from nxkernel.host.supervisor import Supervisor
from nxkernel.types import PluginId
from tests.support.calls import FakeClock


@attrs.define
class Paper:
    """A record that says what it is told to say."""

    written: list[float | None] = attrs.Factory(list)
    removed: int = 0
    by: str | None = None
    remaining: tuple[float | None] | None = None

    def left(self) -> tuple[float | None] | None:
        return self.remaining

    def write(self, seconds: float | None) -> None:
        self.written.append(seconds)

    def remove(self) -> None:
        self.removed += 1

    def lifted(self) -> str | None:
        return self.by


@attrs.define
class Ward:
    """A supervisor on a fake clock, and what it reported."""

    policy: Policy = attrs.Factory(lambda: Policy(intensity=1, backoff_s=4.0))
    clock: FakeClock = attrs.Factory(FakeClock)
    paper: Paper = attrs.Factory(Paper)
    reports: list[tuple[str, Mapping[str, Any]]] = attrs.Factory(list)
    supervisor: Supervisor = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.supervisor = Supervisor(
            PluginId("p"), self.policy, self.clock, self._report, self.paper
        )

    def _report(self, kind: str, plugin: str, data: Mapping[str, Any]) -> None:
        assert plugin == "p"
        self.reports.append((kind, data))

    def die(self, times: int = 1) -> None:
        for _ in range(times):
            self.supervisor.tell("start")
            self.supervisor.tell("died")

    def refused(self, patience: float = 1.0) -> str | None:
        problem = self.supervisor.refusal(self.clock.now + patience)
        return problem.code if problem else None


def test_a_life_is_on_record_from_state_to_state() -> None:
    """Starting, the first call, the death; what each further call does is in its own row."""
    ward = Ward()
    for event in ("start", "loaded", "idle", "called", "idle", "answered", "died"):
        ward.supervisor.tell(event)  # type: ignore[arg-type]
    assert ward.reports == [
        ("worker.state", {"from": "stopped", "to": "starting"}),
        ("worker.state", {"from": "starting", "to": "busy"}),
        ("worker.state", {"from": "ready", "to": "stopped"}),
    ]


def test_a_pause_is_waited_for_if_it_ends_in_time() -> None:
    """A call with too little time is refused, with the same words each time."""
    ward = Ward(policy=Policy(intensity=5, backoff_s=4.0))
    ward.die(2)
    assert not ward.supervisor.may_start()
    assert ward.refused(patience=10.0) is None
    assert ward.refused() == "plugin.backoff"
    first = ward.supervisor.refusal(ward.clock.now)
    ward.clock.now += 0.5
    second = ward.supervisor.refusal(ward.clock.now)
    assert isinstance(first, WorkerLost)
    assert str(first) == str(second)
    assert first.details == {}
    kind, data = ward.reports[-1]
    assert (kind, data["to"], data["in_a_row"]) == ("worker.state", "backoff", 2)
    assert 2.0 <= data["wait_s"] <= 4.0
    ward.clock.now += 4.0
    assert ward.supervisor.may_start()


def test_quarantine_refuses_whatever_the_deadline() -> None:
    """It is reported with its terms, and written down."""
    ward = Ward()
    ward.die(2)
    assert ward.refused(patience=1e9) == "plugin.quarantined"
    kind, data = ward.reports[-1]
    assert kind == "plugin.quarantined"
    assert data == {
        "deaths": 2,
        "intensity": 1,
        "period_s": 60.0,
        "budget": 0,
        "quarantine_s": 300.0,
    }
    assert ward.paper.written == [300.0]


def test_the_refusal_says_how_to_end_it() -> None:
    """The command is in the message; when it ends by itself is not, because that varies."""
    ward = Ward()
    ward.die(2)
    problem = ward.supervisor.refusal(ward.clock.now)
    assert problem is not None
    assert problem.message == (
        "plugin 'p' is quarantined: its worker died more than 1 times within 60 s; "
        "`nxkernel plugins release p` lifts it"
    )


def test_a_release_forgives_everything_at_once() -> None:
    """It says whether there was anything to release."""
    ward = Ward()
    assert not ward.supervisor.release("the application")
    assert ward.reports == []
    ward.die(2)
    assert ward.supervisor.release("the application")
    assert ward.refused() is None
    assert ward.reports[-1] == ("plugin.released", {"by": "the application"})
    assert ward.paper.removed == 1
    assert ward.supervisor.supervision.deaths == ()


def test_a_quarantine_that_was_lifted_elsewhere_is_noticed_when_it_would_refuse() -> None:
    """Whoever lifted it is on record."""
    ward = Ward()
    ward.die(2)
    assert ward.refused() == "plugin.quarantined"
    ward.paper.by = "operator"
    assert ward.refused() is None
    assert ward.reports[-1] == ("plugin.released", {"by": "operator"})


def test_probation_ends_with_an_answer() -> None:
    """Until then the quarantine stays written: the kernel may end before the worker answers."""
    ward = Ward()
    ward.die(2)
    ward.clock.now += 300.0
    ward.supervisor.tell("start")
    assert ward.supervisor.supervision.probation
    assert ward.paper.removed == 0
    ward.supervisor.tell("answered")
    assert ward.reports[-1] == ("plugin.released", {"by": "probation"})
    assert ward.paper.removed == 1


def test_a_death_on_probation_is_quarantined_and_written_again() -> None:
    """One trial for each quarantine."""
    ward = Ward()
    ward.die(2)
    ward.clock.now += 300.0
    ward.die()
    assert ward.paper.written == [300.0, 300.0]
    assert ward.refused() == "plugin.quarantined"
    assert [kind for kind, _ in ward.reports].count("plugin.quarantined") == 2


def test_the_quarantine_of_an_earlier_kernel_is_honoured() -> None:
    """For the time that is left of it."""
    ward = Ward(paper=Paper(remaining=(20.0,)))
    ward.supervisor.resume()
    assert ward.refused() == "plugin.quarantined"
    ward.clock.now += 20.0
    assert ward.refused() is None
    assert ward.paper.written == []


def test_a_quarantine_that_was_lifted_before_the_boot_is_over() -> None:
    """This kernel puts on record who lifted it, because no other could."""
    ward = Ward(paper=Paper(remaining=(None,), by="operator"))
    ward.supervisor.resume()
    assert ward.refused() is None
    assert ward.reports[-1] == ("plugin.released", {"by": "operator"})
    assert ward.paper.removed == 1


def test_no_quarantine_is_no_news() -> None:
    """The usual boot reports nothing."""
    ward = Ward()
    ward.supervisor.resume()
    assert (ward.refused(), ward.reports, ward.paper.removed) == (None, [], 0)


def test_calls_that_come_and_go_take_turns() -> None:
    """Nothing but the state changes, also when something else happened in between."""
    ward = Ward()
    ward.supervisor.occupied(True)
    assert ward.supervisor.supervision.state == "stopped"
    ward.supervisor.tell("start")
    ward.supervisor.tell("loaded")
    seen = []
    for taken in (False, True, False, False, True, True):
        ward.supervisor.occupied(taken)
        seen.append(ward.supervisor.supervision.state)
    assert seen == ["ready", "busy", "ready", "ready", "busy", "busy"]
    ward.supervisor.tell("died")
    assert ward.supervisor.supervision.total == 1
    ward.supervisor.occupied(False)
    assert ward.supervisor.supervision.state == "stopped"
    ward.supervisor.tell("start")
    ward.supervisor.tell("loaded")
    ward.supervisor.occupied(False)
    assert (ward.supervisor.supervision.state, ward.supervisor.supervision.total) == ("ready", 1)
