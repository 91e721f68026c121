"""Which plugins run together, in which order, and why the others do not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import attrs
import pytest

from nxkernel.errors import KernelConfigError
from nxkernel.plugins.compat import Resolution, Versions, resolve
from nxkernel.plugins.manifest import Manifest
from tests.unit.plugins.folders import manifest

VERSIONS = Versions(kernel="0.1.0.dev0", python="3.11.7", api="2.3")


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Return what makes a manifest out of an id and keys."""
    return lambda plugin, **keys: manifest(tmp_path, plugin, id=plugin, **keys)


def names(resolution: Resolution) -> list[str]:
    return [found.id for found in resolution.order]


def reasons(resolution: Resolution) -> dict[str, str]:
    return {plugin: error.message for plugin, error in resolution.disabled.items()}


@pytest.mark.parametrize(
    ("compat", "reason"),
    [
        ({"kernel": ">=0.1"}, ""),
        ({"kernel": ">=0.1,<0.2"}, ""),
        ({"kernel": ">=0.2"}, "a: needs nxkernel >=0.2, and this is 0.1.0"),
        ({"python": ">=3.11"}, ""),
        ({"python": "<3.11"}, "a: needs Python <3.11, and this is 3.11.7"),
        ({"api": ">=2,<3"}, ""),
        ({"api": ">=3"}, "a: needs the application's plugin API >=3, and this is 2.3"),
    ],
)
def test_versions_are_held_to_the_manifest(make: Any, compat: dict[str, str], reason: str) -> None:
    """A development version counts as the release that it becomes."""
    found = resolve([make("a", compat=compat)], VERSIONS)
    assert reasons(found) == ({"a": reason} if reason else {})


def test_an_api_that_has_no_version_fits_nobody_who_asks(make: Any) -> None:
    """A demand that cannot be checked is not met."""
    versions = attrs.evolve(VERSIONS, api=None)
    found = resolve([make("a", compat={"api": ">=1"}), make("b")], versions)
    assert names(found) == ["b"]
    assert "has no version here" in reasons(found)["a"]


def test_a_version_that_is_none_is_the_embedders_mistake(make: Any) -> None:
    """It names the argument."""
    with pytest.raises(KernelConfigError, match="api='two'"):
        resolve([make("a")], attrs.evolve(VERSIONS, api="two"))


def test_dependencies_come_first_then_priority_then_id(make: Any) -> None:
    """And the order of discovery does not matter."""
    plugins: list[Manifest] = [
        make("a", depends_on=["z"]),
        make("b", priority=5),
        make("c"),
        make("z", priority=9),
    ]
    for order in itertools.permutations(plugins):
        assert names(resolve(order, VERSIONS)) == ["c", "b", "z", "a"]


def test_what_lacks_a_dependency_is_disabled_with_all_that_need_it(make: Any) -> None:
    """Each says what it lacks, and whether that was there at all."""
    found = resolve(
        [
            make("a", depends_on=["b"]),
            make("b", depends_on=["c"]),
            make("d", depends_on=["old"]),
            make("old", compat={"kernel": "<0.1"}),
            make("free"),
        ],
        VERSIONS,
    )
    assert names(found) == ["free"]
    assert reasons(found) | {"old": ""} == {
        "a": "a: depends on b, which is disabled",
        "b": "b: depends on c, which is not there",
        "d": "d: depends on old, which is disabled",
        "old": "",
    }


def test_who_says_that_it_conflicts_stays_away(make: Any) -> None:
    """Naming another plugin does not switch that one off; a conflict that both name does both."""
    found = resolve([make("a", conflicts_with=["b", "gone"]), make("b")], VERSIONS)
    assert names(found) == ["b"]
    assert reasons(found) == {"a": "a: conflicts with b, which is there; remove one of them"}
    both = [make("c", conflicts_with=["d"]), make("d", conflicts_with=["c"])]
    assert names(resolve(both, VERSIONS)) == []


def test_a_replacement_stands_in_for_what_it_replaces(make: Any) -> None:
    """The old one is disabled, and who depends on it runs."""
    found = resolve([make("new", replaces=["old"]), make("old"), make("user", depends_on=["old"])],
                    VERSIONS)  # fmt: skip
    assert names(found) == ["new", "user"]
    assert reasons(found) == {"old": "old: is replaced by new; remove one of them"}


def test_two_that_replace_each_other_leave_one(make: Any) -> None:
    """The first by id stays, whatever the order."""
    found = resolve([make("b", replaces=["a"]), make("a", replaces=["b"])], VERSIONS)
    assert names(found) == ["a"]


def test_a_circle_is_spelled_out(make: Any) -> None:
    """Every plugin in it says the way round; who depends on the circle is disabled as well."""
    found = resolve(
        [
            make("a", depends_on=["b"]),
            make("b", depends_on=["c"]),
            make("c", depends_on=["a"]),
            make("d", depends_on=["a"]),
            make("e"),
        ],
        VERSIONS,
    )
    assert names(found) == ["e"]
    assert reasons(found)["a"] == (
        "a: stands in a circle: a depends on b depends on c depends on a; break it in a manifest"
    )
    assert reasons(found)["d"] == "d: depends on a, which is disabled"


def test_no_plugins_are_resolved_to_none() -> None:
    """An application without plugins is one."""
    assert resolve([], VERSIONS) == Resolution(order=(), disabled={})
