"""The executor: pluggy's order of a hook call, over an ``Invoke`` that answers from a table.

What the results must be is held by the differential test; here is what pluggy has no word for:
outcomes, degraded results, fallbacks, ``on_failure`` and who is to blame.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from nxkernel.dispatch.effects import Effects, Fork, Gate
from nxkernel.dispatch.executor import Inner, Provider, execute
from nxkernel.dispatch.tasks import Tasks
from nxkernel.errors import HookFailed
from nxkernel.hookspecs import HookSpec, SpecOptions
from nxkernel.types import CallError, HookName, HookResult, ImplFacts, Outcome, PluginId
from tests.support.calls import a_spec


def spec(*, firstresult: bool = False, **options: Any) -> HookSpec:
    return attrs.evolve(a_spec("hook"), firstresult=firstresult, options=SpecOptions(**options))


def plain(name: str) -> Provider:
    return Provider(PluginId(name), ImplFacts(impl="hook", hook=HookName("hook")))


def wrapper(name: str) -> Provider:
    return Provider(PluginId(name), ImplFacts(impl="hook", hook=HookName("hook"), wrapper=True))


@attrs.frozen
class Fails:
    """An answer that is a failure."""

    fault: Any = "plugin"
    code: str = "plugin.raised"
    origin: Any = None


@attrs.frozen
class Degraded:
    """An answer that rests on a degraded one of a nested call."""

    value: Any


PASS: Any = object()


@attrs.define
class Table:
    """Answers each (plugin, phase) from a table, and writes down what was asked."""

    answers: dict[str, Any]
    asked: list[str] = attrs.Factory(list)
    inners: dict[str, Inner | None] = attrs.Factory(dict)
    tokens: dict[str, Any] = attrs.Factory(dict)
    #: Answers are held back until this many calls are under way.
    together: int = 0

    def __call__(
        self, provider: Provider, phase: Any, inner: Inner | None = None, token: Any = None
    ) -> Effects[Outcome]:
        name = provider.plugin if phase == "call" else f"{provider.plugin}.{phase}"
        return self._answer(provider, name, inner, token)

    def _answer(
        self, provider: Provider, name: str, inner: Inner | None, token: Any
    ) -> Effects[Outcome]:
        self.asked.append(name)
        self.inners[name], self.tokens[name] = inner, token
        yield Gate(lambda: len(self.asked) >= self.together)
        answer = self.answers.get(name)
        base = Outcome(
            plugin=provider.plugin,
            impl="hook",
            hook=HookName("hook"),
            call_id=name,  # type: ignore[arg-type]
            annotations={"token": f"token of {name}"},
        )
        if answer is PASS and inner is not None:
            return attrs.evolve(base, value=inner.value, error=inner.error, fault=inner.fault)
        if isinstance(answer, Fails):
            error = CallError(code=answer.code, message=f"{name} failed")
            return attrs.evolve(base, error=error, fault=answer.fault, origin=answer.origin)
        if isinstance(answer, Degraded):
            return attrs.evolve(base, value=answer.value, degraded=True)
        return attrs.evolve(base, value=answer)


def run(hook: HookSpec, providers: list[Provider], table: Table) -> HookResult:
    tasks = Tasks(execute(hook, providers, table))
    while not tasks.done:
        tasks.step()
        tasks.retry()
    result: HookResult = tasks.result
    return result


def named(result: HookResult) -> list[str]:
    return [outcome.call_id for outcome in result]


def test_nobody_gives_an_empty_list_or_none() -> None:
    """Without a provider the value is pluggy's, and it is no failure."""
    assert run(spec(), [], Table({})).value == []
    assert run(spec(firstresult=True), [], Table({})).value is None
    assert run(spec(fallback="unused"), [], Table({})).value == []


def test_a_fan_out_is_sent_to_all_at_once() -> None:
    """No provider waits for another one's answer; results keep the providers' order."""
    table = Table({"a": 1, "b": 2, "c": 3}, together=3)
    result = run(spec(), [plain("a"), plain("b"), plain("c")], table)
    assert (result.value, named(result)) == ([1, 2, 3], ["a", "b", "c"])


def test_a_single_provider_needs_no_fork() -> None:
    """The common case of one provider has no branch of its own."""
    steps = execute(spec(), [plain("a")], Table({"a": 1}))
    assert not isinstance(next(steps), Fork)


def test_a_skipped_provider_is_missing_and_says_why() -> None:
    """The value lacks it, ``degraded`` is set, its outcome has the reason."""
    result = run(spec(), [plain("a"), plain("b")], Table({"a": Fails(), "b": 2}))
    assert (result.value, result.error, result.degraded) == ([2], None, True)
    assert [outcome.ok for outcome in result] == [False, True]
    assert result.unwrap() == [2]


@pytest.mark.parametrize("answers", [{"a": Fails(), "b": None}, {"a": Fails(), "b": Fails()}])
def test_a_fan_out_that_nobody_answers_fails_if_somebody_failed(answers: dict[str, Any]) -> None:
    """None beside a failure is no answer: the hook fails with the first failure."""
    result = run(spec(), [plain("a"), plain("b")], Table(answers))
    assert result.error == CallError(code="plugin.raised", message="a failed")
    with pytest.raises(HookFailed, match="a failed") as caught:
        result.unwrap()
    assert caught.value.result is result


def test_none_from_everybody_is_no_failure() -> None:
    """Providers with nothing to say give pluggy's empty list."""
    result = run(spec(), [plain("a"), plain("b")], Table({}))
    assert (result.value, result.error, result.degraded) == ([], None, False)


def test_a_strict_fan_out_fails_with_the_first_failure_in_order() -> None:
    """``on_failure="raise"`` makes any failure the hook's, and still asks everybody."""
    table = Table({"a": 1, "b": Fails(), "c": Fails()})
    result = run(spec(on_failure="raise"), [plain("a"), plain("b"), plain("c")], table)
    assert result.error is not None
    assert (result.error.message, result.value, table.asked) == ("b failed", None, ["a", "b", "c"])


@pytest.mark.parametrize("options", [{}, {"on_failure": "skip"}, {"fallback": 0}])
def test_a_callers_fault_is_never_skipped(options: dict[str, Any]) -> None:
    """A mistake of the caller fails the hook, whatever it says of failures of plugins."""
    table = Table({"a": Fails(fault="caller", code="contract.input"), "b": 2})
    result = run(spec(**options), [plain("a"), plain("b")], table)
    assert result.error is not None
    assert result.error.code == "contract.input"


def test_the_first_answer_ends_the_asking() -> None:
    """Behind the first answer nobody is asked; a falsy value is an answer, None is not."""
    table = Table({"a": None, "b": 0, "c": 3})
    result = run(spec(firstresult=True), [plain("a"), plain("b"), plain("c")], table)
    assert (result.value, table.asked) == (0, ["a", "b"])


def test_a_failed_guard_does_not_become_a_yes() -> None:
    """A failure ends a firstresult hook; the next provider is not asked."""
    table = Table({"a": Fails(), "b": 2})
    result = run(spec(firstresult=True), [plain("a"), plain("b")], table)
    assert (result.value, table.asked) == (None, ["a"])
    assert result.error is not None


def test_next_asks_the_next_provider() -> None:
    """``on_failure="next"`` falls through; the result says that it is degraded."""
    table = Table({"a": Fails(), "b": 2})
    result = run(spec(firstresult=True, on_failure="next"), [plain("a"), plain("b")], table)
    assert (result.value, result.degraded, result.error) == (2, True, None)


def test_next_does_not_pass_over_the_callers_fault() -> None:
    """Another provider would be asked the same wrong question."""
    table = Table({"a": Fails(fault="caller"), "b": 2})
    result = run(spec(firstresult=True, on_failure="next"), [plain("a"), plain("b")], table)
    assert result.error is not None
    assert table.asked == ["a"]


def test_next_fails_when_the_failures_are_all_there_is() -> None:
    """Nobody answered and somebody failed: the first failure is the hook's."""
    table = Table({"a": Fails(), "b": None})
    result = run(spec(firstresult=True, on_failure="next"), [plain("a"), plain("b")], table)
    assert result.error is not None
    assert result.error.message == "a failed"


@pytest.mark.parametrize("value", [None, [], "spare"])
@pytest.mark.parametrize("hook", [{}, {"on_failure": "raise"}, {"firstresult": True}])
def test_a_fallback_stands_in_for_what_failed(hook: dict[str, Any], value: Any) -> None:
    """Any value may be declared, None too; the result is degraded."""
    result = run(spec(**hook, fallback=value), [plain("a")], Table({"a": Fails()}))
    assert (result.value, result.error, result.degraded) == (value, None, True)


def test_a_fallback_is_for_failures_only() -> None:
    """An answer, or nothing to answer, leaves it unused."""
    both = [plain("a"), plain("b")]
    assert run(spec(fallback=9), both, Table({"a": Fails(), "b": 1})).value == [1]
    assert run(spec(fallback=9), both, Table({})).value == []


def test_wrappers_are_entered_from_the_outside_and_left_from_the_inside() -> None:
    """Each teardown is given its own setup's token and what came from within."""
    table = Table({"w.teardown": "w", "v.teardown": PASS, "a": 1})
    result = run(spec(), [wrapper("w"), wrapper("v"), plain("a")], table)
    assert table.asked == ["w.setup", "v.setup", "a", "v.teardown", "w.teardown"]
    assert named(result) == table.asked
    assert table.tokens["w.teardown"] == "token of w.setup"
    assert table.inners["v.teardown"] == Inner(value=[1])
    assert result.value == "w"


def test_a_wrapper_whose_setup_fails_fails_the_hook() -> None:
    """What is inside it is not called; the wrappers around it see its failure."""
    table = Table({"v.setup": Fails(), "w.teardown": PASS})
    result = run(spec(), [wrapper("w"), wrapper("v"), plain("a")], table)
    assert table.asked == ["w.setup", "v.setup", "w.teardown"]
    assert result.error is not None
    assert result.error.message == "v.setup failed"


def test_a_wrapper_that_fails_is_what_the_outer_one_sees() -> None:
    """Its failure replaces the inner result; nothing of it is skipped."""
    table = Table({"a": 1, "v.teardown": Fails(), "w.teardown": "mended"})
    result = run(spec(), [wrapper("w"), wrapper("v"), plain("a")], table)
    seen = table.inners["w.teardown"]
    assert seen is not None
    assert seen.error == CallError(code="plugin.raised", message="v.teardown failed")
    assert (result.value, result.error) == ("mended", None)


def test_a_wrapper_learns_whose_failure_it_sees() -> None:
    """The inner error comes with its fault and the plugin in which it began."""
    failing = {"a": Fails(fault="host", origin="deep"), "b": Fails()}
    for name, expected in (("a", ("host", "deep")), ("b", ("plugin", "b"))):
        table = Table({**failing, "w.teardown": PASS})
        run(spec(firstresult=True), [wrapper("w"), plain(name)], table)
        seen = table.inners["w.teardown"]
        assert seen is not None
        assert (seen.fault, seen.origin) == expected


def test_a_wrapper_sees_the_fallback_and_not_the_failure() -> None:
    """The fallback is the hook's value before the wrappers are left."""
    table = Table({"a": Fails(), "w.teardown": PASS})
    result = run(spec(fallback="spare"), [wrapper("w"), plain("a")], table)
    assert table.inners["w.teardown"] == Inner(value="spare")
    assert (result.value, result.degraded) == ("spare", True)


@pytest.mark.parametrize("firstresult", [False, True])
def test_a_value_that_rests_on_a_degraded_one_is_degraded(firstresult: bool) -> None:
    """However deep it was nested, the one who asked first hears of it."""
    table = Table({"a": Degraded(1)})
    result = run(spec(firstresult=firstresult), [plain("a")], table)
    assert (result.value, result.degraded) == (1 if firstresult else [1], True)


@pytest.mark.parametrize("phase", ["w.setup", "w.teardown"])
def test_a_wrapper_may_have_asked_too(phase: str) -> None:
    """What it makes of the value may rest on what it was told."""
    table = Table({"a": 1, "w.setup": None, "w.teardown": [1], phase: Degraded([1])})
    result = run(spec(), [wrapper("w"), plain("a")], table)
    assert (result.value, result.degraded) == ([1], True)


def test_an_error_is_not_degraded_by_what_others_were_told() -> None:
    """There is no value that could rest on it."""
    table = Table({"a": Degraded(1), "w.setup": None, "w.teardown": Fails()})
    result = run(spec(), [wrapper("w"), plain("a")], table)
    assert (result.error is not None, result.degraded) == (True, False)
