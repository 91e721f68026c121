"""The slot's end: a closing kernel lets nobody in and leaves nobody waiting.

What a slot does while it is open is in ``tests/property/test_gate.py``.
"""

from __future__ import annotations

import threading
from typing import Any

import attrs
import pytest

from nxkernel.host.frame import Frame
from nxkernel.host.slot import CLOSED, CROWD, Slot


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

    def _ring(self, *_keys: object) -> None:
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


def test_somebody_is_told_when_the_place_is_taken_and_when_it_is_free(place: Place) -> None:
    """Once for the first call and once for the last, however many are on the stack between."""
    told: list[bool] = []
    place.slot.watch = told.append
    first = place.entered("1")
    place.slot.suspend(first)
    second = place.entered("2")
    assert told == [True]
    for frame in (second, first):
        place.slot.leave(frame)
    assert told == [True, False]


def test_a_worker_is_replaced_for_the_one_call_that_has_not_used_it(place: Place) -> None:
    """Its death is noted before anybody can find the place empty."""
    frame = place.entered("1")
    place.slot.replace(place.worker, frame, place.ended.append)
    assert (place.ended, place.slot.worker) == ([place.worker], None)
    assert frame.buries is place.worker
    assert frame.lost_by is None


def test_a_worker_that_is_gone_already_is_not_replaced(place: Place) -> None:
    """The kernel may close while a call looks at its worker."""
    frame = place.entered("1")
    place.close()
    place.ended.clear()
    place.slot.replace(place.worker, frame, place.ended.append)
    assert place.ended == []


def test_callers_do_not_bury_a_plugin(place: Place) -> None:
    """While a frame below has its reply, calls that nobody waits for stay out until it ran."""
    below = place.entered("below")
    place.slot.suspend(below)
    above = place.entered("above")
    assert not place.slot.resume(below)
    place.slot.suspend(above)
    newcomer, nested = Frame("new", 0.0), Frame("nested", 0.0, nested=True)
    assert not place.slot.enter(newcomer)
    assert place.slot.enter(nested), "another worker's frame waits for it"
    for frame in (nested, above):
        place.slot.leave(frame)
    assert place.slot.resume(below)
    place.slot.leave(below)
    assert place.slot.enter(newcomer)


def test_a_stack_has_a_height(place: Place) -> None:
    """However many calls come while all wait, only nested ones go on top of a high stack."""
    for number in range(CROWD):
        place.slot.suspend(place.entered(str(number)))
    assert not place.slot.enter(Frame("new", 0.0))
    assert place.slot.enter(Frame("nested", 0.0, nested=True))


def test_a_nested_call_is_told_when_those_before_it_must_wait() -> None:
    """It is behind another in the queue; when that one has to stay out, its own turn has come."""
    rung: list[object] = []
    slot = Slot(threading.Lock(), lambda *keys: rung.extend(keys))
    below, above, running = (Frame(name, 0.0) for name in ("below", "above", "running"))
    for frame in (below, above):
        assert slot.enter(frame)
        slot.suspend(frame)
    assert slot.enter(running)
    newcomer, nested = Frame("new", 0.0), Frame("nested", 0.0, nested=True)
    assert not slot.enter(newcomer)
    assert not slot.enter(nested)
    slot.suspend(running)
    rung.clear()
    assert not slot.resume(below)
    assert nested in rung
    assert not slot.enter(newcomer)
    assert slot.enter(nested)


def test_a_frame_of_this_thread_bars_its_way() -> None:
    """Unless its call waits, which can be taken further, or it is another thread's."""
    place = Place()
    first, second = place.entered("first"), Frame("second", 0.0)
    assert not place.slot.enter(second)
    assert place.slot.bars(second, {second})
    assert not place.slot.bars(second, {first, second})
    first.thread += 1
    assert not place.slot.bars(second, {second})


def test_one_that_lets_others_on_top_bars_nobody() -> None:
    """It waits for a reply: whoever comes is on top of it, and gone before it needs its worker."""
    place = Place()
    first, second = place.entered("first"), Frame("second", 0.0)
    place.slot.suspend(first)
    assert not place.slot.bars(second, {second})
    assert place.slot.enter(second)


def test_one_in_the_queue_bars_those_behind_it() -> None:
    """Its call is not where it would see that its turn has come."""
    place = Place()
    busy, ahead, behind = place.entered("busy"), Frame("ahead", 0.0), Frame("behind", 0.0)
    busy.thread += 1
    assert not place.slot.enter(ahead)
    assert not place.slot.enter(behind)
    assert place.slot.bars(behind, {behind})
    assert not place.slot.bars(behind, {ahead, behind})
    assert not place.slot.bars(ahead, {ahead})


def test_who_waits_to_be_on_top_of_others_again_bars_who_is_not_nested() -> None:
    """It keeps everybody else out until it was; who waits for a call of his own bars nobody."""
    place = Place()
    lower = place.entered("lower")
    place.slot.suspend(lower)
    upper, late = place.entered("upper"), Frame("late", 0.0)
    nested = Frame("nested", 0.0, nested=True)
    place.slot.suspend(upper)
    assert not place.slot.bars(late, {late})
    assert not place.slot.resume(lower)
    assert place.slot.bars(late, {late})
    assert not place.slot.bars(late, {late, lower})
    assert not place.slot.bars(nested, {nested})
    lower.thread += 1
    assert not place.slot.bars(late, {late})


def test_a_turn_belongs_to_the_thread_that_runs_it() -> None:
    """A stream is read on in another thread: the turn's frame is that one's from then on."""
    place = Place()
    turn = place.entered("turn")
    place.slot.rest(turn)
    other = threading.Thread(target=lambda: place.slot.reclaim(turn))
    other.start()
    other.join()
    waiting = Frame("waiting", 0.0)
    assert not place.slot.bars(waiting, {waiting})


def test_an_idle_turn_of_its_own_bars_nobody() -> None:
    """Who reads a stream may call its plugin between two items, however crowded that is."""
    place = Place()
    turn = place.entered("turn")
    place.slot.rest(turn)
    late = Frame("late", 0.0)
    for number in range(CROWD):
        place.slot._stack.insert(0, Frame(str(number), 0.0))
        place.slot._stack[0].thread += 1
    assert not place.slot.bars(late, {late})
