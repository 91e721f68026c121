"""Modules of the application that its plugins may import, and nothing else of it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import nxkernel as nx

API = """
import attrs

@attrs.frozen
class Frame:
    name: str
    size: tuple[int, int]
"""
PLUGIN = """
import nxkernel as nx
from nx_shared_app.api import Frame

hookimpl = nx.HookimplMarker("shared")

@hookimpl
def crop(frame: Frame) -> Frame:
    assert type(frame) is Frame
    return Frame(name=frame.name + "!", size=(1, 2))

@hookimpl
def reach(module):
    try:
        __import__(module)
    except ImportError as error:
        return type(error).__name__
    return "imported"
"""
MANIFEST = """
schema_version = 1
id = "uses.api"
version = "1"
entrypoint = "plugin"
hooks = ["crop", "reach"]
"""


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An application's package with a module for plugins and a private one."""
    package = tmp_path / "app" / "nx_shared_app"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import nx_shared_app.private\n")
    (package / "private.py").write_text("TOKEN = 'nobody else'\n")
    (package / "api.py").write_text(API)
    monkeypatch.syspath_prepend(str(tmp_path / "app"))
    yield importlib.import_module("nx_shared_app.api")
    for name in [name for name in sys.modules if name.startswith("nx_shared_app")]:
        del sys.modules[name]


def build(tmp_path: Path, app: ModuleType, **options: object) -> nx.Kernel:
    """Return a kernel whose one plugin imports the application's types."""
    folder = tmp_path / "plugins" / "uses_api"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plugin.toml").write_text(MANIFEST)
    (folder / "plugin.py").write_text(PLUGIN)
    hookspec = nx.HookspecMarker("shared")

    class Specs:
        @hookspec(firstresult=True)
        def crop(self, frame):
            """Return a smaller frame."""

        @hookspec(firstresult=True)
        def reach(self, module):
            """Say whether *module* can be imported."""

    Specs.crop.__annotations__.update({"frame": app.Frame, "return": app.Frame})
    run = nx.Run.create(tmp_path / "data")
    plugins = nx.discover(tmp_path / "plugins")
    return nx.Kernel("shared", specs=[Specs], run=run, plugins=plugins, middleware=[], **options)  # type: ignore[arg-type]


def test_a_type_of_the_application_crosses(tmp_path: Path, application: ModuleType) -> None:
    """Its instances are instances on both sides, though each side has its own class."""
    with build(tmp_path, application, api=["nx_shared_app.api"]) as kernel:
        frame = kernel.hook.crop(frame=application.Frame(name="one", size=(3, 4)))
    assert frame == application.Frame(name="one!", size=(1, 2))


def test_nothing_else_of_the_application_is_there(tmp_path: Path, application: ModuleType) -> None:
    """A module that was not named cannot be imported, though it lies in the same package."""
    with build(tmp_path, application, api=["nx_shared_app.api"]) as kernel:
        assert kernel.hook.reach(module="nx_shared_app.private") == "ModuleNotFoundError"


def test_without_being_named_no_module_is_there(tmp_path: Path, application: ModuleType) -> None:
    """The plugin that needs it cannot be loaded, and says what it lacked."""
    with build(tmp_path, application) as kernel:
        error = kernel.call("reach", module="json").error
    assert error is not None
    assert error.code == "plugin.start"
    assert "No module named 'nx_shared_app'" in error.message


@pytest.mark.parametrize("name", ["nx_no_such_module", "sys", "nx_shared_app.nothing", "..bad"])
def test_a_module_without_source_stops_the_boot(
    tmp_path: Path, application: ModuleType, name: str
) -> None:
    """What cannot be copied cannot be shared, and the message names it."""
    with pytest.raises(nx.KernelConfigError, match="no such module"):
        build(tmp_path, application, api=[name]).__enter__()


def test_a_package_is_shared_whole(tmp_path: Path, application: ModuleType) -> None:
    """A package that is named brings its modules along."""
    with build(tmp_path, application, api=["nx_shared_app"]) as kernel:
        assert kernel.hook.reach(module="nx_shared_app.private") == "imported"
