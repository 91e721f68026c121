"""The names in the folder of spools."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.audit.spool.folder import Left, SpoolName, folder_of, listing

CLAIM = "0" * 31 + "f"


def test_each_log_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Two logs beside each other do not share one."""
    assert folder_of(tmp_path / "a.db") == tmp_path / "a.db-spool"


def test_spools_are_listed_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """With their segments ascending; what has another name is not looked at."""
    first, second = SpoolName(9, CLAIM), SpoolName(10, CLAIM)
    for name in (
        *(second.segment(1), first.segment(10), first.segment(9), first.slots),
        *("notes.txt", first.segment(3).replace(".spool", ".torn"), f"{first.prefix}-000011.new"),
    ):
        (tmp_path / name).touch()
    assert listing(tmp_path) == [Left(first, (9, 10), True), Left(second, (1,), False)]


def test_no_folder_is_an_empty_one(tmp_path: Path) -> None:
    """A log that nobody has written to has no spools."""
    assert listing(tmp_path / "none") == []


@pytest.mark.parametrize("number", [0, 10**8])
def test_a_number_has_eight_digits(number: int) -> None:
    """Others would not sort."""
    with pytest.raises(OSError, match="spools"):
        SpoolName(number, CLAIM)
