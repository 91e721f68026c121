"""Builds: environments of real wheels by a real pip, from a folder instead of an index."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nxkernel.errors import EnvironmentUnavailable, KernelConfigError
from nxkernel.plugins.environments.build import Builder
from nxkernel.plugins.environments.interpreters import here
from nxkernel.plugins.environments.request import Request
from nxkernel.plugins.environments.store import EnvironmentStore
from nxkernel.plugins.environments.tools import find_tool
from tests.support.wheels import offline, write_wheel

OLD, NEW = Request(requirements=("sample==1.0",)), Request(requirements=("sample==2.0",))
Makes = Callable[..., Builder]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of one library; the newer one comes with a script and needs another."""
    folder = tmp_path_factory.mktemp("wheels")
    write_wheel(folder, "sample", "1.0")
    script = {"sample-2.0.data/scripts/sample": "#!python\nprint('hello')\n"}
    write_wheel(folder, "sample", "2.0", requires=("helper",), **script)
    write_wheel(folder, "helper", "1.0")
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    """A store with both versions, built once; tests work on copies."""
    store = EnvironmentStore(tmp_path_factory.mktemp("stores") / "store", here().abi)
    builder = Builder(store=store, tool=lambda: find_tool(offline(wheels), "pip"))
    for request in (OLD, NEW):
        assert builder.install(request, here())[1]
    return store.root


@pytest.fixture
def store(tmp_path: Path, built: Path) -> EnvironmentStore:
    """A store with both versions in it."""
    shutil.copytree(built, tmp_path / "store", symlinks=True)
    return EnvironmentStore(tmp_path / "store", here().abi)


@pytest.fixture
def empty(tmp_path: Path) -> EnvironmentStore:
    """A store without anything in it."""
    return EnvironmentStore(tmp_path / "empty", here().abi)


@pytest.fixture
def builder(store: EnvironmentStore, wheels: Path) -> Builder:
    """A builder that uses pip and knows nothing but the folder of wheels."""
    return Builder(store=store, tool=lambda: find_tool(offline(wheels), "pip"))


def test_two_versions_of_one_library_lie_side_by_side(builder: Builder) -> None:
    """Each request has its own environment, with what its distributions need."""
    old, _ = builder.install(OLD, here())
    new, _ = builder.install(NEW, here())
    assert [(d.name, d.version) for d in old.distributions] == [("sample", "1.0")]
    assert [(d.name, d.version) for d in new.distributions] == [
        ("helper", "1.0"),
        ("sample", "2.0"),
    ]
    assert (old.site / "sample.py").read_text() == "__version__ = '1.0'\n"
    assert (new.site / "sample.py").read_text() == "__version__ = '2.0'\n"


def test_it_is_a_virtual_environment(builder: Builder) -> None:
    """Its interpreter starts, sees what was installed and nothing else, and writes nothing."""
    new, _ = builder.install(NEW, here())
    code = (
        "import importlib.metadata as m, sample, sys;"
        "print(sample.__version__, m.version('sample'), sys.prefix,"
        " sorted(d.name for d in m.distributions()), [f.name for f in m.files('helper')])"
    )
    done = subprocess.run(
        [new.python, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    files = "['INSTALLER', 'METADATA', 'WHEEL', 'helper.py', 'RECORD']"
    assert done.stdout == f"2.0 2.0 {new.prefix} ['helper', 'sample'] {files}\n"


def test_what_names_a_place_or_a_tool_is_not_in_it(builder: Builder) -> None:
    """Console scripts and installers' notes would give the same wheels different digests."""
    new, _ = builder.install(NEW, here())
    assert sorted(path.name for path in (new.prefix / "bin").iterdir()) == [
        "python",
        "python3",
        here().series,
    ]
    assert not [name for name in new.files if name.endswith(("direct_url.json", "REQUESTED"))]


def test_it_is_closed_to_writing_and_compiled(builder: Builder) -> None:
    """Nothing is compiled at a worker's start, and nothing can be planted by accident."""
    old, _ = builder.install(OLD, here())
    paths = [old.prefix, *old.prefix.rglob("*")]
    assert not [path for path in paths if not path.is_symlink() and path.stat().st_mode & 0o222]
    assert [name for name in old.files if name.endswith(".pyc")]


def test_installing_again_builds_nothing(builder: Builder) -> None:
    """The command can be repeated; what is there and unchanged is kept."""
    first, rebuilt = builder.install(OLD, here())
    assert not rebuilt
    assert builder.install(OLD, here()) == (first, False)


def test_the_digest_is_of_the_wheels_alone(
    builder: Builder, empty: EnvironmentStore, wheels: Path
) -> None:
    """The same wheels in another folder have the same digest: it can be in a lockfile."""
    other = Builder(store=empty, tool=lambda: find_tool(offline(wheels), "pip"))
    old, _ = builder.install(OLD, here())
    new, _ = builder.install(NEW, here())
    same, rebuilt = other.install(OLD, here())
    assert rebuilt
    assert old.digest == same.digest != new.digest


def test_uv_builds_the_very_same_environment(
    builder: Builder, empty: EnvironmentStore, wheels: Path
) -> None:
    """Which tool installed is neither seen by a plugin nor in the digest."""
    environ = offline(wheels)
    assert find_tool(environ).name == "uv"
    other = Builder(store=empty, tool=lambda: find_tool(environ))
    by_pip, _ = builder.install(NEW, here())
    by_uv, _ = other.install(NEW, here())
    assert by_uv.digest == by_pip.digest
    assert by_uv.files == by_pip.files


def test_an_environment_without_requirements_needs_no_tool(empty: EnvironmentStore) -> None:
    """A plugin may want another interpreter and no libraries at all."""

    def no_tool():  # type: ignore[no-untyped-def]
        raise AssertionError("asked for a tool")

    bare, _ = Builder(store=empty, tool=no_tool).install(Request(python=">=3.11"), here())
    assert bare.distributions == ()
    assert subprocess.run([bare.python, "-c", ""], check=False).returncode == 0


# -- what can go wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted", ["sample==9.0", "nothing", f"sample==1.0 --hash=sha256:{'0' * 64}"]
)
def test_what_no_wheel_satisfies_is_unresolved(builder: Builder, wanted: str) -> None:
    """A missing version, a missing library and another hash are the requirement's fault."""
    with pytest.raises(EnvironmentUnavailable, match="no set of wheels satisfies") as caught:
        builder.install(Request(requirements=(wanted,)), here())
    assert caught.value.code == "environment.unresolved"
    assert caught.value.details["output"]


def test_requirements_that_exclude_each_other_are_unresolved(builder: Builder) -> None:
    """So is a conflict between them."""
    both = Request(requirements=("sample==1.0", "sample==2.0"))
    with pytest.raises(EnvironmentUnavailable) as caught:
        builder.install(both, here())
    assert caught.value.code == "environment.unresolved"


def test_an_index_that_does_not_answer_is_named_as_that(empty: EnvironmentStore) -> None:
    """A network that is down does not look like a library that is missing."""
    dead = offline(empty.root, PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="1")
    environ = {k: v for k, v in dead.items() if k not in ("PIP_NO_INDEX", "PIP_FIND_LINKS")}
    builder = Builder(store=empty, tool=lambda: find_tool(environ, "pip"))
    with pytest.raises(EnvironmentUnavailable, match="could not reach") as caught:
        builder.install(OLD, here())
    assert caught.value.code == "environment.index"


def test_source_distributions_are_not_built_unless_allowed(builder: Builder, wheels: Path) -> None:
    """Building one runs its code, so it is not taken where a person did not say so."""
    import io
    import tarfile

    ran = wheels / "ran"
    with tarfile.open(wheels / "eager-1.0.tar.gz", "w:gz") as archive:
        files = {
            "setup.py": f"open({str(ran)!r}, 'w').close()\nraise SystemExit(1)\n",
            "PKG-INFO": "Metadata-Version: 2.1\nName: eager\nVersion: 1.0\n",
        }
        for name, text in files.items():
            entry = tarfile.TarInfo(f"eager-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    with pytest.raises(EnvironmentUnavailable) as caught:
        builder.install(Request(requirements=("eager",)), here())
    assert caught.value.code == "environment.unresolved"
    assert "--allow-build" in caught.value.message
    assert not ran.exists()


def test_without_uv_and_pip_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody whose interpreter has no pip learns what to do."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EnvironmentUnavailable, match="built with uv, which is not here") as caught:
        find_tool({"PATH": ""}, "uv")
    assert caught.value.code == "environment.build"


def test_a_failed_build_leaves_nothing(empty: EnvironmentStore, wheels: Path) -> None:
    """Neither a half environment nor a record of one."""
    builder = Builder(store=empty, tool=lambda: find_tool(offline(wheels), "pip"))
    with pytest.raises(EnvironmentUnavailable):
        builder.install(Request(requirements=("nothing",)), here())
    assert list(empty.environments.iterdir()) == []
    assert not (empty.root / "records").exists()


def test_what_an_interrupted_build_left_is_removed(
    builder: Builder, store: EnvironmentStore
) -> None:
    """A build that was killed costs no disk for ever, and stands in nobody's way."""
    left = store.environments / ".build-killed" / "env"
    left.mkdir(parents=True)
    (left / "file").touch()
    left.chmod(0o500)
    builder.install(OLD, here())
    assert [path.name for path in store.environments.iterdir() if path.name[0] == "."] == []


def test_builds_at_the_same_time_end_well(wheels: Path, tmp_path: Path) -> None:
    """Two commands at once: one builds, the other waits and finds it."""
    code = (
        "import sys; from pathlib import Path; import os;"
        "from nxkernel.plugins.environments.build import Builder;"
        "from nxkernel.plugins.environments.interpreters import here;"
        "from nxkernel.plugins.environments.request import Request;"
        "from nxkernel.plugins.environments.store import EnvironmentStore;"
        "from nxkernel.plugins.environments.tools import find_tool;"
        "s = EnvironmentStore(Path(sys.argv[1]), here().abi);"
        "b = Builder(store=s, tool=lambda: find_tool(os.environ, 'pip'));"
        "print(b.install(Request(requirements=('sample==1.0',)), here())[1])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "store")]
    started = [
        subprocess.Popen(command, env=dict(offline(wheels)), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert sorted(each.communicate()[0] for each in started) == ["False\n", "True\n"]


# -- checking before use -------------------------------------------------------------------------


def verified(store: EnvironmentStore, request: Request):  # type: ignore[no-untyped-def]
    return store.verified(request, command="nxkernel plugins install DIR", who="p")


def test_what_was_not_installed_is_missing(empty: EnvironmentStore) -> None:
    """The error has the command to type, and nothing is built instead."""
    with pytest.raises(EnvironmentUnavailable) as caught:
        verified(empty, OLD)
    assert caught.value.code == "environment.missing"
    assert caught.value.message == (
        "p: its environment is not installed; run `nxkernel plugins install DIR`"
    )


def _edit(site: Path) -> None:
    (site / "sample.py").chmod(0o644)
    (site / "sample.py").write_text("__version__ = '6.6'\n")


def _add(site: Path) -> None:
    site.chmod(0o755)
    (site / "json.py").write_text("")
    site.chmod(0o555)


def _remove(site: Path) -> None:
    site.chmod(0o755)
    (site / "sample.py").unlink()
    site.chmod(0o555)


def _compiled(site: Path) -> None:
    (path,) = (site / "__pycache__").glob("sample*.pyc")
    path.chmod(0o644)
    path.write_bytes(b"")


def _link(site: Path) -> None:
    site.chmod(0o755)
    (site / "sample.py").rename(site.parent / "moved.py")
    (site / "sample.py").symlink_to(site.parent / "moved.py")
    site.chmod(0o555)


def _open(site: Path) -> None:
    site.chmod(0o777)


def _configure(site: Path) -> None:
    path = site.parents[2] / "pyvenv.cfg"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("false", "true"))


def _relink(site: Path) -> None:
    folder = site.parents[2] / "bin"
    folder.chmod(0o755)
    (folder / "python").unlink()
    (folder / "python").symlink_to("/bin/sh")
    folder.chmod(0o555)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_edit, "sample.py was changed"),
        (_add, "json.py was added"),
        (_remove, "sample.py is missing"),
        (_compiled, ".pyc was changed"),
        (_link, "sample.py was changed"),
        (_open, "may be written by others"),
        (_configure, "pyvenv.cfg was changed"),
        (_relink, "bin/python was changed"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_changed_environment_is_refused(
    builder: Builder, store: EnvironmentStore, spoil: Callable[[Path], None], named: str
) -> None:
    """What is checked is what runs: a single other byte is found, and the file is named."""
    old, _ = builder.install(OLD, here())
    assert verified(store, OLD) == old
    spoil(old.site)
    with pytest.raises(EnvironmentUnavailable) as caught:
        verified(store, OLD)
    assert caught.value.code == "environment.changed"
    assert named in caught.value.message
    assert str(store.root) not in caught.value.message


def test_installing_again_mends_a_changed_environment(
    builder: Builder, store: EnvironmentStore
) -> None:
    """The command in the error's message is enough."""
    old, _ = builder.install(OLD, here())
    _edit(old.site)
    assert builder.install(OLD, here()) == (old, True)
    assert verified(store, OLD) == old


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": 2}'])
def test_a_record_that_cannot_be_read_is_none(store: EnvironmentStore, text: str) -> None:
    """A half-written or newer record is not guessed at."""
    assert store.find(OLD) is not None
    _write_records(store, text)
    assert store.find(OLD) is None


def test_installing_replaces_a_record_that_cannot_be_read(
    builder: Builder, store: EnvironmentStore
) -> None:
    """The command that made it makes it again."""
    old, _ = builder.install(OLD, here())
    _write_records(store, "")
    assert builder.install(OLD, here())[0] == old


def _write_records(store: EnvironmentStore, text: str) -> None:
    for record in (store.root / "records").iterdir():
        record.write_text(text)


def test_a_record_cannot_lead_out_of_the_store(builder: Builder, store: EnvironmentStore) -> None:
    """A folder that a record names lies among the environments."""
    old, _ = builder.install(OLD, here())
    for record in (store.root / "records").iterdir():
        record.write_text(record.read_text().replace(old.prefix.name, "../elsewhere"))
    assert store.find(OLD) is None


def test_an_interpreter_that_is_gone_is_named(builder: Builder, store: EnvironmentStore) -> None:
    """An upgrade that removed the interpreter is not met as a crash."""
    import attrs

    old, _ = builder.install(OLD, here())
    store.record(attrs.evolve(old, interpreter=attrs.evolve(here(), executable="/gone/python")))
    with pytest.raises(EnvironmentUnavailable) as caught:
        verified(store, OLD)
    assert caught.value.code == "environment.interpreter"


def test_a_store_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    """Whoever can write there decides what plugins run."""
    tmp_path.chmod(0o777)
    with pytest.raises(KernelConfigError, match="writable by nobody else"):
        EnvironmentStore(tmp_path, here().abi)
