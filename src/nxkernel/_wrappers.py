"""The two phases of a wrapper, which pluggy runs as one: up to its yield, and on from there.

Between them the wrapper is a suspended generator, here in its worker or in the host as a builtin.
Held to pluggy by the differential test. One thing differs on purpose: a second yield is an error
of that wrapper like any other, so the wrappers around it are left as they should be; pluggy ends
the hook at once and leaves them suspended.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Generator
from typing import Any

import pluggy

from nxkernel.errors import NxError, PluginFailed, error_for

__all__ = ["arriving", "enter", "forsake", "leave"]

Suspended = Generator[Any, Any, Any]


def enter(value: Any) -> Suspended:
    """Run what a wrapper function returned up to its yield.

    Raises:
        TypeError: when that is no generator.
        RuntimeError: when it does not yield.
    """
    if not inspect.isgenerator(value):
        raise TypeError("a wrapper must be a generator function with one yield")
    try:
        next(value)
    except StopIteration:
        raise RuntimeError("the wrapper did not yield") from None
    return value


def leave(wrapper: Suspended, value: Any, error: Exception | None, *, old_style: bool) -> Any:
    """Resume *wrapper* with the inner value or *error*; return what it makes of it.

    Raises:
        BaseException: whatever it raises; *error* itself when it lets that through.
        RuntimeError: for a second yield.
    """
    try:
        if old_style:
            result: pluggy.Result[Any] = pluggy.Result(value, error)
            _finish(wrapper, lambda: wrapper.send(result))
            return result.get_result()
        if error is not None:
            return _finish(wrapper, lambda: wrapper.throw(error))
        return _finish(wrapper, lambda: wrapper.send(value))
    except RuntimeError as raised:
        # A StopIteration cannot leave a generator: Python makes it a RuntimeError.
        if isinstance(error, StopIteration) and raised.__cause__ is error:
            raise error from None
        raise


def forsake(wrapper: Suspended) -> bool:
    """End *wrapper*, which nothing will resume; returns whether it has ended.

    Its ``finally`` runs, as when pluggy's own caller goes away.

    Raises:
        BaseException: whatever it raises on its way.
    """
    try:
        wrapper.close()
    except RuntimeError:
        # Raised by close() itself for a further yield, or by a wrapper that has ended.
        if inspect.getgeneratorstate(wrapper) != inspect.GEN_CLOSED:
            return False
        raise
    return True


def _finish(wrapper: Suspended, step: Callable[[], Any]) -> Any:
    try:
        step()
    except StopIteration as stop:
        return stop.value
    wrapper.close()
    raise RuntimeError("the wrapper has a second yield")


class _AnyArguments(Exception):
    """Stands before a builtin exception, so that its constructor is not asked for arguments."""

    def __init__(self, *args: Any) -> None:
        BaseException.__init__(self, *args)


def arriving(code: str, message: str) -> NxError:
    """Return an inner error as a wrapper sees it.

    Also an instance of the builtin exception that it was, if any, so that ``except ValueError``
    means what it means under plain pluggy.
    """
    name = message.partition(":")[0].strip()
    builtin = getattr(builtins, name, None)
    if code == "plugin.raised" and isinstance(builtin, type) and issubclass(builtin, Exception):
        cls = type(name, (PluginFailed, _AnyArguments, builtin), {})
        try:
            error: NxError = cls(message, code=code)
        except TypeError:  # an ExceptionGroup cannot be made without its members
            return error_for(code, message)
        return error
    return error_for(code, message)
