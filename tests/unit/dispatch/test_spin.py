"""Whether a call looks a while before it blocks: found out by trying, on a clock of the test's."""

from __future__ import annotations

import os
from functools import partial

import attrs

from nxkernel._clock import SystemClock
from nxkernel.dispatch.drivers import Bell, run_blocking
from nxkernel.dispatch.effects import Effects, Io, Signal
from nxkernel.dispatch.spin import BUDGET_S, MOST_PUT_OFF, STAY, WINDOW, Spin

FD = 7


@attrs.define
class Machine:
    """Takes so long for an answer, by either way."""

    blocking_s: float
    looking_s: float
    calls: int = 1
    now: float = 0.0
    #: What each wait did.
    did: list[str] = attrs.Factory(list)

    def spin(self, processors: int = 2) -> Spin:
        """What waits on this machine."""
        return Spin(
            calls=lambda: self.calls,
            processors=processors,
            look=self.look,
            now=lambda: self.now,
        )

    def look(self, fd: int, seconds: float) -> bool:
        """See the answer if it comes in time."""
        self.did.append("look")
        self.now += min(self.looking_s, seconds)
        return self.looking_s <= seconds

    def block(self) -> set[int]:
        """Sleep until it is there."""
        self.did.append("block")
        self.now += self.blocking_s
        return {FD}

    def wait(self, spin: Spin, times: int, hook: str = "h") -> list[str]:
        """Wait so many times, and return what was done."""
        self.did = []
        for _ in range(times):
            assert spin.wait(hook, FD, self.block) == {FD}
        return self.did


def test_looking_stays_where_it_is_faster() -> None:
    """Both are tried for some calls, then the faster one has a thousand, then both once more."""
    machine = Machine(blocking_s=90e-6, looking_s=40e-6)
    spin = machine.spin()
    assert machine.wait(spin, WINDOW) == ["block"] * WINDOW
    assert machine.wait(spin, WINDOW * (1 + STAY)) == ["look"] * WINDOW * (1 + STAY)
    assert machine.wait(spin, WINDOW) == ["block"] * WINDOW


def test_blocking_stays_where_looking_drives_the_worker_away() -> None:
    """A look that sees the answer, and later than a sleeper would, is given up."""
    machine = Machine(blocking_s=10e-6, looking_s=40e-6)
    spin = machine.spin()
    machine.wait(spin, 2 * WINDOW)
    assert machine.wait(spin, WINDOW * STAY) == ["block"] * WINDOW * STAY


def test_a_slow_hook_is_not_looked_at() -> None:
    """Whose answers take long is told from blocking alone; other hooks are not judged by it."""
    machine = Machine(blocking_s=50 * BUDGET_S, looking_s=50 * BUDGET_S)
    spin = machine.spin()
    assert "look" not in machine.wait(spin, WINDOW * (1 + STAY))
    machine.blocking_s, machine.looking_s = 90e-6, 40e-6
    assert "look" in machine.wait(spin, 2 * WINDOW, hook="quick")


def test_what_looked_in_vain_blocks() -> None:
    """Nobody looks longer than the budget, and no answer is missed."""
    machine = Machine(blocking_s=90e-6, looking_s=2 * BUDGET_S)
    spin = machine.spin()
    machine.wait(spin, WINDOW)
    assert machine.wait(spin, 1) == ["look", "block"]


def test_nobody_looks_beside_another_call_or_on_one_processor() -> None:
    """There a look takes from others what they need to answer."""
    machine = Machine(blocking_s=90e-6, looking_s=40e-6)
    assert "look" not in machine.wait(machine.spin(processors=1), 4 * WINDOW)
    machine.calls = 2
    assert "look" not in machine.wait(machine.spin(), 4 * WINDOW)


def test_a_call_that_looks_gets_its_bytes() -> None:
    """The real look, through the driver: what lies in the pipe is seen without a sleep."""
    read, write = os.pipe()
    spin = Spin(calls=lambda: 1, processors=2)
    look, answers = partial(spin.wait, "h"), []

    def call() -> Effects[bytes]:
        signal = yield Io(read, None, None)
        assert signal is Signal.READY
        return os.read(read, 1)

    for number in range(3 * WINDOW):
        os.write(write, bytes([number]))
        answers.append(run_blocking(call(), SystemClock(), Bell(), look))
    assert answers == [bytes([number]) for number in range(3 * WINDOW)]
    for fd in (read, write):
        os.close(fd)


# -- in an event loop ------------------------------------------------------------------------------


def glances(machine: Machine, times: int, processors: int = 2) -> list[bool]:
    """Look for the answers of so many awaited calls; what is seen, and what was done."""
    machine.did = []
    glance = machine.spin(processors).glance_of("h")
    return [glance(FD, machine.block) for _ in range(times)]


def test_a_glance_never_blocks() -> None:
    """An answer in time is seen, each time; for one that takes longer the event loop waits."""
    quick, slow = Machine(90e-6, looking_s=40e-6), Machine(90e-6, looking_s=1.0)
    assert glances(quick, 50) == [True] * 50
    assert quick.did == ["look"] * 50
    assert not any(glances(slow, 50))
    assert "block" not in slow.did


def test_a_glance_for_nothing_puts_the_next_ones_off() -> None:
    """Twice as many each time: a loop stands still for a hook of slow answers ever more rarely."""
    slow = Machine(90e-6, looking_s=1.0)
    glances(slow, 100_000)
    assert 10 <= len(slow.did) <= 12 + 100_000 // MOST_PUT_OFF
    spin = slow.spin()
    glance = spin.glance_of("h")
    assert [glance(FD, slow.block) for _ in range(3)] == [False] * 3
    slow.looking_s = 0.0
    assert [glance(FD, slow.block) for _ in range(4)] == [False, False, True, True]
    assert spin.glance_of("h") is glance


def test_nobody_glances_beside_another_call_or_on_one_processor() -> None:
    """It would take the processor from whoever is to answer."""
    machine = Machine(90e-6, looking_s=0.0, calls=2)
    assert not any(glances(machine, 5))
    machine.calls = 1
    assert not any(glances(machine, 5, processors=1))
    assert machine.did == []
