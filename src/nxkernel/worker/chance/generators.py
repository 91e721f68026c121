"""The global generators of the libraries that are there: saved, restored, and seeded for a call."""

from __future__ import annotations

import random
import sys
from typing import Any, Final

from nxkernel._seeds import draw
from nxkernel._streams import Streams

__all__ = ["GENERATORS", "restore", "save", "seed"]

GENERATORS: Final = ("random", "numpy", "torch")
#: The generator of the module ``random`` itself: its functions may have been replaced.
_standard: Final[random.Random] = random._inst
_SEED: Final = random.Random.seed


def _numpy() -> Any:
    return getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)


def _numpy_class() -> Any:
    """Its own class: the methods of the one that stands in for it would tell of us."""
    return sys.modules["numpy.random.mtrand"].RandomState


def _torch() -> Any:
    return getattr(sys.modules.get("torch"), "default_generator", None)


def seed(streams: Streams, name: str) -> None:
    """Seed one global generator from a draw of its own, if its library is there."""
    entropy = draw(streams.key, f"global/{name}", 32)
    if name == "random":
        _SEED(_standard, int.from_bytes(entropy, "little"))
    elif name == "numpy" and (numpy := _numpy()) is not None:
        words = [int.from_bytes(entropy[at : at + 4], "little") for at in range(0, 32, 4)]
        _numpy_class().seed(numpy, words)
    elif name == "torch" and (torch := _torch()) is not None:
        torch.manual_seed(int.from_bytes(entropy[:8], "little"))


def save(name: str) -> Any:
    """Return the state of one global generator, or None where its library is not there."""
    if name == "random":
        return _standard.getstate()
    if name == "numpy" and (numpy := _numpy()) is not None:
        return numpy.get_state()
    if name == "torch" and (torch := _torch()) is not None:
        return torch.get_state()
    return None


def restore(name: str, state: Any) -> None:
    """Put a state back that :func:`save` has returned."""
    if state is None:
        return
    if name == "random":
        _standard.setstate(state)
    elif name == "numpy":
        _numpy_class().set_state(_numpy(), state)
    else:
        _torch().set_state(state)
