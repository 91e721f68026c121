"""Who tells a worker of a historic call that is under way: its start or the fan-out, never both."""

from __future__ import annotations

from nxkernel.kernel.history import Remembered, key_of
from nxkernel.types import Call
from tests.support.calls import a_call, answered


def under_way() -> tuple[Remembered, Call]:
    memory, call = Remembered(None, None), a_call()
    memory.begin([key_of(call)])
    memory.number(call)
    return memory, call


def test_a_start_for_the_call_itself_leaves_it_out() -> None:
    """It is sent next."""
    memory, call = under_way()
    assert memory.leave_to(key_of(call), call.call_id)
    assert memory.send(call) is None


def test_a_start_for_another_call_tells_it() -> None:
    """The fan-out takes its answer over, under its own id, once."""
    memory, call = under_way()
    assert not memory.leave_to(key_of(call), "another")
    assert memory.take_over(key_of(call), answered(call, 1))
    assert memory.send(call) == answered(call, 1)
    assert memory.send(call) is None


def test_an_answer_of_a_worker_that_is_gone_is_forgotten() -> None:
    """The next start asks again."""
    memory, call = under_way()
    memory.take_over(key_of(call), answered(call, 1))
    assert memory.leave_to(key_of(call), call.call_id)
    assert memory.send(call) is None


def test_what_was_sent_or_given_up_is_told_by_starts_alone() -> None:
    """Their answers go to the callback."""
    for end in (Remembered.send, Remembered.drop):
        memory, call = under_way()
        end(memory, call)
        assert not memory.leave_to(key_of(call), call.call_id)
        assert not memory.take_over(key_of(call), answered(call, 1))


def test_a_kernel_that_boots_again_has_nothing_under_way() -> None:
    """Every worker of its own starts later."""
    memory, call = under_way()
    assert not memory.anew().leave_to(key_of(call), call.call_id)
    assert memory.anew().covers == frozenset()
