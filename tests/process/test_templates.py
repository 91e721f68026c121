"""The six templates, granted for real: what they are, and that around them all stays closed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.host.sandbox.linux import probe
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, copies, patient

READ = ("run_dir", "metadata_db_path", "media_dir", "audit_db_path", "plugin_dir", "cache_dir")
WRITE = ("run_dir", "metadata_db_path", "media_dir", "cache_dir")
SECRET = "of somebody else"
ASKS = [("read", name) for name in READ] + [("write", name) for name in WRITE]


def named(kind: str, template: str) -> str:
    return f"{kind}s.{template.replace('_', '.')}"


def asking(place: Path, plugin: str, kind: str, *paths: str) -> Path:
    """Copy the trespasser as *plugin*, whose manifest asks for *paths*."""
    (copy,) = copies(place, "trespasses", [plugin])
    manifest = copy / "plugin.toml"
    asked = ", ".join(f'"{path}"' for path in paths)
    manifest.write_text(f"{manifest.read_text()}\n[permissions]\n{kind} = [{asked}]\n")
    return copy


def database(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as application:
        application.execute("create table t (x)")


def place_of(run: nx.Run, plugin: str, template: str) -> Path:
    """Where a template leads when nobody says otherwise."""
    data = run.data_dir.resolve()
    if template == "plugin_dir":
        (code,) = [
            found.parent
            for found in (data / "cache" / "code").glob("*/plugin.toml")
            if f'id = "{plugin}"' in found.read_text()
        ]
        return code
    return {
        "run_dir": run.dir.resolve() / "plugins" / plugin,
        "metadata_db_path": data / "store" / "records.db",
        "media_dir": data / "media",
        "audit_db_path": data / "audit" / "audit.db",
        "cache_dir": data / "cache" / "plugins" / plugin,
    }[template]


@pytest.fixture(scope="module", params=["confined", "isolated"])
def zoo(
    confinement: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Zoo]:
    """One kernel at either level, with a plugin for each template and each way."""
    found = probe.namespaces_available()
    if request.param == "isolated" and not found.ok:
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")
    place = tmp_path_factory.mktemp("templates")
    database(place / "data" / "store" / "records.db")
    (place / "data" / "media").mkdir()
    (place / "data" / "cache" / "plugins" / named("read", "cache_dir")).mkdir(parents=True)
    folders = [
        asking(place / "plugins", named(kind, name), kind, f"{{{name}}}") for kind, name in ASKS
    ]
    grants = {
        named(kind, name): nx.Grant(**{kind: (f"{{{name}}}",)})
        for kind, name in ASKS
        if (kind, name) not in [("write", "run_dir"), ("read", "run_dir"), ("read", "plugin_dir")]
    }
    options: dict[str, Any] = {"grants": grants, "sandbox": nx.Sandbox(require=request.param)}
    with patient(place / "data", folders=folders, **options) as kernel:
        yield Zoo(kernel)


def refused(zoo: Zoo, plugin: str, way: str, target: object) -> bool:
    outcome = zoo.act(plugin, [way, str(target)])
    error = outcome.error
    return error is not None and error.details.get("errno") in ("EACCES", "ENOENT", "EROFS")


@pytest.mark.parametrize("template", READ)
def test_reading(zoo: Zoo, template: str) -> None:
    """The plugin reads what is there, and what comes later."""
    plugin = named("read", template)
    place = place_of(zoo.kernel.run, plugin, template)
    if place.is_dir():
        if template != "plugin_dir":
            (place / "planted").write_text("by the application")
            assert zoo.act(plugin, ["read", str(place / "planted")]).value == "by the application"
        assert sorted(zoo.act(plugin, ["list", str(place)]).value) == sorted(
            each.name for each in place.iterdir()
        )
    else:
        outcome = zoo.act(plugin, ["peek", str(place)])
        assert outcome.value == b"S", outcome.error
    if template != "run_dir":
        assert refused(zoo, plugin, "write", place / "new" if place.is_dir() else place)


@pytest.mark.parametrize("template", WRITE)
def test_writing(zoo: Zoo, template: str) -> None:
    """What the plugin writes is there for the application."""
    plugin = named("write", template)
    place = place_of(zoo.kernel.run, plugin, template)
    target = place / "new" if place.is_dir() else place
    before = target.read_bytes() if target.exists() else b""
    outcome = zoo.act(plugin, ["write", str(target)])
    assert outcome.ok, outcome.error
    assert target.read_bytes() == before + b"mine now"


@pytest.mark.parametrize(("kind", "template"), ASKS)
def test_around_it_all_is_closed(zoo: Zoo, kind: str, template: str) -> None:
    """The folder that it lies in can be neither listed nor written, its neighbour not be read."""
    plugin = named(kind, template)
    place = place_of(zoo.kernel.run, plugin, template)
    sibling = place.parent / "sibling"
    sibling.write_text(SECRET)
    assert refused(zoo, plugin, "list", place.parent)
    assert refused(zoo, plugin, "read", sibling)
    assert refused(zoo, plugin, "write", sibling)
    assert refused(zoo, plugin, "write", place.parent / "planted")
    assert refused(zoo, plugin, "remove", sibling)
    assert sibling.read_text() == SECRET
    assert not (place.parent / "planted").exists()


def test_the_audit_can_be_read_while_it_is_written(zoo: Zoo) -> None:
    """It is in WAL mode, and the kernel's own; the plugin finds its table and not the demo's."""
    plugin = named("read", "audit_db_path")
    place = place_of(zoo.kernel.run, plugin, "audit_db_path")
    outcome = zoo.act(plugin, ["database", str(place)])
    assert outcome.error is not None
    assert "no such table: t" in outcome.error.message


@pytest.mark.parametrize("template", ["audit_db_path", "plugin_dir"])
def test_what_nobody_may_write(open_zoo: Opens, tmp_path: Path, template: str) -> None:
    """Not even with a grant: the manifest itself is refused."""
    folder = asking(tmp_path / "plugins", "asks", "write", f"{{{template}}}")
    grants = {"asks": nx.Grant(write=(f"{{{template}}}",))}
    zoo = open_zoo(patient, folders=[folder], grants=grants)
    (view,) = zoo.kernel.plugins.values()
    assert view.error is not None
    assert view.error.code == "manifest.invalid"


def test_it_takes_manifest_and_application(open_zoo: Opens, tmp_path: Path) -> None:
    """A request without a grant disables the plugin; a grant without a request gives nothing."""
    media = tmp_path / "data" / "media"
    media.mkdir(parents=True)
    (media / "one").write_text("1")
    asks = asking(tmp_path / "plugins", "asks", "read", "{media_dir}")
    silent = asking(tmp_path / "plugins", "silent", "read", "{run_dir}")
    both = asking(tmp_path / "plugins", "both", "read", "{media_dir}")
    grant = nx.Grant(read=("{media_dir}",))
    grants = {"silent": grant, "both": grant}
    zoo = open_zoo(patient, folders=[asks, silent, both], grants=grants)
    error = zoo.kernel.plugins["asks"].error
    assert error is not None
    assert error.code == "permission.not_granted"
    assert "read '{media_dir}', which nobody granted" in error.message
    assert refused(zoo, "silent", "read", media / "one")
    assert zoo.act("both", ["read", str(media / "one")]).value == "1"


@pytest.mark.parametrize("template", ["media_dir", "metadata_db_path", "audit_db_path"])
def test_the_application_says_where_they_lead(
    open_zoo: Opens, tmp_path: Path, template: str
) -> None:
    """`Kernel(paths=)` goes before the data directory, which is then as closed as the rest."""
    elsewhere, usual = tmp_path / "elsewhere.db", tmp_path / "data" / "media"
    elsewhere.write_text("here")
    usual.mkdir(parents=True)
    (usual / "one").write_text("1")
    folder = asking(tmp_path / "plugins", "asks", "read", f"{{{template}}}")
    grants = {"asks": nx.Grant(read=(f"{{{template}}}",))}
    zoo = open_zoo(patient, folders=[folder], grants=grants, paths={template: elsewhere})
    assert zoo.act("asks", ["read", str(elsewhere)]).value == "here"
    assert refused(zoo, "asks", "read", usual / "one")
    assert refused(zoo, "asks", "peek", zoo.kernel.run.audit_log.path)
