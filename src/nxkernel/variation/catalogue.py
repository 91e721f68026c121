"""The catalogue: what is varied, what depends on it in words, and how a plugin is mended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from nxkernel.variation.conditions import ALONE, Variation

__all__ = ["ADVICE", "BY_ITSELF", "Advice", "processors", "rounds"]

_YEAR_S: Final = 366 * 24 * 3600
_THREADS: Final = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@attrs.frozen(kw_only=True)
class Advice:
    """What a difference under a variation says of a plugin."""

    #: What the result follows from.
    source: str
    #: What to write instead.
    fix: str
    #: How nxkernel holds it still in ordinary runs; empty where it does not.
    held: str = ""


ADVICE: Final[Mapping[str, Advice]] = {
    "hash seed": Advice(
        source="the hash seed: hash() of text, and the order in which a set of it is gone through",
        fix="sort what comes out of a set, sorted(found), and keep hash() out of results",
        held="PYTHONHASHSEED is 0 in every worker",
    ),
    "time zone": Advice(
        source="the time zone: local time",
        fix="use aware datetimes in UTC, datetime.fromtimestamp(seconds, datetime.UTC)",
        held="TZ is UTC in every worker",
    ),
    "locale": Advice(
        source="the locale: its name, its texts and its order",
        fix="do not ask for the locale; sort by code point, and format numbers and dates yourself",
        held="LC_ALL is C.UTF-8 in every worker",
    ),
    "variables": Advice(
        source="variables of the environment that nobody promised",
        fix="take what the plugin needs from context.settings",
        held="the environment of workers is built from nothing",
    ),
    "threads": Advice(
        source="the number of threads of numeric libraries, which split their sums by it",
        fix="leave it at one, or round the result to what it is good for",
        held="each numeric library has one thread in every worker",
    ),
    "processor": Advice(
        source="the kind of processor, by which numeric libraries choose their code",
        fix="round the result to what it is good for",
        held='with guard="strict" OpenBLAS and NumPy use what every processor of ten years has',
    ),
    "file order": Advice(
        source="the order in which a folder is listed",
        fix="sort what a listing gives, by name",
        held="os.listdir, os.scandir and what rests on them go by name in every worker",
    ),
    "processors": Advice(
        source="the number of processors",
        fix="take the number of workers or parts from context.settings, and keep it out of results",
    ),
    "clock": Advice(
        source="the clock",
        fix="use context.now(), the run's start, or an argument of the call",
    ),
    "addresses": Advice(
        source="where objects lie in memory: id(), the order of a set of objects, repr() of one",
        fix="use a key of your own in the place of id(), and sort what comes out of a set by it",
        held='with guard="strict" addresses are fixed where the system lets them be',
    ),
    "directory": Advice(
        source="the path of the plugin's folder in the run directory",
        fix="return paths relative to context.run_dir",
    ),
    "temporary folder": Advice(
        source="the paths of TMPDIR and HOME",
        fix="return no path of a temporary file",
    ),
    "call order": Advice(
        source="the order of calls: an earlier call leaves something behind",
        fix="keep nothing from call to call in the module or the plugin, or write "
        'state = "fresh" in the manifest',
    ),
    "fresh process": Advice(
        source="the calls before it in the same process: they leave something behind",
        fix="keep nothing from call to call in the module or the plugin, or write "
        'state = "fresh" in the manifest',
    ),
}

#: For what differs though nothing was varied.
BY_ITSELF: Final = Advice(
    source="something that is new in every run: a clock, a random number, a process id, the time "
    "or place of a file, how much memory is in use, or which thread is first",
    fix="draw from context.rng, take the time from context.now(), and take what threads give in "
    "the order in which they were started",
)


def processors() -> list[int]:
    """Return the processors that workers may run on; none where the system does not say."""
    ask: Callable[[int], Any] | None = getattr(os, "sched_getaffinity", None)
    return sorted(ask(0)) if ask is not None else []


def rounds(processors: Sequence[int], *, vectors: bool = True) -> tuple[tuple[Variation, ...], ...]:
    """Return rounds of variations: everything that can be varied on this machine, twice.

    Twice, so that what happens to come out alike under one value shows under another. The order of
    calls has a round of its own, and the first one leaves it alone: what an earlier call left
    behind may be what differs by the hash seed.

    Args:
        processors: those that this process may use.
        vectors: whether this one can run what numeric libraries have for older ones of its kind.
    """
    return (
        (
            *_variables("1", "America/Denver", "C", "2"),
            *_processor(vectors, "Prescott", "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512_SKX"),
            _listing("reversed"),
            *_processors(processors[:1], processors),
            Variation(name="clock", how="a year ahead", changes=(("clock_s", _YEAR_S),)),
            *_places(),
        ),
        (Variation(name="call order", how="last call first", order="reversed"),),
        (
            *_variables("2", "Asia/Kathmandu", "POSIX", "3"),
            *_processor(vectors, "Sandybridge", "X86_V4 AVX512F AVX512_SKX"),
            _listing("shuffled"),
            *_processors(processors[-1:], processors),
            Variation(name="clock", how="ten years back", changes=(("clock_s", -10 * _YEAR_S),)),
            *_places(),
            ALONE,
        ),
    )


def _variables(seed: str, zone: str, locale: str, threads: str) -> tuple[Variation, ...]:
    language = {"LC_ALL": locale, "LANG": locale}
    named = {"USER": f"user{seed}", "LOGNAME": f"user{seed}", f"VARIED_{seed}": "1"}
    return (
        Variation(
            name="hash seed",
            how=f"PYTHONHASHSEED={seed}",
            environment={"PYTHONHASHSEED": seed},
        ),
        Variation(name="time zone", how=f"TZ={zone}", environment={"TZ": zone}),
        Variation(name="locale", how=f"LC_ALL={locale}", environment=language),
        Variation(name="variables", how=", ".join(sorted(named)), environment=named),
        Variation(
            name="threads",
            how=f"OMP_NUM_THREADS={threads} and the like",
            environment=dict.fromkeys(_THREADS, threads),
        ),
    )


def _processor(vectors: bool, core: str, without: str) -> tuple[Variation, ...]:
    """The code that OpenBLAS and NumPy have for an older processor, where this one runs it."""
    if not vectors:
        return ()
    variables = {"OPENBLAS_CORETYPE": core, "NPY_DISABLE_CPU_FEATURES": without}
    return (Variation(name="processor", how=f"as on {core}", environment=variables),)


def _listing(order: str) -> Variation:
    return Variation(name="file order", how=order, changes=(("listing", order),))


def _processors(some: Sequence[int], every: Sequence[int]) -> tuple[Variation, ...]:
    """One processor, where there are more."""
    if len(every) < 2:
        return ()
    changes = (("processors", tuple(some)),)
    return (Variation(name="processors", how=f"one of {len(every)}", changes=changes),)


def _places() -> tuple[Variation, ...]:
    return (
        Variation(
            name="addresses", how="at random", changes=(("addresses", "random"),), noisy=True
        ),
        Variation(name="directory", how="another data directory", elsewhere=True),
        Variation(
            name="temporary folder", how="HOME and TMPDIR swapped", changes=(("swapped", True),)
        ),
    )
