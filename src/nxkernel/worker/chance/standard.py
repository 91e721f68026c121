"""The standard library's randomness: ``random``, ``secrets``, ``os`` and ``uuid``.

Functions are replaced where they lie and wherever else a module holds them. Classes stay what they
are, for ``isinstance``, subclasses and pickles: a generator that was made without a seed has its
two sources of bits replaced in its own ``__dict__``, until it gets a seed or a state. Unpickling
makes such a generator for a moment, and nobody notices.
"""

from __future__ import annotations

import os
import random
import secrets
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import ModuleType
from typing import Any, Final

from nxkernel.worker.chance.guarded import Entropy, Guarded, Seeding
from nxkernel.worker.chance.sources import CHANCE, GLOBAL, Source
from nxkernel.worker.chance.watch import Watch

__all__ = ["install", "remember"]

_RANDOM: Final = tuple(
    name
    for name in (
        "betavariate",
        "binomialvariate",
        "choice",
        "choices",
        "expovariate",
        "gammavariate",
        "gauss",
        "getrandbits",
        "lognormvariate",
        "normalvariate",
        "paretovariate",
        "randbytes",
        "randint",
        "random",
        "randrange",
        "sample",
        "shuffle",
        "triangular",
        "uniform",
        "vonmisesvariate",
        "weibullvariate",
    )
    if hasattr(random, name)
)
_SECRETS: Final = {
    "choice": "context.rng.choice(...)",
    "randbelow": "context.rng.randrange(...)",
    "randbits": "context.rng.getrandbits(...)",
    "token_bytes": "context.rng.randbytes(...)",
    "token_hex": "context.rng.randbytes(...).hex()",
    "token_urlsafe": "context.uuid().hex",
}
#: What a generator's numbers are made of: every other method asks one of these.
_BITS: Final = ("random", "getrandbits")

_Reference = tuple[dict[str, Any], str, int]
#: Where modules that were imported early hold an original, by its id; see :func:`remember`.
_references: list[_Reference] = []
#: What takes their place, by the same ids, and whom they tell: nobody yet.
_stand_ins: dict[int, Guarded] = {}
_nobody = Watch({})
#: What puts back what was replaced before anybody was to be told.
_replaced: list[Callable[[], None]] = []


def _originals() -> dict[int, tuple[ModuleType, str]]:
    """The functions that are replaced, by their id, and where they belong."""
    found: dict[int, tuple[ModuleType, str]] = {}
    for module, names in (
        (random, (*_RANDOM, "seed", "setstate")),
        (secrets, tuple(_SECRETS)),
        (uuid, ("uuid1", "uuid4")),
        (os, ("urandom", "getrandom")),
    ):
        for name in names:
            if hasattr(module, name):
                found.setdefault(id(getattr(module, name)), (module, name))
    return found


def remember() -> None:
    """Find the references to what may be replaced in the modules that are there, and make ready.

    For the zygote, once for all workers: it takes longer than all the rest.
    """
    _references[:] = _search()
    _stand_ins.update(_made(_nobody))


def _search() -> Iterator[_Reference]:
    originals = _originals()
    for name in sorted(sys.modules):
        module: object = sys.modules[name]
        if not isinstance(module, ModuleType) or name.partition(".")[0] == "nxkernel":
            continue
        # Copied: a lazy module may add to its own names while they are looked at.
        for attribute, value in list(vars(module).items()):
            if id(value) in originals:
                yield vars(module), attribute, id(value)


def prepare() -> None:
    """Replace what draws ahead, telling nobody: for the zygote of workers that will be guarded.

    A worker then has one thing to write, where it wrote to each module.
    """
    _replaced[:] = _replace(_references, _stand_ins, _nobody)


def install(watch: Watch) -> None:
    """Replace what draws, for the rest of the process."""
    _nobody.become(watch)
    if not _replaced:
        stand_ins = _stand_ins or _made(watch)
        _replace(_references or list(_search()), stand_ins, watch)


def withdraw() -> None:
    """Put back what `prepare` has replaced: nobody is to see what this plugin draws."""
    for put_back in reversed(_replaced):
        put_back()
    _replaced.clear()


def _replace(
    references: Iterable[_Reference], stand_ins: Mapping[int, Guarded], watch: Watch
) -> list[Callable[[], None]]:
    """Put the stand-ins in their places; return what puts back what was there."""
    put_back = []
    for namespace, attribute, number in references:
        original = namespace.get(attribute)
        if id(original) == number:
            namespace[attribute] = stand_ins[number]
            put_back.append(partial(namespace.__setitem__, attribute, original))
    return [*put_back, _guard_system_random(watch), _guard_generators(watch)]


def _made(watch: Watch) -> dict[int, Guarded]:
    return {
        number: _stand_in(module, name, watch) for number, (module, name) in _originals().items()
    }


def _stand_in(module: ModuleType, name: str, watch: Watch) -> Guarded:
    original: Callable[..., Any] = getattr(module, name)
    home = module.__name__
    if module is random and name in ("seed", "setstate"):
        argument = "a" if name == "seed" else "state"
        source = Source(CHANCE, f"random.{name}()", "a seed into it" + GLOBAL, "random")
        return Seeding(original, watch, source, home, name, argument=argument)
    if module is random:
        instead = f"context.rng.{name}(...) instead{GLOBAL}"
        source = Source(CHANCE, f"random.{name}()", instead, "random")
        return Guarded(original, watch, source, home, name)
    if module is os:
        source = Source(CHANCE, f"os.{name}()", "context.rng.randbytes(...) instead")
        return Entropy(original, watch, source, home, name)
    instead = _SECRETS.get(name, "context.uuid()") if module is secrets else "context.uuid()"
    source = Source(CHANCE, f"{home}.{name}()", f"{instead} instead")
    return Guarded(original, watch, source, home, name)


def _guard_system_random(watch: Watch) -> Callable[[], None]:
    source = Source(CHANCE, "random.SystemRandom()", "context.rng instead")
    ask = os.urandom
    original = ask._original if isinstance(ask, Entropy) else ask
    put_back = partial(setattr, random, "_urandom", original)
    random._urandom = Entropy(original, watch, source, "os", "urandom")  # type: ignore[attr-defined]
    return put_back


def _guard_generators(watch: Watch) -> Callable[[], None]:
    """Have generators without a seed tell of their first number; in place, for all subclasses."""
    cls = random.Random
    seed, setstate = cls.seed, cls.setstate
    source = Source(
        CHANCE, "random.Random() without a seed", "random.Random(seed), or take context.rng"
    )

    def guarded_seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        _clear(self)
        seed(self, a, version)
        if a is None:
            for name in _BITS:
                if getattr(type(self), name) is getattr(cls, name):
                    self.__dict__[name] = _Unseeded(self, name, watch, source, seed)

    def guarded_setstate(self: random.Random, state: Any) -> None:
        _clear(self)
        setstate(self, state)

    for name, original, stand_in in (
        ("seed", seed, guarded_seed),
        ("setstate", setstate, guarded_setstate),
    ):
        stand_in.__name__, stand_in.__qualname__ = original.__name__, original.__qualname__
        stand_in.__doc__, stand_in.__module__ = original.__doc__, original.__module__
        setattr(cls, name, stand_in)

    def put_back() -> None:
        cls.seed, cls.setstate = seed, setstate  # type: ignore[method-assign]

    return put_back


def _clear(generator: random.Random) -> None:
    for name in _BITS:
        if isinstance(generator.__dict__.get(name), _Unseeded):
            del generator.__dict__[name]


class _Unseeded:
    """Stands for ``random`` or ``getrandbits`` of a generator that nobody gave a seed."""

    def __init__(
        self,
        generator: random.Random,
        name: str,
        watch: Watch,
        source: Source,
        seed: Callable[..., None],
    ) -> None:
        self._generator, self._name, self._watch = generator, name, watch
        self._source, self._seed = source, seed

    def __call__(self, *args: Any) -> Any:
        """Tell the watch; then the generator is as any other."""
        if self._watch.met(self._source):
            self._seed(self._generator, int.from_bytes(self._watch.reserve(32), "little"))
        _clear(self._generator)
        return getattr(self._generator, self._name)(*args)
