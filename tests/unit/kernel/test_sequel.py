"""A usual call that goes on as a general one: it leaves the order that was entered for it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from nxkernel.dispatch.costs import Sample
from nxkernel.dispatch.drivers import Bell, run_blocking
from nxkernel.dispatch.effects import Effects, Gate
from nxkernel.kernel.sequel import Sequel
from nxkernel.types import HookName, HookResult
from tests.support.calls import FakeClock

RESULT = HookResult(hook=HookName("act"), value=[1])


@attrs.define
class Kernel:
    """What a sequel needs of one, and what became of that."""

    resume: Callable[..., Effects[HookResult]]
    entered: tuple[None, ...] = (None, None)
    kept: list[Any] = attrs.Factory(list)
    left: list[Any] = attrs.Factory(list)
    clock: FakeClock = attrs.Factory(FakeClock)

    def go_on(self, sample: Sample | None = None) -> Any:
        """Go on with a call, to its end."""
        order: Any = SimpleNamespace(entered=list(self.entered))
        means: Any = SimpleNamespace(
            intake=SimpleNamespace(of_errand=lambda errand, spec: (errand, spec.name)),
            resume=self.resume,
            costs=SimpleNamespace(keep=lambda hook, sample: self.kept.append((hook, sample))),
            registry=SimpleNamespace(left=lambda order: self.left.append(list(order.entered))),
        )
        spec: Any = SimpleNamespace(name="act")
        sequel = Sequel(means, order, (), spec)
        errand: Any = "errand"
        return run_blocking(sequel.of(errand, {}, sample), self.clock, Bell())


def resumed(call: Any, providers: Any, sources: Any) -> Effects[HookResult]:
    """It waits once, and has its result."""
    assert (call, providers, sources) == (("errand", "act"), (), {})
    yield Gate(lambda: True)
    return RESULT


def broken(*_: Any) -> Effects[HookResult]:
    """It fails in the host."""
    yield Gate(lambda: True)
    raise RuntimeError("broken")


def test_it_has_the_result_of_the_general_call() -> None:
    """The call that the errand was, with its hook's providers and what asks for outcomes."""
    kernel = Kernel(resumed)
    assert kernel.go_on() is RESULT
    assert kernel.left == [[None]]


def test_what_was_measured_is_kept_when_it_is_over() -> None:
    """With a result, which takes no time of its own; of a call that broke nothing is kept."""
    kernel = Kernel(resumed)
    sample = Sample(kernel.clock)
    kernel.go_on(sample)
    assert kernel.kept == [("act", sample)]
    assert sample.taken == {"result": 0.0}

    kernel = Kernel(broken)
    with pytest.raises(RuntimeError, match="broken"):
        kernel.go_on(Sample(kernel.clock))
    assert kernel.kept == []


def test_it_leaves_the_order_whatever_happens() -> None:
    """Else whoever changes the plugins would wait for it for ever."""
    kernel = Kernel(broken)
    with pytest.raises(RuntimeError, match="broken"):
        kernel.go_on()
    assert kernel.left == [[None]]
