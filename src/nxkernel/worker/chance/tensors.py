"""Torch's randomness: the functions that draw from its global generator.

What its compiled layers draw by themselves (``dropout``) is not seen; with ``rng = "global"`` it is
seeded all the same, because the generator is.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from nxkernel.worker.chance.guarded import Guarded, Seeding, Unless
from nxkernel.worker.chance.sources import CHANCE, GLOBAL, Source
from nxkernel.worker.chance.watch import Watch

__all__ = ["guard"]

_GENERATOR: Final = "torch"
_FUNCTIONS: Final = (
    "bernoulli",
    "multinomial",
    "normal",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
)
_METHODS: Final = (
    "bernoulli_",
    "cauchy_",
    "exponential_",
    "geometric_",
    "log_normal_",
    "normal_",
    "random_",
    "uniform_",
)
_INSTEAD: Final = f"generator=context.torch_generator() into it{GLOBAL}"


def guard(watch: Watch) -> Callable[[ModuleType], None]:
    """Return what guards the module ``torch``."""

    def apply(module: ModuleType) -> None:
        torch: Any = module
        for name in _FUNCTIONS:
            if hasattr(torch, name):
                setattr(torch, name, _drawing(getattr(torch, name), name, watch))
        for name in _METHODS:
            if hasattr(torch.Tensor, name):
                setattr(torch.Tensor, name, _method(getattr(torch.Tensor, name), name, watch))
        source = Source(CHANCE, "torch.manual_seed()", "a seed into it", _GENERATOR)
        torch.manual_seed = Seeding(
            torch.manual_seed, watch, source, "torch", "manual_seed", argument="seed"
        )
        source = Source(CHANCE, "torch.seed()", "torch.manual_seed(seed) instead" + GLOBAL)
        torch.seed = Guarded(torch.seed, watch, source, "torch", "seed")

    return apply


def _drawing(original: Any, name: str, watch: Watch) -> Guarded:
    source = Source(CHANCE, f"torch.{name}()", _INSTEAD, _GENERATOR)
    return Unless(original, watch, source, "torch", name, argument="generator", position=None)


def _method(original: Any, name: str, watch: Watch) -> Callable[..., Any]:
    source = Source(CHANCE, f"torch.Tensor.{name}()", _INSTEAD, _GENERATOR)

    def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("generator") is None:
            watch.met(source)
        return original(self, *args, **kwargs)

    draw.__name__, draw.__qualname__, draw.__doc__ = name, f"Tensor.{name}", original.__doc__
    return draw
