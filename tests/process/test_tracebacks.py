"""Remote tracebacks: where in the plugin it happened, without an object of it in the host."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

import nxkernel as nx
from nxkernel._remote import RemoteTraceback, render
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, code_of, patient, recorded

ANIMALS = ("raises", "import.raises")


def tree_of(zoo: Zoo, name: str) -> dict[str, Any]:
    """What the worker told of the exception *name*."""
    outcome = zoo.act("raises", name)
    assert outcome.error is not None
    tree: dict[str, Any] = outcome.error.details["traceback"]
    return tree


def test_unwrap_prints_the_plugins_frames(zoo: Zoo) -> None:
    """A log of the application shows file, line, function and source of the plugin."""
    error = zoo.act("raises", "location").exception()
    assert error is not None
    assert str(error) == "[plugin.raised] LookupError: in {plugin_dir}/plugin.py"
    printed = "".join(traceback.format_exception(error))
    assert '  File "{plugin_dir}/plugin.py", line ' in printed
    assert ", in located\n    raise LookupError(" in printed
    assert "LookupError: in {plugin_dir}/plugin.py" in printed
    assert printed.index("in located") < printed.index("direct cause") < printed.index("[plugin.")


def test_hook_failed_leads_to_the_provider_that_mattered(zoo: Zoo) -> None:
    """The chain is hook, outcome, plugin; the hook's own message stays short."""
    outcome = zoo.act("raises", "location")
    result = nx.HookResult(hook=outcome.hook, error=outcome.error, outcomes=(outcome,))
    with pytest.raises(nx.HookFailed) as caught:
        result.unwrap()
    assert caught.value.message.count("\n") == 0
    assert isinstance(caught.value.__cause__, nx.PluginFailed)
    assert isinstance(caught.value.__cause__.__cause__, RemoteTraceback)
    assert "in located" in "".join(traceback.format_exception(caught.value))


def test_causes_and_contexts_are_told_in_pythons_words(zoo: Zoo) -> None:
    """What was raised from what, and what while what was being handled."""
    caused, handling = render(tree_of(zoo, "caused")), render(tree_of(zoo, "handling"))
    assert "The above exception was the direct cause of the following exception:" in caused
    assert "During handling of the above exception, another exception occurred:" in handling
    for text in (caused, handling):
        assert text.index("LookupError: in") < text.index("ValueError: ")


def test_groups_are_told_member_by_member(zoo: Zoo) -> None:
    """Each exception of a group has its own frames and causes."""
    text = render(tree_of(zoo, "grouped"))
    assert "ExceptionGroup: all of it (2 sub-exceptions)" in text
    assert text.index("---- 1 of 2 ----") < text.index("---- 2 of 2 ----")
    assert text.count("LookupError: in {plugin_dir}/plugin.py") == 2


def test_notes_are_told_and_steer_no_terminal(zoo: Zoo) -> None:
    """A note stands below its exception; escape sequences are shown."""
    lines = render(tree_of(zoo, "noted")).splitlines()
    assert lines[-3:] == [
        "ValueError: hard to find",
        "it was \\x1b[31mthe third line",
        "of the file",
    ]


ODD = ("cyclic", "deep", "endless chain", "trapped", "nameless", "endless", "group")


@pytest.mark.parametrize("name", ODD)
def test_any_exception_is_told_within_bounds(zoo: Zoo, name: str) -> None:
    """Cycles, recursion, endless chains, properties that raise: short, and no new failure."""
    outcome = zoo.act("raises", name)
    assert code_of(outcome) == "plugin.raised"
    assert outcome.error is not None
    assert len(str(outcome.error.details)) < 60_000
    assert render(outcome.error.details["traceback"]).count("\n") < 1000
    assert zoo.answers("raises")


def test_trap_is_told_as_what_it_is(zoo: Zoo) -> None:
    """A class that hides its traceback behind a property hides nothing."""
    tree = tree_of(zoo, "trapped")
    assert tree["frames"][-1]["function"] == "trapped"
    assert tree["text"] == "stepped into"


def test_small_frames_go_without_the_traceback(open_zoo: Opens) -> None:
    """What does not fit into the host's frames is left out: it must not cost the worker."""
    hosting = nx.Hosting(max_frame=16 * 1024)
    zoo = open_zoo(patient, "raises", hosting=hosting)
    error = zoo.act("raises", "endless chain").error
    assert error is not None
    assert error.code == "plugin.raised"
    assert "traceback" not in error.details
    assert "traceback" in getattr(zoo.act("raises", "location").error, "details", {})
    assert zoo.kernel.plugins["raises"].starts == 1


def test_audit_has_frames_and_no_line_of_code(zoo: Zoo) -> None:
    """The record says where, and that there is more; sources and texts stay out of it."""
    zoo.act("raises", "caused")
    details = recorded(zoo.kernel.run)[-1].details
    assert details["frames"][-1]["function"] == "caused"
    assert details["left_out"] == ["traceback"]
    assert "raise ValueError" not in str(details)


def test_failed_import_has_the_plugins_frames(zoo: Zoo) -> None:
    """A plugin that could not be loaded says at which line, without the import system's frames."""
    error = zoo.kernel.plugins["import.raises"].error
    assert isinstance(error, nx.PluginDisabled)
    printed = "".join(traceback.format_exception(error))
    assert '  File "{plugin_dir}/plugin.py", line ' in printed
    assert "frozen importlib" not in printed
