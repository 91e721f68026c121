"""What a reviewer sees before a lockfile is accepted."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

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


@pytest.mark.parametrize(
    ("part", "before", "after", "words"),
    [
        ("sandbox", "confined", "process", "~ a: sandbox confined to process"),
        ("sandbox", None, "confined", "+ a: sandbox confined"),
        ("hosting", {"memory_mb": 5}, {"memory_mb": 6}, "~ a: hosting memory_mb = 5 to 6"),
        ("hosting", {"retries": 1}, {}, "- a: hosting retries = 1"),
        ("contracts", {"h.output": "1"}, {"h.output": "2"}, "~ a: contract h.output"),
        ("dependencies", "environment", None, "- a: dependencies environment"),
        ("grant", Grant(network=("tcp:80",)), Grant(), "- a: network tcp:80"),
        ("grant", Grant(), Grant(exec=("/bin/sh",)), "+ a: exec /bin/sh"),
        ("environments", {"x": "1"}, {"x": "2"}, "~ a: environment x"),
        ("limits", {"memory_mb": 5.0}, {}, "- a: limit memory_mb = 5"),
    ],
)
def test_each_kind_of_drift_has_its_words(part: str, before: Any, after: Any, words: str) -> None:
    """What is held is told, each in one line."""
    old, new = (
        Lock(plugins={A: attrs.evolve(ENTRY, **{"grant": Grant(), part: each})})
        for each in (before, after)
    )
    assert str(diff(old, new)) == words
