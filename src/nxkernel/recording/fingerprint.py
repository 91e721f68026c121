"""The fingerprint of a machine, as far as it changes what plugins answer."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["libraries", "processor"]

_CPUINFO = Path("/proc/cpuinfo")
#: What an installer leaves beside a package (Recording installed projects, PyPA).
_INSTALLED = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-py[\d.]+)?\.(dist|egg)-info")


def libraries(places: Sequence[str] | None = None) -> dict[str, str]:
    """Return the version of every distribution of this interpreter, by its name in small letters.

    By the names of their folders: to read what is in each costs a quarter of a second. What a
    plugin has of its own is part of its code digest. *places* are those that are imported from.
    """
    found: dict[str, str] = {}
    for place in sys.path if places is None else places:
        for name in sorted(_names(place)):
            match = _INSTALLED.fullmatch(name)
            if match is not None:
                found.setdefault(match["name"].lower().replace("_", "-"), match["version"])
    return dict(sorted(found.items()))


def _names(place: str) -> list[str]:
    try:
        return os.listdir(place or ".")
    except OSError:  # an archive, or not there at all
        return []


def processor(cpuinfo: Path = _CPUINFO) -> str:
    """Return the model of the processor, and a digest of what it can do.

    Libraries of linear algebra choose their code by that, and other code has other last bits.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    can = " ".join(sorted((facts.get("flags") or facts.get("Features", "")).split()))
    model = facts.get("model name") or facts.get("CPU part") or platform.machine()
    return f"{model}, features {hashlib.sha256(can.encode()).hexdigest()[:12]}"
