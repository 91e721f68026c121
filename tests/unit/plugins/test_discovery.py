"""Discovery finds every plugin and runs none."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nxkernel.errors import KernelConfigError, ManifestInvalid
from nxkernel.plugins.discovery import GROUP, Candidate, discover
from tests.unit.plugins.folders import CODE, plugin


def installed(site: Path, entry: str, *, recorded: bool = True, group: str = GROUP) -> Path:
    """Install a distribution with a package that has a plugin inside; return the package."""
    package = plugin(site, "shiny", id="shiny.plugin")
    (package / "__init__.py").write_text(CODE)
    info = site / "shiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shiny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nshiny = {entry}\n")
    files = ["shiny/__init__.py", "shiny/plugin.toml"] if recorded else []
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    return package


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def ids(candidates: list[Candidate]) -> list[str]:
    return [candidate.id for candidate in candidates]


def test_plugins_come_in_the_order_of_places_and_names(tmp_path: Path) -> None:
    """A folder of plugins, a plugin's own folder and a manifest's path are all places."""
    many = tmp_path / "many"
    plugin(many, "b", id="b")
    plugin(many, "a", id="c")
    single = plugin(tmp_path, "single", id="a")
    file = plugin(tmp_path, "file", id="d") / "plugin.toml"
    assert ids(discover(single, str(many), file)) == ["a", "c", "b", "d"]


def test_what_is_no_plugin_is_passed_over(tmp_path: Path) -> None:
    """Files, hidden folders and folders of code beside the plugins do not count."""
    plugin(tmp_path, "good")
    plugin(tmp_path, ".hidden", id="hidden")
    plugin(tmp_path, "__pycache__", id="cache")
    (tmp_path / "shared").mkdir()
    (tmp_path / "README.md").touch()
    assert ids(discover(tmp_path)) == ["ocr.rapid"]
    (tmp_path / "empty").mkdir()
    assert discover(tmp_path / "empty") == []


def test_a_broken_plugin_hides_no_other(tmp_path: Path) -> None:
    """It comes back with its error, under the id that it claims."""
    plugin(tmp_path, "a", id="good.one")
    plugin(tmp_path, "b", id="bad.one", hooks=None)
    (plugin(tmp_path, "c") / "plugin.toml").write_bytes(b"\xff")
    good, bad, worse = discover(tmp_path)
    assert good.error is None
    assert good.manifest
    assert (bad.id, bad.manifest) == ("bad.one", None)
    assert isinstance(bad.error, ManifestInvalid)
    assert worse.id == "c"
    assert worse.error


def test_a_manifest_under_a_wrong_name_is_reported(tmp_path: Path) -> None:
    """A plugin that would silently not exist says what its manifest must be called."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "plugin.yaml").touch()
    (candidate,) = discover(tmp_path)
    assert "no plugin.toml or plugin.json" in str(candidate.error)


def test_one_id_twice_disables_both(tmp_path: Path) -> None:
    """Neither silently overrides the other; the error names both folders, and no more of them
    than tells them apart."""
    plugin(tmp_path / "x", "same")
    plugin(tmp_path / "y", "same")
    plugin(tmp_path / "y", "other", id="other")
    candidates = discover(tmp_path / "x", tmp_path / "y")
    broken = [candidate for candidate in candidates if candidate.error]
    assert [(candidate.folder.parent.name, candidate.id) for candidate in broken] == [
        ("x", "ocr.rapid"),
        ("y", "ocr.rapid"),
    ]
    for candidate in broken:
        assert candidate.manifest is None
        assert "x/same and y/same" in str(candidate.error)
        assert str(tmp_path) not in str(candidate.error)


def test_the_same_folder_named_twice_is_one_plugin(tmp_path: Path) -> None:
    """A place and a plugin within it may both be named."""
    folder = plugin(tmp_path)
    assert len(discover(tmp_path, folder)) == 1


def test_a_linked_plugin_is_refused(tmp_path: Path) -> None:
    """A link in a folder of plugins may lead anywhere, and may be changed at any time."""
    plugin(tmp_path / "outside")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "linked").symlink_to(tmp_path / "outside" / "ocr_rapid")
    (candidate,) = discover(tmp_path / "inside")
    assert "is a symbolic link" in str(candidate.error)


def test_a_place_that_is_missing_is_the_callers_mistake(tmp_path: Path) -> None:
    """A typing error in the application is not an application without plugins."""
    with pytest.raises(KernelConfigError, match="no such folder"):
        discover(tmp_path / "plugin")


def test_discovery_runs_no_plugin_code(tmp_path: Path) -> None:
    """A module that leaves a trace when it is imported leaves none."""
    folder = plugin(tmp_path)
    (folder / "__init__.py").write_text(CODE)
    assert discover(tmp_path)[0].manifest
    assert not (folder / "imported").exists()


@pytest.mark.parametrize("recorded", [True, False], ids=["installed", "editable"])
def test_an_entry_point_names_a_manifest(site: Path, recorded: bool) -> None:
    """It is found by the list of files or on the path, and its package is not imported."""
    package = installed(site, "shiny:plugin.toml", recorded=recorded)
    (candidate,) = discover()
    assert candidate.id == "shiny.plugin"
    assert candidate.source == "entry point shiny"
    assert candidate.folder == package
    assert not (package / "imported").exists()
    assert "shiny" not in sys.modules


def test_an_entry_point_may_name_a_package_within_a_package(site: Path) -> None:
    """The outer package is not imported either."""
    package = installed(site, "outer.shiny:plugin.toml", recorded=False)
    (site / "outer").mkdir()
    (site / "outer" / "__init__.py").write_text(CODE)
    package.rename(site / "outer" / "shiny")
    (candidate,) = discover()
    assert candidate.folder == site / "outer" / "shiny"
    assert not (site / "outer" / "imported").exists()


def test_an_entry_point_of_a_module_without_a_spec_hides_nobody(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``__main__`` of a script has none; that is this candidate's error and no other's."""
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    installed(site, "__main__:plugin.toml")
    plugin(tmp_path / "own", "b", id="b")
    own, broken = discover(tmp_path / "own", entry_points=True)
    assert (own.id, own.error) == ("b", None)
    assert isinstance(broken.error, ManifestInvalid)


@pytest.mark.parametrize(
    "entry", ["shiny.module:Plugin", "shiny", "shiny:missing.toml", "nowhere:plugin.toml"]
)
def test_an_entry_point_that_names_no_manifest_is_reported(site: Path, entry: str) -> None:
    """Also one that names code: nothing is loaded to find out."""
    package = installed(site, entry)
    (candidate,) = discover()
    assert "names no installed manifest" in str(candidate.error)
    assert not (package / "imported").exists()


def test_installed_plugins_are_asked_for(site: Path, tmp_path: Path) -> None:
    """With places they are left out unless wanted, and each embedder may have its own group."""
    installed(site, "shiny:plugin.toml", group="screenmem.plugins")
    plugin(tmp_path / "own")
    assert ids(discover(tmp_path / "own", group="screenmem.plugins")) == ["ocr.rapid"]
    both = discover(tmp_path / "own", group="screenmem.plugins", entry_points=True)
    assert ids(both) == ["ocr.rapid", "shiny.plugin"]
    assert discover() == []
    assert discover(group="screenmem.plugins", entry_points=False) == []


def test_discovery_is_the_same_under_every_hash_seed(tmp_path: Path) -> None:
    """Order and errors are the same bytes."""
    for name in "dbca":
        plugin(tmp_path, name, id=f"p.{name}", hooks=["x"] if name != "b" else None)
    program = (
        "import sys; from nxkernel.plugins.discovery import discover\n"
        "for c in discover(sys.argv[1]): print(c.id, c.error, c.manifest and c.manifest.digest)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, tmp_path],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_a_distribution_in_an_archive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files cannot be checked one by one; the message says how to install it."""
    archive = tmp_path / "shiny-1.0-py3.egg"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("shiny/plugin.toml", "")
        file.writestr("EGG-INFO/PKG-INFO", "Metadata-Version: 2.1\nName: shiny\nVersion: 1.0\n")
        file.writestr("EGG-INFO/entry_points.txt", f"[{GROUP}]\nshiny = shiny:plugin.toml\n")
    monkeypatch.syspath_prepend(str(archive))
    (found,) = discover(entry_points=True)
    assert found.error is not None
    assert "is installed in an archive" in found.error.message
    assert "install the distribution with pip" in found.error.message
