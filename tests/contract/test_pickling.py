"""What an application gets from a kernel survives pickle and copy; what cannot says what to do."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel._pickling import Rooted
from nxkernel.types import EMPTY
from tests.support import examples, public_face

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)
MET = sorted(public_face.classes(), key=lambda cls: (cls.__module__, cls.__qualname__))
VALUES = [cls for cls in MET if not issubclass(cls, Rooted)]


def rooted(cls: type = Rooted) -> list[type]:
    """Return the classes that stay where they are, those that only our own code meets included."""
    own = [each for each in cls.__subclasses__() if public_face.ours(each)]
    return [*own, *(deeper for each in own for deeper in rooted(each))]


ROOTED = sorted({*rooted(), *(set(MET) - set(VALUES))}, key=lambda cls: cls.__qualname__)
WAYS: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy]


def name_of(cls: type) -> str:
    """Return where *cls* is, for the id of a test: two modules have a record of a plugin."""
    return f"{cls.__module__}.{cls.__qualname__}"


def pickled(value: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> Any:
    """Return what comes out of a pickle of *value*."""
    return pickle.loads(pickle.dumps(value, protocol))


def same(one: Any, other: Any) -> bool:
    """Whether both are of one type and alike in every part, those that do not count for == too."""
    if inspect.isfunction(one):  # what asks a log: the copy has what it said
        return same(one(), other())
    if type(one) is not type(other):
        return False
    if isinstance(one, type | str | bytes | bytearray):
        return bool(one == other)
    if isinstance(one, BaseException):
        return (
            same(one.args, other.args)
            and same(one.__cause__, other.__cause__)
            and (same(vars(one), vars(other)) and str(one) == str(other))
        )
    if attrs.has(type(one)):
        names = [each.name for each in attrs.fields(type(one))]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, Sequence):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other or same(one.__getstate__(), other.__getstate__()))


def frozen(value: Any) -> list[str]:
    """Return the fields of *value* that cannot be set."""
    found = []
    for name in [each.name for each in attrs.fields(type(value))]:
        try:
            setattr(value, name, getattr(value, name))
        except AttributeError:
            found.append(name)
    return found


def test_something_is_met() -> None:
    """The look around finds what it is there for, in whatever way an application comes by it."""
    found = {cls.__qualname__ for cls in MET}
    assert found >= {"Outcome", "CallError", "Timing", "Usage", "HookFailed", "CallRejected"}
    assert found >= {"CallRecord", "VerifyReport", "Record", "CheckedAnswer", "Verdict"}
    assert found >= {"Health", "PluginView", "Candidate", "Manifest", "Kernel", "HookCaller"}


@pytest.mark.parametrize("cls", VALUES, ids=name_of)
def test_values_survive_pickle(cls: type, tmp_path: Path) -> None:
    """By every protocol there is, with all that a value can have and with no more than it must."""
    for value in examples.of(cls, tmp_path / "place"):
        for protocol in PROTOCOLS:
            assert same(value, pickled(value, protocol)), (value, protocol)


@pytest.mark.parametrize("cls", VALUES, ids=name_of)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_values_survive_a_copy(cls: type, way: Callable[[Any], Any], tmp_path: Path) -> None:
    """A copy is the same in every part, and equal wherever the parts can be."""
    for value in examples.of(cls, tmp_path / "place"):
        assert same(value, way(value)), value


@pytest.mark.parametrize("cls", [cls for cls in VALUES if attrs.has(cls)], ids=name_of)
def test_what_does_not_change_still_does_not(cls: type, tmp_path: Path) -> None:
    """Fields that cannot be set cannot be set in what came out of a pickle or a copy either."""
    for value in examples.of(cls, tmp_path / "place"):
        for way in (*WAYS, pickled):
            assert frozen(way(value)) == frozen(value)


@pytest.mark.parametrize("cls", [nx.Outcome, nx.HookResult, nx.CallError, nx.Call, nx.Blob])
def test_copies_are_equal(cls: type, tmp_path: Path) -> None:
    """An application may use them as keys of a memory of its own, wherever they were made."""
    for value in examples.of(cls, tmp_path):
        assert value == pickled(value) == copy.copy(value) == copy.deepcopy(value)


@pytest.mark.parametrize("way", [*WAYS, pickled], ids=lambda way: way.__name__)
def test_read_only_mappings_stay_read_only(way: Callable[[Any], Any]) -> None:
    """What was a view is one again, over a dict of its own."""
    told = {"seed": "00"}
    outcome = nx.Outcome(
        plugin="a", impl="act", hook="act", call_id="1", annotations=MappingProxyType(told)
    )
    made = way(outcome)
    told.clear()
    assert made.annotations == {"seed": "00"}
    with pytest.raises(TypeError):
        made.annotations["seed"] = "01"
    with pytest.raises(TypeError):
        way(nx.CallError(code="a", message="b")).details["a"] = 1


@pytest.mark.parametrize("way", [*WAYS, pickled], ids=lambda way: way.__name__)
def test_what_was_seen_of_a_value_is_about_the_copy(way: Callable[[Any], Any]) -> None:
    """A shape belongs to the very object that it was found of; so it does afterwards."""
    (full, _) = examples.of(nx.Outcome, Path())
    outcome = attrs.evolve(full, shape=full.shape._replace(value=full.value))
    made = way(outcome)
    assert made.shape.value is made.value


@pytest.mark.parametrize("way", [*WAYS, pickled], ids=lambda way: way.__name__)
def test_errors_keep_what_happened_in_the_plugin(way: Callable[[Any], Any]) -> None:
    """The plugin's own traceback is the cause of the copy; other causes stay, as Python has it."""
    trace = {"exception": "builtins.ValueError", "text": "bad", "frames": []}
    outcome = nx.Outcome(
        plugin="a",
        impl="act",
        hook="act",
        call_id="1",
        error=nx.CallError(code="plugin.raised", message="bad", details={"traceback": trace}),
        fault="plugin",
    )
    with pytest.raises(nx.HookFailed) as failed:
        nx.HookResult(hook="act", error=outcome.error, outcomes=(outcome,)).unwrap()
    made = way(failed.value)
    assert "ValueError: bad" in str(made.__cause__.__cause__)
    assert made.result == failed.value.result

    error = nx.StorageError("full")
    error.__cause__ = OSError(28, "no room")
    assert way(error).__cause__ is None


class Unripe(nx.CallRejected):
    """An application's own error, with a constructor of its own."""

    def __init__(self, *, fruit: str, days: int) -> None:
        super().__init__(f"{fruit} takes {days} more days", details={"days": days})
        self.fruit = fruit


@pytest.mark.parametrize("way", [*WAYS, pickled], ids=lambda way: way.__name__)
def test_own_errors_survive_whatever_their_constructor_takes(way: Callable[[Any], Any]) -> None:
    """Nobody who derives from our errors has to think of pickle."""
    assert same(Unripe(fruit="plum", days=2), way(Unripe(fruit="plum", days=2)))


def test_a_pickle_of_fewer_fields_gets_the_defaults() -> None:
    """What a cache kept of a version before can be read, as long as no field was taken away."""
    make, (cls, fields, views) = nx.CallError(code="a", message="b").__reduce__()
    made = make(cls, {name: fields[name] for name in ("code", "message")}, [])
    assert (views, made.details) == (["details"], EMPTY)


@pytest.mark.parametrize("cls", ROOTED, ids=name_of)
def test_what_cannot_cross_says_what_to_do(cls: Any) -> None:
    """Before anything of it is looked at: who it is, why not, and what to do instead."""
    thing = cls.__new__(cls)
    words = re.compile(f"^{cls.__name__} cannot be copied or pickled: .*; instead, [a-z]+ .*[^.]$")
    for protocol in PROTOCOLS:
        with pytest.raises(TypeError, match=words):
            pickle.dumps(thing, protocol)
    for way in WAYS:
        with pytest.raises(TypeError, match=words):
            way(thing)
