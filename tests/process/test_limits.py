"""A plugin that exceeds a limit costs that call: the error names the limit and its line."""

from __future__ import annotations

from typing import Any

import pytest

import nxkernel as nx
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, allow, events, patient

ANIMALS = ("hoards",)


def ended(zoo: Zoo, way: str, amount: int, limit: str) -> dict[str, Any]:
    """Have the hoarder take *amount*; return the details of the error that names *limit*."""
    outcome = zoo.act("hoards", [way, amount])
    assert outcome.error is not None, outcome
    assert (outcome.error.code, outcome.fault) == ("plugin.limit", "plugin"), outcome.error
    assert f"{limit} = " in outcome.error.message
    assert "below [limits] in its manifest" in outcome.error.message
    assert outcome.error.details["limit"] == limit
    assert zoo.answers("hoards")
    return dict(outcome.error.details)


def test_shared_memory(zoo: Zoo) -> None:
    """Memory that no limit of a process counts is seen by the host, which ends the worker."""
    details = ended(zoo, "shared", 400, "memory_mb")
    assert details["allowed"] == 96
    assert details["seen"] > 96 << 20
    assert details["signal"] == 9


def test_private_memory(zoo: Zoo) -> None:
    """The system refuses it, and the plugin may handle that."""
    outcome = zoo.act("hoards", ["private", 400])
    assert outcome.error is not None
    assert outcome.error.details["exception"] == "builtins.MemoryError"
    assert zoo.act("hoards", ["private", 8]).value == 8


def test_many_files(zoo: Zoo) -> None:
    """Four hundred files of one MiB are stopped, though each is small."""
    details = ended(zoo, "files", 400, "written_mb")
    assert details["seen"] > 16 << 20
    assert zoo.act("hoards", ["clean up", 0]).ok


def test_what_is_removed_is_given_back(zoo: Zoo) -> None:
    """A worker may write for years, if it does not keep it."""
    assert zoo.act("hoards", ["emptied", 40]).value == "done"


def test_folders_that_nest_for_ever(open_zoo: Opens) -> None:
    """No depth hides files from the host."""
    outcome = open_zoo(patient, "hoards").act("hoards", ["nested", 200])
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.details["limit"]) == ("plugin.limit", "written_mb")


def test_processor_time(zoo: Zoo) -> None:
    """The system ends it; the error says for which limit, not just that it crashed."""
    details = ended(zoo, "busy", 0, "cpu_seconds_per_call")
    assert details["signal"] == 24


def test_processor_time_of_who_ignores_the_signal(zoo: Zoo) -> None:
    """The host ends it, for the same limit, long before the deadline of the call."""
    details = ended(zoo, "deaf", 0, "cpu_seconds_per_call")
    assert details["signal"] == 9


def test_one_answer(zoo: Zoo) -> None:
    """The worker goes on."""
    starts = zoo.kernel.plugins["hoards"].starts
    outcome = zoo.act("hoards", ["answer", 3])
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("plugin.limit", "plugin")
    assert "output_mb = 2 below [limits] in the manifest" in outcome.error.message
    assert zoo.act("hoards", ["answer", 1]).value == bytes(1 << 20)
    assert zoo.kernel.plugins["hoards"].starts <= starts + 1


@pytest.mark.parametrize(
    ("way", "amount", "errno"), [("one file", 9, "EFBIG"), ("open", 100, "EMFILE")]
)
def test_limits_of_the_system(zoo: Zoo, way: str, amount: int, errno: str) -> None:
    """One large file and many open ones are errors that the plugin can handle."""
    outcome = zoo.act("hoards", [way, amount])
    assert outcome.error is not None
    assert outcome.error.details["errno"] == errno


def test_space_is_written_not_reserved(zoo: Zoo) -> None:
    """The C library makes a file large by writing to it, which takes its time and is counted."""
    assert zoo.act("hoards", ["reserved", 2]).value == 2


def test_it_is_on_record(zoo: Zoo) -> None:
    """Each end of a worker by the host is an event, with what was seen."""
    ended(zoo, "shared", 400, "memory_mb")
    event = events(zoo.kernel.run, "plugin.limit")[-1]
    assert (event.plugin, event.data["limit"], event.data["allowed"]) == ("hoards", "memory_mb", 96)


def test_messages_are_always_the_same(zoo: Zoo) -> None:
    """What was seen differs each time and is in the details alone."""
    texts = {zoo.act("hoards", ["shared", 400]).error.message for _ in range(2)}  # type: ignore[union-attr]
    assert len(texts) == 1


def test_depth_of_calls(open_zoo: Opens) -> None:
    """A manifest can narrow how deep its own calls nest, and those that it answers."""
    rules = [*allow("asks.a", "ask_b"), *allow("asks.b", "ask_a")]
    hosting = nx.Hosting(limits=nx.Limits(call_depth=1))
    zoo = open_zoo(patient, "asks.a", "asks.b", rules=rules, hosting=hosting)
    assert zoo.ask("asks.a", "ask_a", value=["ask_b"]).value == ["a", "b"]
    outcome = zoo.ask("asks.a", "ask_a", value=["ask_b", "try", "ask_a"])
    assert outcome.value == ["a", "b", "call.depth"]
