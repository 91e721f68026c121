"""NumPy's randomness: the global ``RandomState`` and every generator that is made without a seed.

All of the latter take their entropy from one function, which the module of the bit generators holds
by its name. The former is one object, whose methods the functions of ``numpy.random`` are; it is
replaced by one of a subclass over the same bits, so that code which takes the object itself
(``sklearn.utils.check_random_state``, ``scipy.stats``) is seen as well.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from nxkernel.worker.chance.guarded import Guarded, Unless
from nxkernel.worker.chance.sources import CHANCE, GLOBAL, Source
from nxkernel.worker.chance.watch import Watch

__all__ = ["guard"]

_GENERATOR: Final = "numpy"
#: Functions of a RandomState that draw nothing.
_QUIET: Final = frozenset({"get_state", "seed", "set_state"})
#: Unpickling makes a generator without a seed, and gives it its state right after.
_UNPICKLING: Final = "numpy.random._pickle"


def guard(watch: Watch) -> Callable[[ModuleType], None]:
    """Return what guards the module ``numpy.random``."""

    def apply(module: ModuleType) -> None:
        _guard_entropy(watch)
        _guard_default_rng(module, watch)
        _guard_global(module, watch)
        _guard_class(module, watch)

    return apply


def _guard_entropy(watch: Watch) -> None:
    bits = sys.modules["numpy.random.bit_generator"]
    source = Source(
        CHANCE,
        "a generator of numpy.random without a seed",
        "context.numpy_rng(), or give it a seed",
    )
    name = "randbits"
    original: Any = getattr(bits, name, None)
    if original is not None:
        setattr(bits, name, _Bits(original, watch, source, "secrets", name))


class _Bits(Guarded):
    """Stands for ``secrets.randbits`` in the eyes of NumPy."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Tell the watch, unless the generator is about to get a seed or a state."""
        if _seeding_now() or sys._getframe(1).f_globals.get("__name__") == _UNPICKLING:
            return 0
        if self._watch.met(self._source):
            return int.from_bytes(self._watch.reserve(-(-args[0] // 8)), "little")
        return self._original(*args, **kwargs)


#: Set in a thread that makes a ``RandomState`` with a seed: it begins as one without.
_local = threading.local()


def _seeding_now() -> bool:
    return bool(getattr(_local, "seeding", False))


class _Kind(type):
    """Has the class that stands in for ``RandomState`` take every other one for its own."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.__mro__[1])


def _guard_class(module: Any, watch: Watch) -> None:
    home: Any = sys.modules["numpy.random.mtrand"]
    original = home.RandomState
    source = Source(CHANCE, "numpy.random.RandomState()", "context.numpy_rng(), or give it a seed")

    def init(self: Any, seed: Any = None) -> None:
        if seed is None and watch.met(source):
            seed = int.from_bytes(watch.reserve(4), "little")
        _local.seeding = seed is not None
        try:
            original.__init__(self, seed)
        finally:
            _local.seeding = False

    names = {"__init__": init, "__module__": original.__module__, "__doc__": original.__doc__}
    stand_in = _Kind(original.__name__, (original,), names)
    for place in (home, module):
        place.RandomState = stand_in


def _guard_default_rng(module: ModuleType, watch: Watch) -> None:
    source = Source(CHANCE, "numpy.random.default_rng()", "context.numpy_rng(), or give it a seed")
    made: Any = module.default_rng
    stand_in = Unless(made, watch, source, "numpy.random", "default_rng", argument="seed")
    for place in (module, sys.modules.get("numpy.random._generator")):
        if place is not None:
            place.default_rng = stand_in  # type: ignore[attr-defined]


def _guard_global(module: ModuleType, watch: Watch) -> None:
    home: Any = sys.modules["numpy.random.mtrand"]
    old = home._rand
    new = _subclass(type(old), watch)(old._bit_generator)
    for place in (home, module):
        for name, value in list(vars(place).items()):
            if value is old:
                setattr(place, name, new)
            elif getattr(value, "__self__", None) is old:
                setattr(place, name, getattr(new, name))


def _subclass(cls: Any, watch: Watch) -> Any:
    """Return *cls* with methods that tell the watch."""
    methods: dict[str, Any] = {
        name: _drawing(cls, name, watch)
        for name in dir(cls)
        if not name.startswith("_") and name not in _QUIET and callable(getattr(cls, name))
    }
    methods["seed"] = _seeding(cls, "seed", watch)
    methods["set_state"] = _seeding(cls, "set_state", watch)
    methods["__module__"] = cls.__module__
    return type(cls.__name__, (cls,), methods)


def _drawing(cls: Any, name: str, watch: Watch) -> Callable[..., Any]:
    original = getattr(cls, name)
    source = Source(
        CHANCE, f"numpy.random.{name}()", f"context.numpy_rng() instead{GLOBAL}", _GENERATOR
    )

    def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
        watch.met(source)
        return original(self, *args, **kwargs)

    return _named(draw, original, name)


def _seeding(cls: Any, name: str, watch: Watch) -> Callable[..., Any]:
    original = getattr(cls, name)
    source = Source(CHANCE, f"numpy.random.{name}()", f"a seed into it{GLOBAL}")

    def seed(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = args[0] if args else next(iter(kwargs.values()), None)
        if given is None:
            watch.seeded.discard(_GENERATOR)
            watch.met(source)
        else:
            watch.seeded.add(_GENERATOR)
        return original(self, *args, **kwargs)

    return _named(seed, original, name)


def _named(function: Callable[..., Any], original: Any, name: str) -> Callable[..., Any]:
    function.__name__, function.__qualname__ = name, f"RandomState.{name}"
    function.__doc__ = original.__doc__
    return function
