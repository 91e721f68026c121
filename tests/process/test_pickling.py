"""What a kernel returns goes on to other processes of the application, and comes back."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.audit.reader import AuditReader, verify
from tests.support.elsewhere import sent
from tests.support.zoo import Zoo

ANIMALS = ("raises",)


def returned(zoo: Zoo) -> dict[str, Any]:
    """Return what the members of a kernel and its audit return, by what they are."""
    kernel = zoo.kernel
    zoo.act("raises", "ordinary")
    with AuditReader(kernel.run.audit_log.path) as audit:
        return {
            "plugins": kernel.plugins,
            "health": kernel.health(),
            "explanation": kernel.explain("act", cost=True),
            "settings": kernel.settings("raises"),
            "contracts": kernel.contracts(),
            "inproc": kernel.inproc,
            "hosting": kernel.hosting,
            "sandbox": kernel.sandbox,
            "runs": audit.runs(),
            "calls": audit.calls(),
            "participants": audit.plugins(),
            "events": audit.events(),
            "verification": verify(audit.path),
            "statistics": audit.statistics(nx.CallFilter()),
        }


def test_what_is_returned_crosses(zoo: Zoo) -> None:
    """It looks the same there, and is the same when it has come back."""
    values = returned(zoo)
    for name, (text, value) in sent(**values).items():
        assert text == repr(value) == repr(values[name]), name


def test_a_log_crosses_as_it_was(zoo: Zoo) -> None:
    """The view of a plugin asks for its log when it is looked at; there it has what it said."""
    view = zoo.kernel.plugins["raises"]
    _, there = sent(view=view)["view"]
    assert (there.log, there.settings) == (view.log, view.settings)


def test_results_are_unwrapped_there(zoo: Zoo) -> None:
    """There is the value, or what is raised here: with the traceback of the plugin's own."""
    answer, failure = zoo.kernel.call("echo", value={"a": [1, None]}), zoo.act("raises", "ordinary")
    result = nx.HookResult(hook=failure.hook, error=failure.error, outcomes=(failure,))
    seen = sent(answer=answer, outcome=answer[0], failure=failure, result=result)
    assert seen["answer"][1] == answer.value == [{"a": [1, None]}]
    assert seen["outcome"][1] == answer[0].value

    failed, hook_failed = seen["failure"][1], seen["result"][1]
    assert (type(failed), str(failed)) == (nx.PluginFailed, str(failure.exception()))
    assert "ValueError: bad value" in str(failed.__cause__)
    assert (type(hook_failed), hook_failed.result) == (nx.HookFailed, result)


def test_a_kernel_that_is_sent_says_what_to_do(zoo: Zoo) -> None:
    """Neither a hook nor a run nor the kernel crosses, and each says so itself."""
    kernel = zoo.kernel
    for thing in (kernel, kernel.hook, kernel.hook.echo, kernel.options(timeout=1.0), kernel.run):
        with pytest.raises(TypeError, match=r"belongs to this process; instead, (build|call|crea)"):
            pickle.dumps([thing])
    assert zoo.answers("raises")
