"""Rows, counted for the call that is under way."""

from __future__ import annotations

import threading

import pytest

from nxkernel import _tally


def test_counts_go_to_the_call_on_top() -> None:
    """Within a call that another one waits for, rows are those of the inner one."""
    with _tally.counting() as outer:
        _tally.count(rows_read=1)
        with _tally.counting() as inner:
            _tally.count(rows_read=10, rows_written=20)
        _tally.count(rows_written=2)
    assert (outer.rows, inner.rows) == ((1, 2), (10, 20))


def test_counts_outside_of_calls_are_nobodys() -> None:
    """Storage may be used anywhere; where no call is under way, nothing happens."""
    _tally.count(rows_read=5)
    with _tally.counting() as tally:
        pass
    assert tally.rows is None


def test_another_thread_does_not_count_here() -> None:
    """What runs beside a call by chance is not taken for its doing."""
    with _tally.counting() as tally:
        thread = threading.Thread(target=_tally.count, kwargs={"rows_read": 1})
        thread.start()
        thread.join()
    assert tally.rows is None


@pytest.mark.parametrize("rows", [(-1, 0), (0, -1)], ids=["read", "written"])
def test_rows_are_counted_up(rows: tuple[int, int]) -> None:
    """A negative number is refused and changes nothing."""
    tally = _tally.Tally()
    with pytest.raises(ValueError, match="never down"):
        tally.add(*rows)
    assert tally.rows is None
