"""Errors are one tree, and carry the facts."""

from __future__ import annotations

from nxkernel import errors
from nxkernel.errors import HookFailed, NxError
from nxkernel.types import HookName, HookResult
from tests.support.exceptions import tree


def test_every_exception_is_in_the_tree_and_exported() -> None:
    """One except clause catches everything that nxkernel raises."""
    ours = {cls for cls in tree(NxError) if cls.__module__.startswith(errors.__name__)}
    assert {cls.__name__ for cls in ours} <= set(errors.__all__)
    assert len(ours) > 20


def test_details_are_a_copy() -> None:
    """What the raiser does with its dict afterwards does not change the error."""
    details = {"a": 1}
    error = NxError("x", details=details)
    details.clear()
    assert error.details == {"a": 1}


def test_hook_failed_carries_its_result() -> None:
    """The outcomes that explain it are inside."""
    result = HookResult(hook=HookName("h"))
    error = HookFailed("none answered", result=result, hook="h")
    assert error.result is result
    assert (error.code, error.hook) == ("hook.failed", "h")


def test_a_traceback_names_the_module_that_applications_import() -> None:
    """In which file of the package a class stands is nobody's business."""
    assert {cls.__module__ for cls in tree(NxError) if cls.__name__ in errors.__all__} == {
        "nxkernel.errors"
    }
