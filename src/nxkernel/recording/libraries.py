"""Libraries: which versions the host's interpreter has, a part of a recording's fingerprint."""

from __future__ import annotations

from importlib import metadata

__all__ = ["libraries"]


def libraries() -> dict[str, str]:
    """Return the version of every installed distribution, by its name in small letters.

    Plugins with an environment of their own have others; the code of that is pinned by its lock.
    """
    found: dict[str, str] = {}
    for each in metadata.distributions():
        name = each.metadata["Name"]
        if name:  # A folder that was removed while something was in use has no name left.
            found.setdefault(name.lower().replace("_", "-"), each.version)
    return dict(sorted(found.items()))
