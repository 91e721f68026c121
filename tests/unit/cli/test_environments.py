"""``nxkernel plugins environments``: who uses what, and what nobody uses any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nxkernel.plugins.environments.interpreters import here
from nxkernel.plugins.environments.request import Request
from nxkernel.plugins.environments.store import EnvironmentStore
from tests.unit.cli.conftest import run, write_plugin
from tests.unit.plugins.environments.test_prune import keep, names

USED, LEFT = Request(requirements=("sample==1.0",)), Request(requirements=("sample==2.0",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EnvironmentStore]:
    """Two environments; a plugin in ``plugins`` asks for the first one."""
    store = EnvironmentStore(tmp_path / "envs", here().abi)
    keep(store, USED, f"{0:032x}")
    keep(store, LEFT, f"{1:032x}")
    wanted = {"requirements": ["sample==1.0"]}
    write_plugin(tmp_path / "plugins" / "own", "hello.own", environment=wanted)
    yield store
    for folder in store.environments.iterdir():
        folder.chmod(0o700)


def command(store: EnvironmentStore, *more: str | Path) -> list[str | Path]:
    """Return the command over the plugins and the store."""
    place = store.root.parent / "plugins"
    return ["plugins", "environments", place, "--environments", store.root, *more]


def test_they_are_listed_with_who_asks_for_them(store: EnvironmentStore) -> None:
    """Looking changes nothing."""
    shown = run(*command(store, "--json"))
    assert shown.code == 0
    rows = {row["folder"][-1]: row for row in shown.data["environments"]}
    assert rows["0"]["plugins"] == ["hello.own"]
    assert rows["1"]["plugins"] == []
    assert "nobody here" in run(*command(store)).out
    assert names(store) == ["0", "1"]


def test_pruning_takes_a_yes(store: EnvironmentStore) -> None:
    """Where nobody can be asked nothing goes, and the exit code is 1."""
    shown = run(*command(store, "--prune"))
    assert (shown.code, names(store)) == (1, ["0", "1"])
    assert "--yes removes" in shown.err
    done = run(*command(store, "--prune", "--yes"))
    assert (done.code, names(store)) == (0, ["0"])
    assert "removed 000000000000" in done.out
    assert run(*command(store, "--prune")).code == 0, "nothing is left to remove"


def test_pruning_names_whose_environments_stay(store: EnvironmentStore) -> None:
    """Without a folder of plugins everything would be for nobody."""
    shown = run("plugins", "environments", "--environments", store.root, "--prune", "--yes")
    assert shown.code == 2
    assert names(store) == ["0", "1"]


def test_a_broken_manifest_stops_it(store: EnvironmentStore) -> None:
    """What it asks for is not known, and may be what would be removed."""
    (store.root.parent / "plugins" / "own" / "plugin.json").write_text("{")
    shown = run(*command(store, "--prune", "--yes"))
    assert shown.code == 1
    assert names(store) == ["0", "1"]
