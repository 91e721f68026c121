"""The slot's end: a closing kernel lets nobody in and leaves nobody waiting.

What a slot does while it is open is in ``tests/property/test_gate.py``.
"""

from __future__ import annotations

import threading
from typing import Any

import attrs
import pytest

from nxkernel.host.slot import CLOSED, Frame, Slot


@attrs.define
class Place:
    """A slot with a worker, and what happened to it."""

    rings: int = 0
    ended: list[Any] = attrs.Factory(list)
    slot: Slot = attrs.field(init=False)
    worker: Any = attrs.Factory(object)

    def __attrs_post_init__(self) -> None:
        self.slot = Slot(threading.Lock(), self._ring)
        self.slot.worker = self.worker

    def _ring(self) -> None:
        self.rings += 1

    def close(self) -> Any:
        return self.slot.close(self.ended.append)

    def entered(self, name: str) -> Frame:
        frame = Frame(name, 0.0)
        assert self.slot.enter(frame)
        return frame


@pytest.fixture
def place() -> Place:
    """A slot with an idle worker."""
    return Place()


def test_an_idle_worker_is_handed_over_alive(place: Place) -> None:
    """It can be asked to stop; nobody else buries it."""
    assert place.close() is place.worker
    assert (place.ended, place.slot.worker) == ([], None)


def test_a_slot_without_worker_has_none_to_hand_over(place: Place) -> None:
    """Closing it twice neither."""
    place.close()
    assert place.close() is None


def test_a_worker_in_use_is_ended_and_left_to_its_session(place: Place) -> None:
    """The session that talks to it notices, and buries it."""
    frame = place.entered("1")
    assert place.close() is None
    assert place.ended == [place.worker]
    assert (frame.lost_by, frame.buries) == (CLOSED, place.worker)
    place.slot.lose(place.worker, frame, place.ended.append)
    assert place.ended == [place.worker]


def test_a_worker_whose_calls_all_wait_is_handed_over_dead(place: Place) -> None:
    """No session talks to it, so none would bury it."""
    frame = place.entered("1")
    place.slot.suspend(frame)
    assert place.close() is place.worker
    assert place.ended == [place.worker]
    assert place.slot.resume(frame)
    assert (frame.lost_by, frame.buries) == (CLOSED, None)


def test_whoever_waits_gets_in_to_hear_that_it_is_over(place: Place) -> None:
    """Before and after: nobody waits for a worker that will not come."""
    place.entered("1")
    waiting = Frame("2", 0.0)
    assert not place.slot.enter(waiting)
    rings = place.rings
    place.close()
    assert place.rings > rings
    for frame in (waiting, Frame("3", 0.0)):
        assert place.slot.enter(frame)
        assert frame.lost_by == CLOSED
        place.slot.leave(frame)
    assert place.slot.state == "stopped"
