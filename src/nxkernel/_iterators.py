"""What a hook that streams may return, as a generator, whose items come one by one.

In a worker and, for builtins, in the host.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping
from typing import Any

__all__ = ["NoStream", "finished", "is_awaited", "source_of"]

#: Of a function's code: it makes a coroutine, or an asynchronous generator.
_AWAITED = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class NoStream(TypeError):
    """What a hookimpl returned is no stream."""


def source_of(value: Any) -> Generator[Any, Any, Any]:
    """Return the items of *value*, an iterator, an iterable or an asynchronous generator.

    Raises:
        NoStream: for anything else, and for a text, bytes or a map, which are one value each.
    """
    if inspect.isgenerator(value):
        return value
    if hasattr(value, "__anext__"):
        return _awaited(value)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise NoStream(f"a hook that streams returns an iterator, not {type(value).__name__}")
    return _through(iter(value))


def _through(source: Any) -> Generator[Any, Any, Any]:
    yield from source


def _awaited(source: AsyncIterator[Any]) -> Generator[Any, Any, Any]:
    """The items of an asynchronous generator, which has a loop of its own for its whole life."""
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                item = _in(loop, source.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        close = getattr(source, "aclose", None)
        try:
            if close is not None:
                _in(loop, close())
        finally:
            loop.close()


def is_awaited(function: Callable[..., Any]) -> bool:
    """Return whether what *function* returns has to be awaited, as far as its code tells."""
    code = getattr(function, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & _AWAITED)


def finished(coroutine: Any) -> Any:
    """Run *coroutine* to its end in a loop of its own; return what it returns."""
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        return _in(loop, coroutine)
    finally:
        loop.close()


def _in(loop: Any, awaitable: Any) -> Any:
    import asyncio

    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        return loop.run_until_complete(awaitable)
    finally:
        asyncio._set_running_loop(outer)
