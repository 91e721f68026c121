"""How a call gets into one layer of the stack, and its outcome out of it.

Every middleware has ``around``, a generator that is suspended at its ``yield`` while the call is
made. To make a generator, to run it to its ``yield``, to send it the outcome and to catch what it
returns takes several times what most layers do with a usual call. So a middleware may have a
second method beside it, ``through(call)``, a plain function that returns

* a *passage*, ``(call, leave, state)``: the call goes on, perhaps with another envelope, and
  ``leave(state, outcome)`` returns its outcome; None in the place of *leave* changes nothing of it;
* an outcome: the call is not made;
* None: with this call something is out of the ordinary, and it goes by ``around``. Nothing has
  happened yet.

The two say the same of every call. What has to be given back whatever happens, also when an
interrupt strikes in the host's own code, is a matter for ``around`` and its ``finally``: a passage
holds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Protocol

from nxkernel.types import Call, Outcome

__all__ = ["Around", "Entrance", "Layer", "Leave", "Passage", "entrance"]

#: What ``around`` returns.
Layer = Generator[Call, Outcome, Outcome]
Leave = Callable[[Any, Outcome], Outcome]
Passage = tuple[Call, Leave | None, Any]
#: ``through``, and ``around`` as if it were one that never returns None.
Entrance = tuple[
    Callable[[Call], Passage | Outcome | None], Callable[[Call], Passage | Outcome | None]
]


class Around(Protocol):
    """The part of a middleware that a call goes through."""

    def around(self, call: Call) -> Layer:
        """Yield the call on exactly once, or return an outcome without yielding."""


def entrance(middleware: Around) -> Entrance:
    """Return what enters *middleware*, and what enters it where that returns None."""

    def suspended(call: Call) -> Passage | Outcome:
        layer = middleware.around(call)
        try:
            yielded = next(layer)
        except StopIteration as stop:
            if not isinstance(stop.value, Outcome):
                found = type(stop.value).__name__
                raise TypeError(f"returned {found}, expected an outcome") from None
            return stop.value
        if not isinstance(yielded, Call):
            raise TypeError(f"yielded {type(yielded).__name__}, expected the call")
        return yielded, _resumed, layer

    return _through(middleware) or suspended, suspended


def _through(middleware: Around) -> Callable[[Call], Passage | Outcome | None] | None:
    """Return its ``through``, unless an ``around`` that knows nothing of it stands before that.

    Somebody who overrides ``around`` alone means every call.
    """
    if "around" in getattr(middleware, "__dict__", ()):
        return None
    for cls in type(middleware).__mro__:
        if "through" in vars(cls):
            found: Callable[[Call], Passage | Outcome | None] = middleware.through  # type: ignore[attr-defined]
            return found
        if "around" in vars(cls):
            break
    return None


def _resumed(layer: Layer, outcome: Outcome) -> Outcome:
    try:
        layer.send(outcome)
    except StopIteration as stop:
        returned: Outcome = stop.value
        return returned
    with suppress(Exception):  # what else it does on its way out cannot make it more broken
        layer.close()
    raise RuntimeError("yielded twice")
