"""Which code numeric libraries take: pinned where the processor can run what is pinned."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.kernel.vectors import pinned


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model name\t: new\nflags\t\t: fpu avx avx2 fma avx512f\n\n", "Haswell"),
        ("model name\t: old\nflags\t\t: fpu avx\n\n", None),
        ("CPU part\t: 0xd0c\nFeatures\t: fp asimd\n", None),
        ("", None),
    ],
    ids=["with-avx2", "without", "arm", "empty"],
)
def test_it_is_pinned_where_the_processor_can_run_it(
    tmp_path: Path, text: str, expected: str | None
) -> None:
    """OpenBLAS would end with an illegal instruction elsewhere."""
    (tmp_path / "cpuinfo").write_text(text)
    assert pinned(tmp_path / "cpuinfo").get("OPENBLAS_CORETYPE") == expected


def test_a_system_that_does_not_say_is_left_alone(tmp_path: Path) -> None:
    """No system but Linux has the file."""
    assert pinned(tmp_path / "none") == {}
