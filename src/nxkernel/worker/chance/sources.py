"""What a plugin may meet that differs from run to run, and what to write instead."""

from __future__ import annotations

from typing import Final, Literal

import attrs

__all__ = ["CHANCE", "CLOCK", "ENVIRONMENT", "GLOBAL", "Kind", "Source"]

Kind = Literal["chance", "clock", "environment"]
CHANCE: Final = "chance"
CLOCK: Final = "clock"
ENVIRONMENT: Final = "environment"
#: The way out for code that cannot be given a generator.
GLOBAL: Final = ', or declare rng = "global" in the manifest'


@attrs.frozen
class Source:
    """One function whose results follow from no seed."""

    kind: Kind
    #: As a plugin has typed it: ``random.random()``.
    name: str
    #: The line to write instead, or what else to do.
    instead: str
    #: The global generator that it draws from, or empty: seeded in a call, that may be used in it.
    generator: str = ""
