"""What keeps a thread alive, and what it tells."""

from __future__ import annotations

import pytest

from nxkernel.host.guarded import Guarded


class Place:
    """Something that has a plugin."""

    plugin = "words"


def burst(text: str = "disk full") -> None:
    raise OSError(text)


def test_a_failure_is_told_once_until_it_goes_well_or_differs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ten times a second, the same words would bury all others."""
    guarded, place = Guarded("a look"), Place()
    told = []
    for action in (burst, burst, lambda: burst("worse"), lambda: None, burst):
        guarded.does(place, action)
        told.append(len(caplog.records))
    assert told == [1, 1, 2, 2, 3]
    first = caplog.records[0].getMessage()
    assert first == "a look of plugin 'words' failed and is tried again: OSError: disk full"


def test_what_is_no_exception_ends_the_thread() -> None:
    """Interrupts and exits are meant to."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Guarded("a look").does(Place(), interrupt)
