"""Plugins in environments of their own: their versions, their Python, the same walls."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pluggy
import pytest

import nxkernel as nx
from nxkernel.host.sandbox.linux import probe
from nxkernel.plugins.codestore import CodeStore
from nxkernel.plugins.environments.install import RUNTIME
from nxkernel.plugins.environments.interpreters import here
from nxkernel.plugins.environments.prune import Users, kept, prune
from nxkernel.plugins.environments.store import EnvironmentStore
from nxkernel.plugins.lockfile import Lock, lock_entry, write_lock
from nxkernel.types import Digest, Level
from tests.support.environments import (
    Named,
    Point,
    installed,
    kernel,
    older,
    other_python,
    write_plugin,
)

#: Environments are built from an index, which may be slow; nothing here depends on how fast it is.
pytestmark = pytest.mark.timeout(600)

ORDINARY, OLD, OLDER, FOREIGN = "p.ordinary", "p.old", "p.older", "p.foreign"
OTHER = other_python()
#: What runs beside each other: the application's own versions, and three others.
PLUGINS: dict[str, dict[str, Any]] = {
    ORDINARY: {},
    OLD: {"environment": {"requirements": ["attrs==23.1.0", "pluggy==1.3.0"]}},
    OLDER: {"environment": {"requirements": ["attrs==22.2.0", "pluggy==1.0.0"]}},
}
if OTHER:
    PLUGINS[FOREIGN] = {
        "compat": {"python": OTHER},
        "environment": {"python": OTHER, "requirements": ["attrs==22.2.0", "pluggy==1.3.0"]},
    }
OWN = [name for name in PLUGINS if name != ORDINARY]
foreign = pytest.mark.skipif(OTHER is None, reason="no other Python (3.11 to 3.13) is here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("environments")


@pytest.fixture(scope="module")
def plugins(folder: Path) -> dict[str, Path]:
    place = {"place": str(Path(attrs.__file__).parent)}
    settings = {"schema": {"type": "object"}, "defaults": place}
    return {
        name: write_plugin(folder / "plugins", name, settings=settings, **keys)
        for name, keys in PLUGINS.items()
    }


@pytest.fixture(scope="module")
def store(folder: Path, plugins: dict[str, Path]) -> Path:
    """Every environment, built once from the index."""
    return installed(folder / "store", *(plugins[name] for name in OWN))


@pytest.fixture(scope="module")
def side_by_side(
    confinement: None, folder: Path, store: Path, plugins: dict[str, Path]
) -> Iterator[nx.Kernel]:
    """One kernel over all of them, at level confined."""
    with kernel(folder / "data", store, *plugins.values()) as running:
        yield running


def ask(running: nx.Kernel, plugin: str, hook: str, **arguments: Any) -> Any:
    """Call *hook* of one plugin and return its value."""
    return running.options(only=[plugin]).call(hook, **arguments).unwrap()[0]


def test_conflicting_versions_run_side_by_side(side_by_side: nx.Kernel) -> None:
    """Each plugin has the versions that it asked for, code and metadata, in one application."""
    told = {name: ask(side_by_side, name, "tell") for name in PLUGINS}
    ours = {name: importlib.metadata.version(name) for name in ("attrs", "pluggy")}
    assert told[OLD]["attrs"] == ["23.1.0", "23.1.0"]
    assert told[OLDER]["attrs"] == ["22.2.0", "22.2.0"]
    assert told[ORDINARY]["attrs"] == [ours["attrs"]] * 2
    assert told[OLD]["pluggy"] == ["1.3.0", "1.3.0"]
    assert told[OLDER]["pluggy"] == ["1.0.0", "1.0.0"]
    assert told[ORDINARY]["pluggy"] == [ours["pluggy"]] * 2


@foreign
def test_another_python_runs_beside_this_one(side_by_side: nx.Kernel) -> None:
    """A plugin may need another interpreter than the application has."""
    assert OTHER is not None
    told = ask(side_by_side, FOREIGN, "tell")
    assert f"=={told['python']}.*" == OTHER
    assert told["attrs"] == ["22.2.0", "22.2.0"]


def test_what_a_running_kernel_uses_is_not_pruned(side_by_side: nx.Kernel, store: Path) -> None:
    """Though nobody asks for it any more: workers start from it until the kernel is closed."""
    there = EnvironmentStore(store, here().abi)
    before = kept(there, Users(), here())
    assert len(before) >= len(OWN)
    assert prune(there, before) == before
    assert kept(there, Users(), here()) == before
    assert ask(side_by_side, OLD, "tell")["attrs"] == ["23.1.0", "23.1.0"]


@pytest.mark.parametrize("plugin", OWN)
def test_nothing_else_is_in_sight(side_by_side: nx.Kernel, store: Path, plugin: str) -> None:
    """The distributions are those of the environment, and so are prefix and executable."""
    told = ask(side_by_side, plugin, "tell")
    assert told["found"] == ["attrs", "pluggy"]
    prefix = Path(told["prefix"])
    assert prefix.parent == store / "environments"
    assert told["executable"] == str(prefix / "bin" / "python")
    site = str(prefix / "lib" / f"python{told['python']}" / "site-packages")
    assert [path for path in told["path"] if path.endswith("site-packages")] == [site]


@pytest.mark.parametrize("plugin", OWN)
def test_what_the_application_has_cannot_be_imported(side_by_side: nx.Kernel, plugin: str) -> None:
    """A library that was not asked for is missing, though the worker itself uses it."""
    (outcome,) = side_by_side.options(only=[plugin]).call("run", what="missing")
    assert outcome.error is not None
    assert outcome.error.message == "ModuleNotFoundError: No module named 'msgspec'"


@pytest.mark.parametrize("plugin", OWN)
def test_what_the_application_has_cannot_be_read(side_by_side: nx.Kernel, plugin: str) -> None:
    """The walls of such a worker leave out the application's libraries."""
    (outcome,) = side_by_side.options(only=[plugin]).call("run", what="read")
    assert outcome.error is not None
    assert "PermissionError" in outcome.error.message


@pytest.mark.parametrize("plugin", OWN)
def test_its_workers_are_confined_all_the_same(side_by_side: nx.Kernel, plugin: str) -> None:
    """Each wall was tried by the worker itself before it said hello."""
    ask(side_by_side, plugin, "tell")
    view = side_by_side.plugins[plugin]
    assert view.level == "confined"
    assert view.witnessed == side_by_side.plugins[ORDINARY].witnessed != {}


@pytest.mark.parametrize("plugin", list(PLUGINS))
def test_records_of_the_plugins_own_attrs_cross(side_by_side: nx.Kernel, plugin: str) -> None:
    """Classes that another copy of attrs made cross by annotation, as those of ours do."""
    assert ask(side_by_side, plugin, "move", point=Point(1, 2)) == Point(2, 2)
    assert ask(side_by_side, plugin, "pick", shape=Point(1)) == "Point"
    assert ask(side_by_side, plugin, "pick", shape=Named("n", (Point(3),))) == "Named"


@pytest.mark.parametrize("plugin", list(PLUGINS))
def test_a_required_field_is_required_whichever_attrs_says_so(
    side_by_side: nx.Kernel, plugin: str
) -> None:
    """The mark for "no default" of another copy of attrs is understood, and so is a default."""
    assert ask(side_by_side, plugin, "fit", point={"x": 1}) == {"x": 1, "y": 0}
    for point, problem in (
        ({"y": 1}, "with the field 'x'"),
        ({"x": 1, "_hidden": 2}, "got the unknown field '_hidden'"),
    ):
        (outcome,) = side_by_side.options(only=[plugin]).call("fit", point=point)
        assert outcome.error is not None
        assert outcome.error.code == "provider.not_applicable"
        assert problem in outcome.error.message


def test_wrappers_of_every_pluggy_stand_around_each_other(side_by_side: nx.Kernel) -> None:
    """Markers of other versions of pluggy mark hookimpls all the same."""
    assert side_by_side.call("wrapped", value=1).unwrap() == []
    assert len(side_by_side.explain("wrapped").providers) == len(PLUGINS)
    assert pluggy.__version__ not in ("1.0.0", "1.3.0")


@pytest.mark.parametrize("plugin", OWN)
def test_an_error_names_no_place_of_this_machine(
    side_by_side: nx.Kernel, store: Path, plugin: str
) -> None:
    """Messages are the same wherever environments are kept."""
    (outcome,) = side_by_side.options(only=[plugin]).call("run", what="raise")
    assert outcome.error is not None
    assert "ValueError: {environment}/lib/python" in outcome.error.message
    assert str(store) not in outcome.error.message


def test_the_digest_of_its_code_covers_its_libraries(
    side_by_side: nx.Kernel, folder: Path, store: Path, plugins: dict[str, Path]
) -> None:
    """The audit's digest is over every file that runs."""
    facts = {m.id: m.facts.code_digest for m in side_by_side._parts.roster.members.values()}
    trees = {m.id: m.admitted.tree_digest for m in side_by_side._parts.roster.members.values()}
    assert facts[ORDINARY] == trees[ORDINARY]
    assert all(facts[name] != trees[name] for name in OWN)


@pytest.mark.parametrize("level", ["isolated", "process"])
def test_it_is_the_same_at_every_level(
    confinement: None, store: Path, plugins: dict[str, Path], tmp_path: Path, level: Level
) -> None:
    """What a plugin imports does not depend on the walls around it."""
    found = probe.namespaces_available()
    if level == "isolated" and not found.ok:
        pytest.skip(f"{found.name} is not available here: {found.detail} ({found.errno})")
    sandbox = nx.Sandbox(require=level)
    with kernel(tmp_path, store, *plugins.values(), sandbox=sandbox) as running:
        for name in OWN:
            told = ask(running, name, "tell")
            wanted = PLUGINS[name]["environment"]["requirements"]
            assert [f"attrs=={told['attrs'][1]}", f"pluggy=={told['pluggy'][1]}"] == wanted
            assert told["found"] == ["attrs", "pluggy"]
            assert ask(running, name, "move", point=Point(1, 2)) == Point(2, 2)


# -- what the worker needs of itself ---------------------------------------------------------------

BARE = """
import dataclasses, datetime, decimal, enum, uuid
from pathlib import Path
from typing import Literal
import nxkernel as nx

hookimpl = nx.HookimplMarker("envs")


class Mood(enum.Enum):
    CALM = "calm"


@dataclasses.dataclass
class Stop:
    kind: Literal["stop"]
    at: datetime.datetime
    mood: Mood


@dataclasses.dataclass
class Rest:
    kind: Literal["rest"]
    id: uuid.UUID
    price: decimal.Decimal
    where: Path


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    def carry(self, items: list[Stop | Rest], tags: set[str] = frozenset()) -> list[Stop | Rest]:
        assert {type(item) for item in items} == {Stop, Rest}
        return items

    @hookimpl
    async def later(self, value):
        import asyncio

        await asyncio.sleep(0)
        return value + self.context.rng.random() * 0

    @hookimpl(wrapper=True)
    def outer(self, value):
        return [each * 2 for each in (yield)]

    @hookimpl
    def call_back(self, value):
        return self.context.call("later", value=value)

    @hookimpl
    def odd(self):
        return object()

    @hookimpl
    def bad(self):
        import attrs
"""


class BareHooks:
    hookspec = nx.HookspecMarker("envs")

    @hookspec
    def carry(self, items): ...
    @hookspec
    def later(self, value): ...
    @hookspec
    def outer(self, value): ...
    @hookspec
    def call_back(self, value): ...
    @hookspec
    def odd(self): ...
    @hookspec
    def bad(self): ...


def test_a_worker_needs_none_of_its_plugins_libraries(confinement: None, tmp_path: Path) -> None:
    """In an environment without a single distribution, everything that a worker does works.

    Whatever of the runtime imported one of its libraries later than it was set aside fails here.
    """
    hooks = ["carry", "later", "outer", "call_back", "odd", "bad"]
    plugin = write_plugin(
        tmp_path,
        "p.bare",
        BARE,
        hooks=hooks,
        requires=["later"],
        environment={"python": ">=3.11"},
    )
    store = installed(tmp_path / "store", plugin)
    stop = {"kind": "stop", "at": "2026-01-01T00:00:00Z", "mood": "calm"}
    rest = {
        "kind": "rest",
        "id": "12345678-1234-5678-1234-567812345678",
        "price": "1.50",
        "where": "/tmp",
    }
    with kernel(tmp_path / "data", store, plugin, specs=[BareHooks]) as running:
        (carried,) = running.call("carry", items=[stop, rest]).unwrap()
        assert carried == [{**stop, "at": "2026-01-01T00:00:00+00:00"}, rest]
        assert running.call("later", value=3).unwrap() == [3]
        assert running.call("call_back", value=4).unwrap() == [[4]]
        assert running.call("outer", value=1).unwrap() == []
        assert [o.error.code for o in running.call("odd") if o.error] == ["contract.output"]
        assert [o.error.code for o in running.call("carry", items=[1]) if o.error] == [
            "provider.not_applicable"
        ]
        (missing,) = running.call("bad")
        assert missing.error is not None
        assert "No module named 'attrs'" in missing.error.message


def test_the_codec_of_the_worker_and_of_the_plugin_are_two(
    confinement: None, tmp_path: Path
) -> None:
    """Compiled libraries that the worker itself speaks through can be older ones in the plugin."""
    code = """
import importlib.metadata, cattrs, msgspec
import nxkernel as nx

class Plugin:
    @nx.HookimplMarker("envs")
    def tell(self):
        point = msgspec.defstruct("Point", [("x", int)])
        data = msgspec.msgpack.encode(point(3))
        names = ("cattrs", "msgspec")
        versions = {name: importlib.metadata.version(name) for name in names}
        return {**versions, "module": msgspec.__version__,
                "read": msgspec.msgpack.decode(data, type=point).x,
                "structured": cattrs.structure(["1"], list[int])}
"""
    plugin = write_plugin(
        tmp_path,
        "p.codec",
        code,
        hooks=["tell"],
        environment={"requirements": [older("msgspec"), "cattrs==23.1.2"]},
    )
    store = installed(tmp_path / "store", plugin)
    with kernel(tmp_path / "data", store, plugin) as running:
        (told,) = running.call("tell").unwrap()
    assert told["msgspec"] == told["module"] != importlib.metadata.version("msgspec")
    assert told["cattrs"] == "23.1.2"
    assert (told["read"], told["structured"]) == (3, [1])
    assert "msgspec" in RUNTIME


# -- what disables it --------------------------------------------------------------------------


def test_a_plugin_whose_environment_is_not_installed_is_disabled(
    confinement: None, tmp_path: Path
) -> None:
    """Nothing is built at run time; the message has the command, and the others run."""
    own = write_plugin(tmp_path / "plugins", "p.own", environment={"requirements": ["attrs"]})
    ordinary = write_plugin(tmp_path / "plugins", "p.ordinary")
    with kernel(tmp_path / "data", tmp_path / "store", own.parent) as running:
        error = running.plugins["p.own"].error
        assert error is not None
        assert error.code == "environment.missing"
        assert error.message == (
            f"p.own: its environment is not installed; run `nxkernel plugins install {own.parent}`"
        )
        assert running.plugins[ordinary.name].error is None
    assert not (tmp_path / "store").exists()


def test_a_changed_environment_disables_the_plugin(
    confinement: None, folder: Path, store: Path, plugins: dict[str, Path], tmp_path: Path
) -> None:
    """What is checked is what runs: a byte that was changed since is never imported."""
    import shutil

    copy = tmp_path / "store"
    shutil.copytree(store, copy, symlinks=True)
    for path in copy.glob("environments/*/lib/*/site-packages/attr/_version_info.py"):
        path.chmod(0o644)
        path.write_text(path.read_text() + "\n")
    with kernel(tmp_path / "data", copy, plugins[OLD]) as running:
        error = running.plugins[OLD].error
        assert error is not None
        assert error.code == "environment.changed"
        assert "attr/_version_info.py was changed" in error.message


def test_a_lockfile_holds_the_libraries_too(
    confinement: None, store: Path, plugins: dict[str, Path], tmp_path: Path
) -> None:
    """A plugin whose environment holds other libraries than were reviewed does not run."""
    manifest = nx.discover(plugins[OLD])[0].manifest
    assert manifest is not None
    admitted = CodeStore(tmp_path / "code").admit(manifest.folder)
    abi, lock = here().abi, tmp_path / "nxkernel.lock"
    found = EnvironmentStore(store, abi).find(manifest.environment)
    assert found is not None
    recorded: list[tuple[dict[str, Digest], str]] = [
        ({abi: found.digest}, ""),
        ({abi: Digest("sha256:" + "0" * 64)}, "holds other libraries"),
        ({"cpython-399": found.digest}, f"for {abi} is not in the lockfile"),
    ]
    for number, (environments, problem) in enumerate(recorded):
        entry = lock_entry(manifest, admitted, nx.Grant(), environments=environments)
        write_lock(lock, Lock(plugins={manifest.id: entry}))
        data = tmp_path / str(number)
        with kernel(data, store, plugins[OLD], lock=lock) as running:
            error = running.plugins[OLD].error
            assert (error.code if error else "") == ("lock.mismatch" if problem else "")
            assert problem in (error.message if error else "")
