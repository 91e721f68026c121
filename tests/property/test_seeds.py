"""Laws of the seed tree: what a call is decides, and nothing of how it came to be made."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nxkernel import _seeds
from nxkernel._streams import Streams
from nxkernel.middleware.determinism import Determinism
from nxkernel.types import PluginId
from tests.support.calls import Boot, a_call, sent

PARTS = st.one_of(st.integers(), st.text(), st.binary())
PATHS = st.lists(PARTS, max_size=4).map(tuple)
NAMES = st.tuples(st.sampled_from("pqr"), st.sampled_from("gh"), PATHS)

#: What may differ between two deliveries of the same call.
CIRCUMSTANCES = st.fixed_dictionaries(
    {
        "call_id": st.text("0123456789.", min_size=1, max_size=9),
        "attempt": st.integers(1, 9),
        "deadline": st.floats(0, 1e9),
        "depth": st.integers(0, 16),
        "caller": st.sampled_from(["", "host", "other"]),
        "parent": st.none() | st.just("8"),
        "run_id": st.sampled_from(["r000001", "r000002"]),
        "level": st.sampled_from(["process", "confined", "isolated"]),
        "edition": st.integers(1, 9),
        "historic": st.booleans(),
    }
)


def seed_of(seed: Any, name: tuple[str, str, tuple[Any, ...]], **circumstances: Any) -> Any:
    """The seed that a middleware of its own, booted for this one call, gives it."""
    plugin, impl, key = name
    middleware = Determinism()
    middleware.boot(Boot(seed=seed).facts())
    return sent(
        middleware, a_call(plugin=PluginId(plugin), impl=impl, key=key, **circumstances)
    ).seed


@given(seed=st.integers() | st.text(), name=NAMES, one=CIRCUMSTANCES, other=CIRCUMSTANCES)
def test_circumstances_do_not_matter(
    seed: Any, name: Any, one: dict[str, Any], other: dict[str, Any]
) -> None:
    """Attempt, worker level, edition, deadline, ids, depth and caller leave the seed as it is."""
    assert seed_of(seed, name, **one) == seed_of(seed, name, **other)


@given(names=st.lists(NAMES, min_size=1, max_size=12), order=st.randoms(use_true_random=False))
def test_arrival_does_not_matter(names: list[Any], order: random.Random) -> None:
    """Whatever came before, and in whatever order, each call has the key of its own name."""
    run = _seeds.run_key(7)
    alone = {name: _seeds.call_key(run, *name) for name in names}
    order.shuffle(names)
    for name in names:
        assert _seeds.call_key(run, *name) == alone[name]


@given(one=NAMES, other=NAMES)
def test_another_name_is_another_stream(one: Any, other: Any) -> None:
    """Calls share a key exactly if plugin, hook and logical id are the same."""
    run = _seeds.run_key(7)
    keys = _seeds.call_key(run, *one), _seeds.call_key(run, *other)
    assert (keys[0] == keys[1]) is (one == other)


@given(one=PATHS, other=PATHS)
def test_no_two_paths_have_the_same_bytes(one: Any, other: Any) -> None:
    """The encoding can be read back in one way only: text, bytes and numbers do not mix."""
    assert (_seeds.enc(one) == _seeds.enc(other)) is (one == other)


@given(
    asked=st.lists(st.sampled_from(["rng", "numpy", "uuid"]), max_size=12),
    key=st.binary(min_size=32, max_size=32),
)
def test_generators_do_not_disturb_one_another(asked: list[str], key: bytes) -> None:
    """A generator's n-th number is the same, whichever others are used in between."""
    draws = {
        "rng": lambda s: s.rng.random(),
        "numpy": lambda s: float(s.numpy_rng().random()),
        "uuid": lambda s: s.uuid(),
    }
    mixed = Streams(key)
    got = [(name, draws[name](mixed)) for name in asked]
    for name in sorted(draws):
        alone = Streams(key)
        assert [value for n, value in got if n == name] == [
            draws[name](alone) for n in asked if n == name
        ]
