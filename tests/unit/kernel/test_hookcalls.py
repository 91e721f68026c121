"""Hook calls: the keys by which they are told apart."""

from __future__ import annotations

from nxkernel.kernel.asking import CallOptions
from tests.support.desks import ASKS, echoing


def test_the_key_of_a_call_is_what_it_is_asked() -> None:
    """Equal arguments, equal key: in any order, from any thread. Others have others."""
    bench = echoing()
    for x in (1, 2, 1):
        bench.call("every", x=x)
    first, second, third = (call.key for call in bench.witness.calls)
    assert first == third != second
    assert first == (bytes.fromhex(bench.witness.calls[0].input_digest[7:]), 0)


def test_the_caller_may_name_the_call() -> None:
    """The key is then the caller's word alone."""
    bench = echoing()
    bench.call("every", CallOptions(key="doc-17"), x=1)
    bench.call("every", CallOptions(key=("doc", 17)), x=1)
    assert [call.key for call in bench.witness.calls] == [("doc-17",), ("doc", 17)]


def test_equal_nested_calls_of_one_parent_are_told_apart() -> None:
    """By the order in which their parent makes them; another parent begins anew."""
    bench = echoing(facts=ASKS)
    parent = bench.parent()
    for x in (1, 1, 2, 1):
        bench.nested("first", parent, x=x)
    ordinals = [call.key[1] for call in bench.witness.calls]
    assert ordinals == [0, 1, 0, 2]
    bench.witness.calls.clear()
    bench.nested("first", bench.parent(), x=1)
    assert [call.key[1] for call in bench.witness.calls] == [0]
