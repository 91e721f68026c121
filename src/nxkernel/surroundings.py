"""What surrounds a worker beside its sandbox, where somebody wants it other than usual.

Every worker has the same surroundings, so that the same input gives the same bytes. To find out
what a plugin's results depend on, they are changed on purpose, one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import attrs

from nxkernel.errors import KernelConfigError

__all__ = ["Addresses", "Listing", "Surroundings", "pairs"]

#: In which order a folder is listed.
Listing = Literal["sorted", "reversed", "shuffled"]
#: Where memory lies: as the guard's mode has it, the same for every process, or at random.
Addresses = Literal["guarded", "fixed", "random"]


def pairs(
    mapping: Mapping[str, str] | Iterable[tuple[str, str]],
) -> tuple[tuple[str, str], ...]:
    """Return a mapping as sorted pairs: equal ones are equal, and hash alike."""
    return tuple(sorted(dict(mapping).items()))


def _one_of(kind: Any) -> Any:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in get_args(kind):
            known = ", ".join(get_args(kind))
            raise KernelConfigError(
                f"Surroundings({attribute.name}={value!r}): expected one of {known}"
            )

    return check


@attrs.frozen(kw_only=True)
class Surroundings:
    """The surroundings of workers; what is left out is as usual.

    Raises:
        KernelConfigError: for an order or a place of memory that there is not.
    """

    #: Variables over everything else, those that are pinned included.
    environment: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=pairs)
    listing: Listing = attrs.field(default="sorted", validator=_one_of(Listing))
    #: The processors that workers may run on, and that they count; none named is all.
    processors: tuple[int, ...] = attrs.field(default=(), converter=tuple)
    #: Seconds by which Python's wall clock is ahead.
    clock_s: int = 0
    addresses: Addresses = attrs.field(default="guarded", validator=_one_of(Addresses))
    #: Whether HOME and TMPDIR have changed places.
    swapped: bool = False

    @property
    def told(self) -> dict[str, Any]:
        """What the process that workers come from is told of it; the rest is the host's work."""
        return {
            "listing": self.listing,
            "processors": list(self.processors),
            "clock_s": self.clock_s,
        }

    def fixed(self, guarded: bool) -> bool:
        """Whether addresses are fixed, where the guard's mode says *guarded*."""
        return guarded if self.addresses == "guarded" else self.addresses == "fixed"
