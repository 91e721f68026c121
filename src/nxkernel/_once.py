"""A property that is computed once for each object.

``functools.cached_property`` is not for what runs while an application may fork: until Python 3.12
all objects of a class share one lock there, which a child inherits as another thread holds it.
Without a lock two threads may compute the same value twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["once"]

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 - used as a decorator
    """Makes a property of a method without arguments, and keeps its value in the object."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        value: T = self._compute(instance)
        # Found before this descriptor from now on: it has no __set__.
        instance.__dict__[self._name] = value
        return value
