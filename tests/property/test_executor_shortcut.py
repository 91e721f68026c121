"""The executor's way for the usual case gives what its general way gives, with the same calls."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from nxkernel.dispatch.effects import Effects, Fork
from nxkernel.dispatch.executor import Inner, Provider, execute, in_order
from nxkernel.hookspecs import NO_FALLBACK, HookSpec, SpecOptions
from nxkernel.types import (
    CallError,
    Diagnostic,
    HookResult,
    ImplFacts,
    Outcome,
    Phase,
)
from tests.support.calls import a_spec

FAULTS = ("plugin", "host", "caller")


@st.composite
def specs(draw: st.DrawFn) -> HookSpec:
    """A hook of any kind, with or without a fallback."""
    first = draw(st.booleans())
    choices = [None, "next", "raise"] if first else [None, "skip", "raise"]
    options = SpecOptions(
        on_failure=draw(st.sampled_from(choices)),  # type: ignore[arg-type]
        fallback=draw(st.sampled_from([NO_FALLBACK, ["instead"]])),
    )
    return attrs.evolve(a_spec("tokens"), firstresult=first, options=options)


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    """What a provider may answer."""
    failed = draw(st.booleans())
    lost = Diagnostic(code="wrong", path="/0", kind="token", provider="p", message="no")  # type: ignore[arg-type]
    return Outcome(
        plugin="p",  # type: ignore[arg-type]
        impl="tokens",
        hook="tokens",  # type: ignore[arg-type]
        call_id="1",  # type: ignore[arg-type]
        value=None if failed else draw(st.sampled_from([None, 0, [], "x"])),
        error=CallError(code="plugin.raised", message="it failed") if failed else None,
        fault=draw(st.sampled_from(FAULTS)) if failed else None,  # type: ignore[arg-type]
        degraded=draw(st.booleans()),
        diagnostics=draw(st.sampled_from([(), (lost,)])),
        items=draw(st.sampled_from([None, None, 3])),
    )


def run(way: Any, spec: HookSpec, wraps: int, answers: list[Outcome]) -> tuple[HookResult, Any]:
    """Run *way* over providers that answer as given, the first of which wrap; note the calls."""
    made: list[tuple[str, Phase, Inner | None]] = []
    left = {f"p{n}": outcome for n, outcome in enumerate(answers)}

    def invoke(
        provider: Provider, phase: Phase, inner: Inner | None = None, token: Any = None
    ) -> Effects[Outcome]:
        made.append((provider.plugin, phase, inner))
        yield from ()
        return left[provider.plugin]

    providers = [
        Provider(f"p{n}", ImplFacts(impl="tokens", hook="tokens", wrapper=n < wraps))  # type: ignore[arg-type]
        for n in range(len(answers))
    ]
    source, value = way(spec, providers, invoke), None
    while True:
        try:
            effect = source.send(value)
        except StopIteration as stop:
            return stop.value, made
        assert isinstance(effect, Fork)
        value = [_returned(branch) for branch in effect.branches]


def _returned(branch: Any) -> Outcome:
    try:
        next(branch)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    raise AssertionError("it has nothing to wait for")


@given(spec=specs(), answers=st.lists(outcomes(), max_size=4), wraps=st.sampled_from([0, 0, 0, 1]))
def test_the_same_result_from_the_same_calls(
    spec: HookSpec, answers: list[Outcome], wraps: int
) -> None:
    """Whoever provides the hook, and whatever they answer; nobody is asked twice."""
    assert run(execute, spec, wraps, answers) == run(in_order, spec, wraps, answers)
