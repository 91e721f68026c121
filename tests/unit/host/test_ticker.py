"""A thread that does one thing again and again: it ends when it is told to, or when it can."""

from __future__ import annotations

import threading

import pytest

from nxkernel.host import ticker
from nxkernel.host.guarded import Guarded
from nxkernel.host.ticker import Ticker


def test_it_waits_for_the_end_of_what_is_under_way() -> None:
    """Nothing is done any more once it has stopped."""
    begun, done = threading.Event(), []

    def action() -> None:
        begun.set()
        done.append("begun")
        done.append("done")

    each = Ticker("nxkernel-test", 0.0, action, Guarded("a test"))
    each.start()
    assert begun.wait(20)
    each.stop()
    assert done[-1] == "done"
    assert "nxkernel-test" not in [thread.name for thread in threading.enumerate()]


def test_what_hangs_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk may hang for as long as it likes: no kernel is kept from its end. It is told."""
    monkeypatch.setattr(ticker, "PATIENCE_S", 0.0)
    begun, goes, times = threading.Event(), threading.Event(), []

    def action() -> None:
        times.append(1)
        begun.set()
        assert goes.wait(20)

    each = Ticker("nxkernel-test", 0.0, action, Guarded("a test"))
    each.start()
    assert begun.wait(20)
    each.stop()
    assert caplog.messages == ["nxkernel-test hangs and is left behind: it ends when it can"]
    goes.set()
    each._thread.join(20)
    assert not each._thread.is_alive()
    assert len(times) == 1


def test_one_that_never_started_ends_at_once() -> None:
    """A kernel may fail before its threads run."""
    Ticker("nxkernel-test", 0.0, lambda: None, Guarded("a test")).stop()
