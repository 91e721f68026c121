"""Of an installed plugin the whole distribution is checked, and nothing else of it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.plugins.codestore import survey
from nxkernel.plugins.discovery import Candidate, discover
from nxkernel.plugins.lockfile import Lock, lock_entry, write_lock
from nxkernel.settings import Grant
from tests.support.distributions import install
from tests.support.zoo import Hooks

pytestmark = pytest.mark.usefixtures("confinement")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of installed packages that this process imports from."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def found() -> Candidate:
    """Return the installed plugin, as it is now."""
    (candidate,) = (each for each in discover(entry_points=True) if each.id == "shiny")
    return candidate


def kernel(data: Path, **options: Any) -> nx.Kernel:
    """Return a kernel over the installed plugin."""
    run = nx.Run.create(data, seed=7)
    options.setdefault("plugins", [found()])
    return nx.Kernel("zoo", specs=[Hooks], run=run, middleware=[], **options)


def locked(tmp_path: Path) -> Path:
    """Write the lockfile that accepts the plugin as it is."""
    candidate, path = found(), tmp_path / "nxkernel.lock"
    assert candidate.manifest is not None
    entry = lock_entry(candidate.manifest, survey(candidate.code), Grant())
    write_lock(path, Lock(plugins={candidate.id: entry}))
    return path


@pytest.mark.parametrize("entrypoint", ["plugin:Plugin", "shiny.plugin:Plugin"])
def test_own_absolute_imports_come_from_the_copy(
    site: Path, tmp_path: Path, entrypoint: str
) -> None:
    """The package by its full name, and a module beside it: both as they were checked."""
    body = "import shiny.core; return [VALUE, shiny_helper.VALUE, shiny.core.__file__]"
    package = install(site, body=body, entrypoint=entrypoint)
    with kernel(tmp_path / "data"):
        pass  # learns what it implements, so that its worker starts late the next time
    with kernel(tmp_path / "data", lock=locked(tmp_path)) as running:
        assert running.plugins["shiny"].state == "stopped"
        (package / "core.py").write_text("VALUE = 'evil'\n")
        (site / "shiny_helper.py").write_text("VALUE = 'evil'\n")
        (answer,) = running.hook.echo(value=1)
    assert answer[:2] == ["good", "good"]
    assert answer[2].startswith(str(tmp_path / "data" / "cache" / "code"))


@pytest.mark.parametrize("path", ["shiny/core.py", "shiny/plugin.toml", "shiny_helper.py"])
def test_any_changed_file_of_the_distribution_is_a_mismatch(
    site: Path, tmp_path: Path, path: str
) -> None:
    """Also one that lies beside the package; it is named as the distribution lists it."""
    install(site)
    lock = locked(tmp_path)
    with kernel(tmp_path / "data", lock=lock) as running:
        assert running.hook.echo(value=1) == [["good", "good"]]
    with (site / path).open("a") as file:
        file.write("\n")
    with kernel(tmp_path / "data", lock=lock) as running:
        problem = running.plugins["shiny"].error
    assert isinstance(problem, nx.NxError)
    assert problem.code == "lock.mismatch"
    assert f"shiny: {path} was changed" in problem.message


def test_a_file_that_nobody_installed_is_not_there(site: Path, tmp_path: Path) -> None:
    """What was dropped into the package afterwards is neither checked nor imported."""
    package = install(site, body="import shiny.dropped")
    lock = locked(tmp_path)
    (package / "dropped.py").write_text("")
    with kernel(tmp_path / "data", lock=lock) as running:
        (outcome,) = running.call("echo", value=1).outcomes
    assert outcome.error is not None
    assert "No module named 'shiny.dropped'" in outcome.error.message


def test_a_file_that_is_gone_is_named(site: Path, tmp_path: Path) -> None:
    """A damaged distribution does not run, and says what to do."""
    package = install(site)
    (package / "core.py").unlink()
    with kernel(tmp_path / "data") as running:
        problem = running.plugins["shiny"].error
    assert isinstance(problem, nx.NxError)
    assert problem.message == (
        "shiny/shiny/core.py: is missing: the distribution is damaged; install it again"
    )


def test_an_editable_installation_is_its_package(site: Path, tmp_path: Path) -> None:
    """It lists no files: all of the outermost package's folder is checked, and runs."""
    install(site, listed=False, more={"other/secret.py": ""})
    (site / "shiny" / "more.py").write_text("")
    assert {file.path for file in survey(found().code).files} == {
        *(f"shiny/{name}" for name in ("__init__.py", "core.py", "more.py", "plugin.py")),
        "shiny/plugin.toml",
    }
    body = "return VALUE"
    text = (site / "shiny" / "plugin.py").read_text()
    (site / "shiny" / "plugin.py").write_text(
        text.replace("import shiny_helper\n", "").replace(
            "return [VALUE, shiny_helper.VALUE]", body
        )
    )
    with kernel(tmp_path / "data") as running:
        assert running.hook.echo(value=1) == ["good"]


def test_a_part_of_a_namespace_runs_from_the_copy(site: Path, tmp_path: Path) -> None:
    """A package within a namespace that others share is one's own."""
    install(site, package="acme.shiny", body="import acme.shiny.core as c; return c.__file__")
    (site / "acme" / "other.py").write_text("")
    with kernel(tmp_path / "data") as running:
        (answer,) = running.hook.echo(value=1)
    assert answer.startswith(str(tmp_path / "data" / "cache" / "code"))


def test_a_package_within_anothers_is_refused(site: Path) -> None:
    """Its parent decides where it is imported from, and that is not what was checked."""
    install(site, package="acme.shiny")
    (site / "acme" / "__init__.py").write_text("")
    (candidate,) = discover(entry_points=True)
    assert candidate.error is not None
    assert candidate.error.message == (
        "shiny: acme/__init__.py belongs to another distribution; give the plugin a package of its "
        "own"
    )


def test_reloading_an_installed_plugin_looks_at_the_distribution_again(
    site: Path, tmp_path: Path
) -> None:
    """An upgrade takes effect, with every file of it."""
    package = install(site)
    with kernel(tmp_path / "data") as running:
        assert running.hook.echo(value=1) == [["good", "good"]]
        (package / "core.py").write_text("VALUE = 'new'\n")
        (site / "shiny_helper.py").write_text("VALUE = 'new'\n")
        running.reload("shiny")
        assert running.hook.echo(value=1) == [["new", "new"]]
    assert os.listdir(tmp_path / "data" / "cache" / "code")
