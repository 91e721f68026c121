"""The seed tree computes what its vectors say, and every part of a name counts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from nxkernel import _seeds
from nxkernel._streams import Streams

VECTORS = json.loads(
    (Path(__file__).resolve().parents[2] / "contracts" / "seed-vectors.json").read_bytes()
)["vectors"]


def part(value: Any) -> _seeds.Part:
    """Read a part of a path from its notation in the vectors."""
    if isinstance(value, dict):
        return bytes.fromhex(value["$bytes"]) if "$bytes" in value else int(value["$int"])
    return value


def call_key(vector: dict[str, Any]) -> bytes:
    run = _seeds.run_key(part(vector["seed"]))
    key = tuple(map(part, vector["key"]))
    return _seeds.call_key(run, vector["plugin"], vector["hook"], key)


def test_there_are_vectors() -> None:
    """The published vectors cover at least twenty names, no two of them alike."""
    assert len(VECTORS) >= 20
    assert len({v["call_key"] for v in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["name"])
def test_vector(vector: dict[str, Any]) -> None:
    """Root, call key, draws and first random number are what the vector says."""
    key = call_key(vector)
    assert _seeds.run_key(part(vector["seed"])).hex() == vector["root"]
    assert key.hex() == vector["call_key"]
    for use, expected in vector["draws"].items():
        assert _seeds.draw(key, use, len(expected) // 2).hex() == expected
    assert _seeds.rng(key).random().hex() == vector["first_random"]
    assert str(Streams(key).uuid()) == vector["first_uuid"]


def test_the_same_name_gives_the_same_key_again() -> None:
    """A cached level of the tree does not change what comes below it."""
    first = [call_key(vector) for vector in VECTORS]
    assert [call_key(vector) for vector in reversed(VECTORS)] == first[::-1]


@pytest.mark.parametrize("wrong", [True, 1.0, None, ["x"], bytearray(b"x")], ids=repr)
def test_other_types_are_refused(wrong: Any) -> None:
    """A part that is no int, str or bytes is a mistake, a bool too."""
    with pytest.raises(TypeError, match=type(wrong).__name__):
        _seeds.enc([wrong])


@pytest.mark.parametrize("size", [0, -1, 65])
def test_impossible_draws_are_refused(size: int) -> None:
    """A draw has the lengths that BLAKE2b has."""
    with pytest.raises(ValueError, match="1 to 64"):
        _seeds.draw(bytes(32), "x", size)


def test_draws_are_independent() -> None:
    """Another use and another length are other bytes, not a prefix."""
    key = _seeds.run_key(1)
    assert _seeds.draw(key, "a") != _seeds.draw(key, "b")
    assert _seeds.draw(key, "a", 32)[:16] != _seeds.draw(key, "a", 16)


def test_rng_is_a_new_generator_each_time() -> None:
    """Drawing from one generator moves no other one, and not the global one."""
    key = _seeds.run_key(1)
    state = random.getstate()
    first = _seeds.rng(key)
    numbers = [first.random() for _ in range(3)]
    second = _seeds.rng(key)
    assert [second.random() for _ in range(3)] == numbers
    assert type(second) is random.Random
    assert random.getstate() == state
