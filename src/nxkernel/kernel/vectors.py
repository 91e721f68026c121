"""Vectors: which instructions numeric libraries use, pinned where bytes count more than speed.

OpenBLAS looks at the processor and takes the code that was written for it: products, solutions and
eigenvalues then have other last bits on another machine. It can be told to take that for Haswell,
which runs on every x86-64 processor with AVX2 and FMA, of Intel since 2013 and of AMD since 2015,
and gives the same bits on all of them. Older processors, and others, are left to choose.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["pinned"]

_CPUINFO: Final = Path("/proc/cpuinfo")
_NEEDED: Final = frozenset({"avx2", "fma"})
_HASWELL: Final = {"OPENBLAS_CORETYPE": "Haswell"}


def pinned(cpuinfo: Path = _CPUINFO) -> dict[str, str]:
    """Return the variables that pin the code of numeric libraries on this machine; maybe none."""
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return {}
    return dict(_HASWELL) if set(flags.split()) >= _NEEDED else {}
