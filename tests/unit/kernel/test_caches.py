"""Caches: every folder that a boot believes is kept from the plugins."""

from __future__ import annotations

from pathlib import Path

from nxkernel.kernel.caches import Caches


def test_every_cache_is_protected_but_the_plugins_own() -> None:
    """A new one that is forgotten in the list of the protected would be a hole in the walls."""
    caches = Caches(Path("/data"))
    shared = {
        getattr(caches, name)
        for name, member in vars(Caches).items()
        if isinstance(member, property) and name != "protected"
    }
    assert set(caches.protected) == shared
    assert not any(caches.of_plugin("a.plugin").is_relative_to(each) for each in shared)
