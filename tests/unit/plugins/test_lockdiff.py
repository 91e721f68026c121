"""What a reviewer sees before a lockfile is accepted."""

from __future__ import annotations

import json

import attrs

from nxkernel.plugins.lockdiff import diff
from nxkernel.plugins.lockfile import Lock, LockEntry
from nxkernel.settings import Grant
from nxkernel.types import Digest, ImplFacts, PluginId

A, B = PluginId("a"), PluginId("b")
ENTRY = LockEntry(
    version="1",
    manifest=Digest("sha256:" + "0" * 64),
    tree=Digest("sha256:" + "0" * 64),
    files={"gone.py": "0" * 64, "kept.py": "0" * 64, "new.py": "0" * 64},
    grant=Grant(read=("/a",), network=("tcp:80",)),
    impls=(ImplFacts(impl="f", hook="h"),),
)
NEXT = attrs.evolve(
    ENTRY,
    version="2",
    files={"added.py": "0" * 64, "kept.py": "0" * 64, "new.py": "1" * 64},
    grant=Grant(read=("/a",), network=("tcp:443",), calls=("x",)),
    impls=(),
)


def test_every_difference_is_named() -> None:
    """Version, files, grants and hookimpls, sorted, with a sign each."""
    found = diff(Lock(plugins={A: ENTRY}), Lock(plugins={A: NEXT}))
    assert str(found).splitlines() == [
        "+ a: calls x",
        "+ a: file added.py",
        "- a: file gone.py",
        "~ a: file new.py",
        "- a: hookimpl h by f",
        "+ a: network tcp:443",
        "- a: network tcp:80",
        "~ a: version 1 to 2",
    ]


def test_a_new_plugin_shows_what_it_is_granted() -> None:
    """Its files need no list, its grants do."""
    found = diff(Lock(), Lock(plugins={B: ENTRY}))
    assert str(found).splitlines() == [
        "+ b: hookimpl h by f",
        "+ b: network tcp:80",
        "+ b: plugin 1",
        "+ b: read /a",
    ]
    removed = diff(Lock(plugins={B: ENTRY}), Lock())
    assert "- b: plugin 1" in str(removed)


def test_no_difference_is_false() -> None:
    """A script can ask whether there is anything to review."""
    found = diff(Lock(plugins={A: ENTRY}), Lock(plugins={A: ENTRY}))
    assert not found
    assert str(found) == "no changes"


def test_programs_get_the_same_differences() -> None:
    """One JSON object with a version of its format."""
    found = diff(Lock(), Lock(plugins={A: attrs.evolve(ENTRY, grant=Grant(), impls=None)}))
    assert json.loads(json.dumps(found.to_json())) == {
        "schema_version": 1,
        "changes": [{"plugin": "a", "what": "plugin", "name": "1", "action": "added"}],
    }
