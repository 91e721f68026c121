"""Every source of non-determinism that we know, in a plugin of its own: what becomes of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel.testing import FakeClock
from nxkernel.variation.catalogue import ADVICE
from tests.support import zoo
from tests.support.sources import BLOCKED, CLOSED, NOTHING, PREVENTED, REPLAY, SOURCES, Source

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "determinism.md"


@attrs.frozen
class Life:
    """What the plugins did in one run."""

    outcomes: Mapping[str, nx.Outcome]
    #: By plugin: function, site, when, blocked.
    found: Mapping[str, list[dict[str, Any]]]


def live(place: Path, mode: str) -> Life:
    """Ask every plugin once, in a run of its own, with the guard in *mode* for everything."""
    folders = [source.write(place / "plugins") for source in SOURCES]
    run = nx.Run.create(place / "data", seed=7, clock=FakeClock())
    stack = [
        nx.Determinism(guard=mode, clocks=mode, environment=mode)  # type: ignore[arg-type]
        if isinstance(each, nx.Determinism)
        else each
        for each in nx.standard_stack(run)
    ]
    with nx.Kernel(
        "zoo", specs=[zoo.Hooks], run=run, plugins=nx.discover(*folders), middleware=stack
    ) as kernel:
        outcomes = {
            o.plugin: o for o in kernel.options(timeout=zoo.PATIENCE_S).call("act", value=1)
        }
    found: dict[str, list[dict[str, Any]]] = {}
    for event in zoo.events(run, "determinism.drawn"):
        found.setdefault(event.plugin, []).extend(event.data["found"])
    return Life(outcomes, found)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """One run in mode strict."""
    return live(tmp_path_factory.mktemp("strict"), "strict")


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Another one: other folders, other time zone, locale, hash seed and home of the host."""
    others = {
        "TZ": "America/Denver",
        "LC_ALL": "C",
        "HOME": "/",
        "PYTHONHASHSEED": "4242",
        "OMP_NUM_THREADS": "7",
        "SOMETHING": "else",
    }
    mask = os.umask(0o007)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in others.items():
                patch.setenv(name, value)
            return live(tmp_path_factory.mktemp("another-place") / "deeper", "strict")
    finally:
        os.umask(mask)


@pytest.fixture(scope="module")
def warned(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """A run in mode warn."""
    return live(tmp_path_factory.mktemp("warn"), "warn")


def fated(*fates: str) -> pytest.MarkDecorator:
    """The plugins with one of *fates*."""
    chosen = [source for source in SOURCES if source.fate in fates]
    return pytest.mark.parametrize("source", chosen, ids=lambda source: source.name)


def calls(life: Life, source: Source) -> list[dict[str, Any]]:
    """What the guard saw of a plugin in its call."""
    return [each for each in life.found.get(source.id, []) if each["when"] == "call"]


@fated(BLOCKED)
def test_strict_refuses_with_the_line(strict: Life, source: Source) -> None:
    """The error has its own code, begins with the line that drew, and names the function."""
    error = strict.outcomes[source.id].error
    assert error is not None
    assert error.code == "determinism.blocked", error.message
    assert error.message.startswith(f"plugin.py:{source.line}")
    assert f"{source.function} follows from no seed" in error.message
    assert "; write " in error.message


@fated(BLOCKED)
def test_refusals_are_on_record(strict: Life, source: Source) -> None:
    """The audit has function and call site, and that it was refused."""
    (seen,) = calls(strict, source)
    assert seen["function"] == source.function
    assert seen["site"].partition(",")[0] == f"plugin.py:{source.line}"
    assert seen["blocked"] is True


@fated(BLOCKED)
def test_warn_lets_it_pass_and_records_it(warned: Life, source: Source) -> None:
    """The call has its value; the audit has the same line and function as in mode strict."""
    assert warned.outcomes[source.id].ok, warned.outcomes[source.id].error
    first = calls(warned, source)[0]
    assert first["function"] == source.function
    assert first["site"].partition(",")[0] == f"plugin.py:{source.line}"
    assert first["blocked"] is False


@fated(PREVENTED)
def test_prevented_sources_give_the_same(strict: Life, again: Life, source: Source) -> None:
    """In another run, with everything about the host changed; and the guard has nothing to say."""
    one, other = strict.outcomes[source.id], again.outcomes[source.id]
    assert one.ok, one.error
    assert one.value == other.value
    assert calls(strict, source) == []


@fated(CLOSED)
def test_what_python_cannot_see_is_closed(strict: Life, warned: Life, source: Source) -> None:
    """Raw calls of the C library fail in mode strict, and work in mode warn where they may."""
    assert strict.outcomes[source.id].value == -1
    if source.name != "raw-random":  # which no level ever opens
        assert warned.outcomes[source.id].value != -1


@fated(REPLAY, NOTHING)
def test_the_rest_goes_unseen(strict: Life, source: Source) -> None:
    """Nobody says anything: the page says so, and who reads it is not lulled."""
    assert strict.outcomes[source.id].ok, strict.outcomes[source.id].error
    assert calls(strict, source) == []


def test_there_are_enough_of_them() -> None:
    """At least forty sources, of which at most three are found by nothing."""
    fates = Counter(source.fate for source in SOURCES)
    assert len({source.name for source in SOURCES}) == len(SOURCES) >= 40
    assert fates[NOTHING] <= 3


def test_what_only_a_comparison_finds_is_traced_to_something_that_is_varied() -> None:
    """The storm of the same name holds each of them to it."""
    known = {*ADVICE, "*"}
    for source in SOURCES:
        assert source.traced <= known, source.name
        assert not source.traced or source.fate == REPLAY, source.name


def test_the_page_has_this_table() -> None:
    """Each source stands in the table of the page, with its fate."""
    rows = dict(
        line.strip("| ").split(" | ")[:2]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| `")
    )
    assert rows == {f"`{source.name}`": source.fate for source in SOURCES}


INNOCENT = '''
import copy, functools, inspect, os, pickle, random, tempfile, types

import numpy
import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Dice(random.Random):
    pass


class Keeps:
    """A built-in function in a class stays a function."""

    draw = random.random
    listing = os.listdir


@hookimpl
def act(value):
    assert callable(pickle.loads(pickle.dumps(random.random)))
    assert callable(copy.deepcopy(random.choice))
    assert random.shuffle.__name__ == "shuffle" and random.shuffle.__module__ == "random"
    assert list(inspect.signature(random.randint).parameters) == ["a", "b"]
    assert isinstance(random.Random(1), random.Random) and isinstance(Dice(2), random.Random)
    assert pickle.loads(pickle.dumps(Dice(5))).random() == copy.copy(Dice(5)).random()
    assert isinstance(numpy.random.RandomState(1), numpy.random.RandomState)
    assert isinstance(numpy.random.mtrand._rand, numpy.random.RandomState)
    assert issubclass(type(numpy.random.mtrand._rand), numpy.random.RandomState)
    for made in (numpy.random.default_rng(3), numpy.random.RandomState(3)):
        assert pickle.loads(pickle.dumps(made)).random() == copy.deepcopy(made).random()
    unseeded = random.Random()
    unseeded.seed(4)
    restored = random.Random()
    restored.setstate(unseeded.getstate())
    assert restored.random() == unseeded.random()
    random.seed(5)
    numpy.random.seed(6)
    tempfile.NamedTemporaryFile().close()
    return [Keeps().draw(), Keeps().listing(tempfile.gettempdir()), float(numpy.random.rand()),
            random.getrandbits(8), functools.partial(random.uniform, 1)(2)]
'''


def test_nothing_innocent_trips_the_guard(tmp_path: Path) -> None:
    """Pickles, copies, subclasses, classes that keep a function, seeds of one's own: all go on."""
    source = Source(name="innocent", fate=PREVENTED, body="")
    folder = source.write(tmp_path / "plugins")
    (folder / "plugin.py").write_text(INNOCENT)
    stacks = {
        "strict": nx.Determinism(guard="strict", clocks="strict"),
        "off": nx.Determinism(guard="off"),
    }
    values = {}
    for mode, middleware in stacks.items():
        run = nx.Run.create(tmp_path / mode, seed=7)
        with nx.Kernel(
            "zoo",
            specs=[zoo.Hooks],
            run=run,
            plugins=nx.discover(folder),
            middleware=[nx.Audit(run.audit_log), middleware],
        ) as kernel:
            (values[mode],) = kernel.hook.act(value=1)
        told = [
            each for event in zoo.events(run, "determinism.drawn") for each in event.data["found"]
        ]
        assert [each for each in told if each["when"] == "call"] == []
    assert values["strict"] == values["off"]


def test_libraries_can_be_imported_and_draw_at_import(tmp_path: Path) -> None:
    """In mode strict, in the middle of a call; what was drawn is on record and the same again."""
    body = """
import secrets

SALT = secrets.token_hex()  # here

@hookimpl
def act(value):
    import numpy
    import onnxruntime
    import requests

    numpy.random.mtrand  # imported when it is first asked for
    return [SALT, numpy.__name__, onnxruntime.__name__, requests.__name__]
"""
    source = Source(name="imports", fate=PREVENTED, body=body)
    folder = source.write(tmp_path / "plugins")
    salts = set()
    for place in ("one", "other"):
        run = nx.Run.create(tmp_path / place, seed=7)
        middleware = [nx.Audit(run.audit_log), nx.Determinism(guard="strict")]
        with nx.Kernel(
            "zoo",
            specs=[zoo.Hooks],
            run=run,
            plugins=nx.discover(folder),
            middleware=middleware,
        ) as kernel:
            (found,) = kernel.options(timeout=zoo.PATIENCE_S).hook.act(value=1)
        salts.add(found[0])
        told = [
            each for event in zoo.events(run, "determinism.drawn") for each in event.data["found"]
        ]
        assert {each["when"] for each in told} == {"import"}
        assert (told[0]["function"], told[0]["site"]) == (
            "secrets.token_hex()",
            f"plugin.py:{source.line}",
        )
    assert len(salts) == 1
    assert found[1:] == ["numpy", "onnxruntime", "requests"]
