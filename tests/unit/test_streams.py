"""What a call draws from: each generator is made once, of the call's key alone."""

from __future__ import annotations

import sys
import types
import uuid

import numpy
import pytest

from nxkernel._seeds import child, draw, run_key
from nxkernel._streams import Streams

KEY = run_key(7)


def test_generators_are_the_same_objects_for_the_whole_call() -> None:
    """Asked twice, a call goes on with the generator that it has; equal calls begin anew."""
    streams = Streams(KEY)
    assert streams.rng is streams.rng
    assert streams.numpy_rng() is streams.numpy_rng()
    assert streams.rng is not Streams(KEY).rng


def test_numpy_generator_has_the_entropy_of_its_draw() -> None:
    """PCG64 over a SeedSequence of 16 bytes: any program with NumPy can make the same one."""
    entropy = int.from_bytes(draw(KEY, "numpy", 16), "little")
    expected = numpy.random.Generator(numpy.random.PCG64(entropy)).integers(0, 2**63, 5).tolist()
    assert Streams(KEY).numpy_rng().integers(0, 2**63, 5).tolist() == expected


def test_what_one_library_draws_moves_no_other() -> None:
    """Generators are independent: the order in which they are asked for changes nothing."""
    one, other = Streams(KEY), Streams(KEY)
    first = one.rng.random(), one.numpy_rng().random(), one.uuid()
    last = other.uuid(), other.numpy_rng().random(), other.rng.random()
    assert first == last[::-1]


def test_uuids_are_counted_within_the_call() -> None:
    """Each is another one, of version 4 by its form; an equal call gets the same ones."""
    mine, again = Streams(KEY), Streams(KEY)
    drawn = [mine.uuid() for _ in range(50)]
    assert len(set(drawn)) == 50
    assert {(each.version, each.variant) for each in drawn} == {(4, uuid.RFC_4122)}
    assert drawn == [again.uuid() for _ in range(50)]
    assert Streams(child(KEY, "x")).uuid() not in drawn


class Generator:
    """As much of ``torch.Generator`` as is asked for here: Torch is larger than all the rest."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seed = 0

    def manual_seed(self, seed: int) -> None:
        self.seed = seed


def test_torch_generator_has_the_seed_of_its_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 bits, on the device that is asked for, and one object for each device."""
    torch = types.ModuleType("torch")
    torch.Generator = Generator  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    streams = Streams(KEY)
    generator = streams.torch_generator()
    assert generator.device == "cpu"
    assert generator.seed == int.from_bytes(draw(KEY, "torch", 8), "little")
    assert streams.torch_generator() is generator
    assert streams.torch_generator("cuda").device == "cuda"
