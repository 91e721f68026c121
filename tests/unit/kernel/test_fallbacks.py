"""Fallbacks: what stands in for an answer is as plain as one."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from nxkernel.errors import KernelConfigError
from nxkernel.hookspecs import collect_specs
from nxkernel.kernel.fallbacks import with_plain_fallback
from tests.support.desks import Point, hookspec


def with_fallback(hint: Any, fallback: Any, *, firstresult: bool = False) -> Any:
    def hook(x):
        """A hook with a fallback."""

    if hint is not None:
        hook.__annotations__["return"] = hint
    module = ModuleType("specs")
    module.hook = hookspec(firstresult=firstresult, fallback=fallback)(hook)  # type: ignore[attr-defined]
    spec = collect_specs("demo", [module])["hook"]
    return with_plain_fallback(spec).options.fallback


@pytest.mark.parametrize(
    ("hint", "fallback", "firstresult", "expected"),
    [
        (None, "spare", False, "spare"),
        (None, (1, 2), True, [1, 2]),
        (None, None, True, None),
        (Point, None, True, None),
        (Point, Point(1), True, {"x": 1, "y": 0}),
        (Point, [Point(1)], False, [{"x": 1, "y": 0}]),
        (Point, [], False, []),
        (Point, "spare", False, "spare"),
        (None, Point(1), True, {"x": 1, "y": 0}),
    ],
)
def test_a_fallback_is_what_an_answer_would_be(
    hint: Any, fallback: Any, firstresult: bool, expected: Any
) -> None:
    """Plain data, by the hookspec's annotation: of a fan-out element by element."""
    assert with_fallback(hint, fallback, firstresult=firstresult) == expected


def test_a_fallback_that_cannot_cross_is_a_mistake_of_the_application() -> None:
    """It is told when the kernel is built, and not when something fails."""
    with pytest.raises(KernelConfigError, match=r"hook 'hook': fallback\[0\]: object cannot cross"):
        with_fallback(None, [object()])
