"""``nxkernel call``, with an application that answers from a script."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import attrs
import pytest

from nxkernel.dispatch.effects import Effects, Offer
from nxkernel.dispatch.tasks import Tasks
from nxkernel.kernel.streams import Open, Stream
from nxkernel.types import CallError, CallId, Diagnostic, HookName, HookResult, Outcome, PluginId
from tests.unit.cli.conftest import run


@attrs.define
class FakeKernel(AbstractContextManager["FakeKernel"]):
    """Remembers how it was called and gives the result that was put in."""

    result: HookResult
    asked: list[Any] = attrs.field(factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.asked.append("closed")

    def options(self, **options: Any) -> FakeKernel:
        self.asked.append(options)
        return self

    def call(self, hook: str, **arguments: Any) -> HookResult:
        self.asked.append((hook, arguments))
        return self.result

    def explain(self, hook: str) -> SimpleNamespace:
        return SimpleNamespace(level="confined")


def outcome(value: Any = None, code: str = "", plugin: str = "a.b") -> Outcome:
    """An outcome with a value, or with the error *code*."""
    return Outcome(
        plugin=PluginId(plugin),
        impl="greet",
        hook=HookName("greet"),
        call_id=CallId("1"),
        value=value,
        error=CallError(code=code, message="went wrong") if code else None,
        fault="plugin" if code else None,
    )


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    """The kernel that ``--app theapp:kernel`` names."""
    kernel = FakeKernel(HookResult(hook=HookName("greet"), value=["hi"], outcomes=(outcome("hi"),)))
    module = ModuleType("theapp")
    module.kernel = kernel
    monkeypatch.setitem(sys.modules, "theapp", module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return kernel


def call(*words: str) -> Any:
    """Run ``nxkernel call greet`` with *words*."""
    return run("call", "greet", "--app", "theapp:kernel", *words)


def test_value_goes_to_standard_output_and_outcomes_to_the_other(kernel: FakeKernel) -> None:
    """A pipe gets the value as JSON and nothing else."""
    shown = call("--arg", 'name="Ada"', "--arg", 'deep={"n": [1, null]}')
    assert (shown.code, shown.out) == (0, '["hi"]\n')
    assert shown.err.startswith("  a.b: ok, ")
    arguments = {"name": "Ada", "deep": {"n": [1, None]}}
    assert kernel.asked[1:] == [("greet", arguments), "closed"]


def test_options_reach_the_kernel(kernel: FakeKernel) -> None:
    """Key, timeout and the choice of plugins are those of ``kernel.options``."""
    call("--key", "doc-17", "--timeout", "2.5", "--only", "a.b", "--only", "c")
    assert kernel.asked[0] == {"key": "doc-17", "timeout": 2.5, "only": ("a.b", "c")}
    kernel.asked.clear()
    call()
    assert kernel.asked[0] == {"key": None, "timeout": None, "only": None}


def test_json_has_value_and_outcomes(kernel: FakeKernel) -> None:
    """The object holds what ``HookResult`` holds."""
    data = call("--json").data
    assert (data["ok"], data["value"], data["degraded"]) == (True, ["hi"], False)
    assert data["outcomes"][0]["plugin"] == "a.b"
    assert data["outcomes"][0]["error"] is None


def test_dropped_elements_stand_below_their_plugin(kernel: FakeKernel) -> None:
    """Who calls sees what is missing and why, as text and as data, and the exit code tells."""
    gone = Diagnostic(
        code="missing",
        path="/1",
        kind="token",
        provider=PluginId("a.b"),
        message='missing key "text"',
    )
    lossy = attrs.evolve(outcome(["hi"]), diagnostics=(gone,), lost=0.5)
    kernel.result = attrs.evolve(kernel.result, outcomes=(lossy,), degraded=True)
    shown = call()
    assert shown.code == 1
    assert '    dropped: token /1: missing key "text" [missing]\n' in shown.err
    assert shown.err.endswith("degraded: the value lacks what failed or was dropped\n")
    assert call("--json").data["outcomes"][0]["diagnostics"] == [attrs.asdict(gone)]


@pytest.mark.parametrize("text", ["name", "=1", "name=Ada", "1a=2", "name="])
def test_an_argument_that_is_no_json_is_refused(kernel: FakeKernel, text: str) -> None:
    """Nothing is guessed: the message shows how a text is written."""
    shown = call("--arg", text)
    assert shown.code == 2
    assert kernel.asked == []


def test_a_bare_text_is_answered_with_the_right_spelling(kernel: FakeKernel) -> None:
    """The most common mistake has its cure in the message."""
    assert """--arg 'name="Ada"'""" in call("--arg", "name=Ada").err


def test_an_argument_twice_is_refused(kernel: FakeKernel) -> None:
    """The last one does not silently win."""
    assert call("--arg", "n=1", "--arg", "n=2").code == 2


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["plugin.raised"], 1),
        (["policy.denied"], 3),
        (["lock.mismatch", "lock.invalid"], 4),
        (["policy.denied", "plugin.raised"], 1),
    ],
)
def test_failed_outcomes_decide_the_exit_code(
    kernel: FakeKernel, codes: list[str], expected: int
) -> None:
    """What all failures have in common is the exit code, else 1; the value is printed anyway."""
    outcomes = (outcome("hi"), *(outcome(code=code, plugin=code) for code in codes))
    kernel.result = attrs.evolve(kernel.result, degraded=True, outcomes=outcomes)
    shown = call()
    assert shown.code == expected
    assert shown.out == '["hi"]\n'
    for code in codes:
        assert f"  {code}: [{code}] went wrong (fault: plugin)" in shown.err
    assert "degraded" in shown.err


def test_a_hook_without_a_value_is_an_error(kernel: FakeKernel) -> None:
    """``hook.failed`` stands in the text and in the object."""
    error = CallError(code="hook.failed", message="nobody answered")
    failed = outcome(code="plugin.raised")
    kernel.result = attrs.evolve(kernel.result, value=None, error=error, outcomes=(failed,))
    shown = call()
    assert shown.code == 1
    assert "error [hook.failed]: nobody answered" in shown.err
    data = call("--json").data
    assert (data["ok"], data["error"]["code"]) == (False, "hook.failed")


class FakeDrive:
    """Steps a stream that waits for nothing."""

    def __call__(self, tasks: Tasks) -> None:
        tasks.step()

    async def later(self, tasks: Tasks) -> None:
        tasks.step()


def streaming(kernel: FakeKernel, code: str) -> None:
    """Have the kernel return a stream of two items that ends well, or fails with *code*."""
    end = attrs.evolve(outcome(code=code), items=2)
    error = end.error

    def hook_call() -> Effects[HookResult]:
        for value in (1, "two"):
            yield Offer(outcome(value))
        return HookResult(hook=HookName("greet"), error=error, outcomes=(end,))

    stream = Stream(Tasks(hook_call()), "greet", FakeDrive(), Open(), lambda value: value)
    kernel.result = HookResult(hook=HookName("greet"), value=stream)


def test_items_of_a_stream_are_printed_a_line_each(kernel: FakeKernel) -> None:
    """As they come; what became of it stands on the other output."""
    streaming(kernel, "")
    done = call()
    assert (done.code, done.out.splitlines()) == (0, ["1", '"two"'])
    streaming(kernel, "plugin.raised")
    done = call()
    assert (done.code, done.out.splitlines()) == (1, ["1", '"two"'])
    assert "[plugin.raised] went wrong" in done.err


def test_json_has_the_items_of_a_stream_as_its_value(kernel: FakeKernel) -> None:
    """Also those before a failure, with the failure beside them."""
    streaming(kernel, "plugin.raised")
    shown = call("--json").data
    assert (shown["ok"], shown["value"]) == (False, [1, "two"])
    assert shown["outcomes"][0]["items"] == 2
