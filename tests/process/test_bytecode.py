"""A plugin is compiled once, by a worker that ran none of it, and nothing else is loaded."""

from __future__ import annotations

import importlib.util
import marshal
import os
import signal
import sys
from pathlib import Path

import pytest

import nxkernel as nx
from tests.support.zoo import SOON_S, build, eventually

pytestmark = pytest.mark.usefixtures("confinement")

MANIFEST = """\
schema_version = 1
id = "compiled"
version = "1"
entrypoint = "plugin:Plugin"
hooks = ["echo"]
"""
PLUGIN = """\
import nxkernel as nx
from pack.core import VALUE

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl
    def echo(self, value):
        {body}
"""
#: What stands in a verified copy when somebody has changed it after the check.
SWAPPED = "raise SystemExit('compiled again')\n"


def plugin(place: Path, body: str = "return VALUE", **more: str) -> Path:
    """Write a plugin with a package, and *more* modules beside it."""
    folder = place / "compiled"
    (folder / "pack").mkdir(parents=True)
    (folder / "plugin.toml").write_text(MANIFEST)
    (folder / "plugin.py").write_text(PLUGIN.format(body=body))
    (folder / "pack" / "core.py").write_text("VALUE = 'good'\n")
    for name, text in more.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def compiled(data: Path) -> list[Path]:
    """Return the files of byte code below *data*."""
    return sorted((data / "cache" / "bytecode").rglob("*.bytecode"))


def swap_copies(data: Path) -> None:
    """Change every source of the verified copy, as nobody may."""
    for path in (data / "cache" / "code").rglob("*.py"):
        path.chmod(0o600)
        path.write_text(SWAPPED)


def test_second_start_compiles_nothing(tmp_path: Path) -> None:
    """A worker that replaces another one runs what that one compiled, whatever the sources say."""
    with build(tmp_path / "data", folders=[plugin(tmp_path)], middleware=[]) as kernel:
        assert kernel.hook.echo(value=1) == ["good"]
        swap_copies(tmp_path / "data")
        os.kill(kernel.plugins["compiled"].pid or 0, signal.SIGKILL)
        eventually(lambda: kernel.call("echo", value=1).value == ["good"], "it started again")
        assert kernel.plugins["compiled"].starts == 2


def test_next_boot_compiles_nothing(tmp_path: Path) -> None:
    """What was compiled in one run serves the next one; it is made once."""
    folder, data = plugin(tmp_path), tmp_path / "data"
    with build(data, folders=[folder], middleware=[]):
        pass
    before = [path.stat().st_ino for path in compiled(data)]
    assert len(before) == 2
    with build(data, folders=[folder], middleware=[]) as kernel:
        assert kernel.plugins["compiled"].starts == 0
        swap_copies(data)
        assert kernel.hook.echo(value=1) == ["good"]
    assert [path.stat().st_ino for path in compiled(data)] == before


def test_changed_byte_code_is_not_loaded(tmp_path: Path) -> None:
    """It is checked before each boot like the copies, and compiled anew if it is not right."""
    folder, data = plugin(tmp_path), tmp_path / "data"
    with build(data, folders=[folder], middleware=[]):
        pass
    for path in compiled(data):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes().replace(b"good", b"evil"))
        path.chmod(0o444)
    with build(data, folders=[folder], middleware=[]) as kernel:
        assert kernel.hook.echo(value=1) == ["good"]
    assert b"good" in b"".join(path.read_bytes() for path in compiled(data))


def planted(source: str) -> bytes:
    """Return byte code as Python would take it, with no word of what it was made of."""
    code = marshal.dumps(compile(source, "core.py", "exec"))
    return importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + code


def test_byte_code_that_a_plugin_brings_is_not_loaded(tmp_path: Path) -> None:
    """Neither beside its source, nor in place of one: nobody has reviewed it."""
    folder = plugin(tmp_path, "import only; return only.VALUE")
    evil = planted("VALUE = 'evil'")
    cached = Path(importlib.util.cache_from_source(str(folder / "pack" / "core.py")))
    cached.parent.mkdir()
    cached.write_bytes(evil)
    (folder / "pack" / "core.pyc").write_bytes(evil)
    (folder / "only.pyc").write_bytes(evil)
    with build(tmp_path / "data", folders=[folder], middleware=[]) as kernel:
        (outcome,) = kernel.call("echo", value=1).outcomes
    assert outcome.error is not None
    assert "No module named 'only'" in outcome.error.message


def test_no_plugin_writes_its_code(tmp_path: Path) -> None:
    """Copies and byte code are closed to their own plugin, whatever modes or owner say."""
    body = """\
import os, sys
        found = {}
        here = os.path.dirname(__file__)
        for place in (here, os.path.join(os.path.dirname(here), "..", "bytecode"), value):
            for name, flags in (("plugin.py", os.O_WRONLY), ("new.py", os.O_CREAT | os.O_WRONLY)):
                try:
                    os.close(os.open(os.path.join(place, name), flags))
                    found[place + name] = "written"
                except OSError as error:
                    found[place + name] = type(error).__name__
        return sorted(set(found.values()))"""
    folder, data = plugin(tmp_path, body), tmp_path / "data"
    with build(data, folders=[folder], middleware=[]) as kernel:
        kernel.call("echo", value="/nowhere")
        place = str(compiled(data)[0].parent)
        (found,) = kernel.hook.echo(value=place)
    assert "written" not in found
    assert "PermissionError" in found


#: What a compiler can be hurt with. None of it is imported.
HOSTILE = {
    "parentheses": "x = " + "(" * 100_000 + ")" * 100_000,
    "signs": "x = " + "-" * 100_000 + "1",
    "attributes": "x = a" + ".b" * 100_000,
    "sums": "x = " + "+".join(["1"] * 100_000),
    "blocks": "".join(" " * n + "if 1:\n" for n in range(2000)) + " " * 2000 + "pass",
    "list": "x = [" + "0," * 1_500_000 + "]",
    "number": "x = " + "9" * 1_000_000,
    "power": "x = 10 ** 10 ** 10",
    "shift": "x = 1 << (1 << 40)",
    "repeat": "x = 'a' * 10 ** 12",
    "null": "x = 1\0",
    "encoding": "# coding: rot13\nk = 1",
    "warning": "x = 1 is 1",
    "not Python": "print 'hello'",
}


def test_what_does_not_compile_and_is_not_imported_harms_nobody(tmp_path: Path) -> None:
    """Old code, templates and traps lie about in packages; the plugin runs beside them."""
    folder = plugin(tmp_path)
    for number, name in enumerate(sorted(HOSTILE)):
        (folder / f"hostile_{number:02d}.py").write_text(HOSTILE[name])
    with build(tmp_path / "data", folders=[folder], middleware=[]) as kernel:
        assert kernel.hook.echo(value=1) == ["good"]
        assert "SyntaxWarning" not in kernel.plugins["compiled"].log


@pytest.mark.parametrize("name", ["parentheses", "not Python", "null", "signs"])
def test_what_does_not_compile_and_is_imported_says_so(tmp_path: Path, name: str) -> None:
    """The plugin is disabled with the import's own error, which names the file."""
    folder = plugin(tmp_path, hostile=HOSTILE[name])
    (folder / "pack" / "core.py").write_text("import hostile\n")
    with build(tmp_path / "data", folders=[folder], middleware=[]) as kernel:
        problem = kernel.plugins["compiled"].error
    assert problem is not None
    assert problem.code in ("plugin.start", "plugin.crashed", "plugin.limit"), problem
    assert "compiled" in problem.message


def test_a_compiler_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """Within the time for a start, with the name of the file."""
    folder = plugin(tmp_path, aaa="x = [1]\n" * 400_000)
    hosting = nx.Hosting(start_timeout_s=SOON_S)
    with build(tmp_path / "data", folders=[folder], middleware=[], hosting=hosting) as kernel:
        problem = kernel.plugins["compiled"].error
    assert problem is not None
    assert "while aaa.py was compiled" in problem.message


def test_tracebacks_name_the_plugins_files(tmp_path: Path) -> None:
    """Compiled here or there, code says where it stands."""
    folder, data = plugin(tmp_path, "raise ValueError(__file__)"), tmp_path / "data"
    for _ in range(2):
        with build(data, folders=[folder], middleware=[]) as kernel:
            (outcome,) = kernel.call("echo", value=1).outcomes
            assert outcome.error is not None
            assert "plugin.py" in str(outcome.error.details)
            assert str(data) not in outcome.error.message.replace(str(data / "cache" / "code"), "")


def test_resources_and_data_files_are_found_beside_the_code(tmp_path: Path) -> None:
    """By the library's own ways: code that is loaded from elsewhere still lies in the copy."""
    body = """\
import importlib.resources, inspect, pkgutil, pack, pack.core
        texts = [
            importlib.resources.files(pack).joinpath("words.txt").read_text(),
            pkgutil.get_data("pack", "words.txt").decode(),
            open(os.path.join(os.path.dirname(__file__), "pack", "words.txt")).read(),
        ]
        return [*texts, inspect.getsource(pack.core)]"""
    folder = plugin(tmp_path, body)
    (folder / "plugin.py").write_text("import os\n" + (folder / "plugin.py").read_text())
    (folder / "pack" / "__init__.py").write_text("")
    (folder / "pack" / "words.txt").write_text("words")
    for _ in range(2):
        with build(tmp_path / "data", folders=[folder], middleware=[]) as kernel:
            assert kernel.hook.echo(value=1) == [["words"] * 3 + ["VALUE = 'good'\n"]]


def test_compiled_extensions_load_from_the_copy(tmp_path: Path) -> None:
    """A shared library of the interpreter's own, as a module of the plugin's: a real file."""
    names = ("_json", "_bisect", "_heapq", "_queue", "_random", "_csv")
    specs = filter(None, map(importlib.util.find_spec, names))
    source = next(Path(spec.origin) for spec in specs if spec.has_location and spec.origin)
    module = source.name.partition(".")[0]
    body = f"import pack.{module} as extension; return extension.__file__"
    folder = plugin(tmp_path, body)
    (folder / "pack" / source.name).write_bytes(source.read_bytes())
    with build(tmp_path / "data", folders=[folder], middleware=[]) as kernel:
        (place,) = kernel.hook.echo(value=1)
    assert place.startswith(str(tmp_path / "data" / "cache" / "code"))
    assert place.endswith(source.name)


def test_another_interpreter_has_byte_code_of_its_own(tmp_path: Path) -> None:
    """The folder is named by code and interpreter: none reads what another one made."""
    with build(tmp_path / "data", folders=[plugin(tmp_path)], middleware=[]):
        pass
    (place,) = (tmp_path / "data" / "cache" / "bytecode").iterdir()
    assert len(place.name) == 40
    assert sys.version not in place.name
