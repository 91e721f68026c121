"""Plugins with an environment of their own, and a kernel over them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs

import nxkernel as nx
from nxkernel.errors import EnvironmentUnavailable
from nxkernel.plugins.environments.build import Builder
from nxkernel.plugins.environments.install import install
from nxkernel.plugins.environments.interpreters import choose, here
from nxkernel.plugins.environments.store import EnvironmentStore
from nxkernel.plugins.environments.tools import find_tool

hookspec = nx.HookspecMarker("envs")


@attrs.frozen
class Point:
    x: int
    y: int = 0


@attrs.frozen
class Named:
    name: str
    points: tuple[Point, ...]


class Hooks:
    """What the application offers."""

    @hookspec
    def tell(self) -> dict[str, Any]:
        """Say what the plugin finds around it."""

    @hookspec
    def move(self, point: Point) -> Point:
        """Return *point*, moved."""

    @hookspec
    def pick(self, shape: Point | Named) -> str:
        """Name the kind of *shape*."""

    @hookspec
    def fit(self, point):
        """Return *point*; what it must be is the plugin's matter."""

    @hookspec
    def run(self, what: str) -> Any:
        """Do one of several things."""

    @hookspec
    def wrapped(self, value: int) -> int:
        """Return *value*."""


#: A plugin that uses what its environment has: its own attrs, its own markers.
CODE = """
import importlib.metadata, os, sys
import attr, attrs, pluggy

hookimpl = pluggy.HookimplMarker("envs")


@attr.s(auto_attribs=True, frozen=True)
class Point:
    x: int
    y: int = attr.ib(default=0)
    _hidden: int = attr.ib(default=7, init=False)


@attrs.define
class Named:
    name: str
    points: tuple[Point, ...] = attrs.field(factory=tuple)


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def tell(self):
        return {
            "python": ".".join(map(str, sys.version_info[:2])),
            "attrs": [attr.__version__, importlib.metadata.version("attrs")],
            "pluggy": [pluggy.__version__, importlib.metadata.version("pluggy")],
            "found": sorted(each.name for each in importlib.metadata.distributions()),
            "prefix": sys.prefix,
            "executable": sys.executable,
            "path": sys.path,
        }

    @hookimpl
    def move(self, point: Point) -> Point:
        assert type(point) is Point and attr.asdict(point)["x"] == point.x
        return attr.evolve(point, x=point.x + 1)

    @hookimpl
    def pick(self, shape: Point | Named) -> str:
        return type(shape).__name__

    @hookimpl
    def fit(self, point: Point) -> Point:
        return point

    @hookimpl(hookwrapper=True)
    def wrapped(self, value):
        outcome = yield
        outcome.force_result([each + 1 for each in outcome.get_result()])

    @hookimpl
    def run(self, what):
        if what == "raise":
            raise ValueError(attr.__file__)
        if what == "missing":
            import msgspec
        if what == "read":
            os.listdir(self.context.settings["place"])
        return what
"""


def write_plugin(folder: Path, plugin: str, code: str = CODE, **keys: Any) -> Path:
    """Write a plugin below *folder*; *keys* of the manifest in TOML's spelling."""
    import tomlkit

    place = folder / plugin
    place.mkdir(parents=True)
    document = {
        "schema_version": 1,
        "id": plugin,
        "version": "1",
        "entrypoint": "plugin:Plugin",
        "hooks": ["tell", "move", "pick", "fit", "run", "wrapped"],
        **keys,
    }
    (place / "plugin.toml").write_text(tomlkit.dumps(document))
    (place / "plugin.py").write_text(code)
    return place


def installed(folder: Path, *plugins: Path, python: str = "") -> Path:
    """Install for *plugins* from the index that pip is configured for; return the store's root."""
    store = EnvironmentStore(folder, here().abi)
    builder = Builder(store=store, tool=lambda: find_tool(_configured(folder), "pip"))
    for plugin in plugins:
        (candidate,) = nx.discover(plugin)
        assert candidate.manifest is not None, candidate.error
        assert candidate.manifest.environment is not None
        install(candidate.manifest.environment, builder, os.environ, python=python)
    return folder


def _configured(folder: Path) -> Mapping[str, str]:
    """The tests have a home of their own; what pip is configured for is in the real one."""
    environ = {name: text for name, text in os.environ.items() if name != "XDG_CONFIG_HOME"}
    home = pwd.getpwuid(os.getuid()).pw_dir
    return {**environ, "HOME": home, "PIP_CACHE_DIR": str(folder.parent / "pip-cache")}


def other_python() -> str | None:
    """Return the specifiers of a supported Python that is here and is not this one, or None."""
    own = ".".join(here().version.split(".")[:2])
    for series in ("3.13", "3.12", "3.11"):
        if series != own:
            try:
                choose(f"=={series}.*", os.environ)
            except EnvironmentUnavailable:
                continue
            return f"=={series}.*"
    return None


def older(distribution: str) -> str:
    """Return a requirement that no version that we have ourselves satisfies."""
    return f"{distribution}<{version(distribution)}"


def kernel(
    data: Path, environments: Path, *plugins: Path, specs: Sequence[Any] = (Hooks,), **options: Any
) -> nx.Kernel:
    """Return a kernel over *plugins*."""
    hosting = options.pop("hosting", nx.Hosting(environments=environments, timeout_s=60))
    options.setdefault("middleware", [])
    return nx.Kernel(
        "envs",
        specs=specs,
        run=nx.Run.create(data, seed=7),
        plugins=nx.discover(*plugins),
        hosting=hosting,
        **options,
    )
