"""What a change of contracts breaks: for the plugins that implement a hook, and for its callers.

A contract has two readers. Whoever implements the hook must take all that its input allows and may
return what its output allows; whoever calls it, the other way round. So a change is harmless to
plugins when the new input is narrower and the new output wider, and to callers where it is the
opposite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

from nxkernel._canonical import encode
from nxkernel.schemas.narrowing import gap

__all__ = ["Change", "Published", "changes"]

Side = Literal["input", "output"]
#: ``{hook: {"input": schema, "output": schema}}``; a side that is left out allows anything.
Published = Mapping[str, Mapping[str, Any]]


@attrs.frozen(kw_only=True)
class Change:
    """One difference between two sets of contracts."""

    hook: str
    #: ``input`` or ``output``, or None where the hook itself came or went.
    side: Side | None
    #: In words: ``added``, ``removed``, ``changed``.
    what: Literal["added", "removed", "changed"]
    #: Why plugins written for the old contract may fail under the new one, or None.
    breaks_plugins: str | None = None
    #: Why callers of the old contract may fail under the new one, or None.
    breaks_callers: str | None = None

    @property
    def breaking(self) -> bool:
        """Whether somebody's code may have to change; what cannot be proved harmless counts."""
        return self.breaks_plugins is not None or self.breaks_callers is not None


def changes(old: Published, new: Published) -> list[Change]:
    """Return what differs, by hook and side; no difference, no change."""
    return [change for hook in sorted({*old, *new}) for change in _of_hook(hook, old, new)]


def _of_hook(hook: str, old: Published, new: Published) -> Iterator[Change]:
    if hook not in new:
        gone = "the hook is gone"
        yield Change(hook=hook, side=None, what="removed", breaks_plugins=gone, breaks_callers=gone)
    elif hook not in old:
        yield Change(hook=hook, side=None, what="added")
    else:
        sides: tuple[Side, ...] = ("input", "output")
        for side in sides:
            before, after = old[hook].get(side, True), new[hook].get(side, True)
            if encode(before) != encode(after):  # to Python, 1 equals true
                yield _of_side(hook, side, before, after)


def _of_side(hook: str, side: Side, before: Any, after: Any) -> Change:
    """Tell by two proofs who has to look at his code."""
    wider, narrower = gap(after, before), gap(before, after)
    for_plugins, for_callers = (wider, narrower) if side == "input" else (narrower, wider)
    return Change(
        hook=hook,
        side=side,
        what="changed",
        breaks_plugins=None if for_plugins is None else str(for_plugins),
        breaks_callers=None if for_callers is None else str(for_callers),
    )
