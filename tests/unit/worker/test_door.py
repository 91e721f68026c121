"""The door: the runtime keeps its libraries while a plugin imports others of the same names."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from nxkernel.worker import door, zygote

#: Runs in a fresh interpreter: folders "ours" and "theirs" have other versions of one library.
SCRIPT = """
import sys
from pathlib import Path
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
sys.path.insert(0, {tools!r})
import door
opened = door.open_door(Path({package!r}))
sys.path.append({ours!r})
import lib.part, nxkernel, other
opened.set_aside()
sys.path.append({theirs!r})
"""
OURS = {
    "lib/__init__.py": "version = 'ours'\n",
    "lib/part.py": (
        "from . import version\n"
        "def late():\n"
        "    from . import deep, version\n"
        "    import lib, lib.part as part\n"
        "    from lib.deep import fact\n"
        "    return [version, lib.version, part.__name__, fact, deep.fact]\n"
        "def never():\n"
        "    import lib.unloaded\n"
    ),
    "lib/deep.py": "fact = 'deep'\n",
    "lib/unloaded.py": "",
    "other.py": "import lib.deep\n",
    "nxkernel/__init__.py": (
        "def late():\n"
        "    import lib\n"
        "    from json import dumps\n"
        "    import theirs\n"
        "    return [lib.version, dumps(1), theirs.version]\n"
    ),
    "nxkernel/more.py": "import lib\nversion = lib.version\n",
}
THEIRS = {
    "lib/__init__.py": "version = 'theirs'\n",
    "lib/part.py": "def late(): return 'theirs'\n",
    "theirs.py": "version = 'theirs'\n",
}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    for name, files in (("ours", OURS), ("theirs", THEIRS)):
        for path, text in files.items():
            place = tmp_path / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    return {
        "tools": str(Path(door.__file__).parent),
        "package": str(tmp_path / "ours" / "nxkernel"),
        "ours": str(tmp_path / "ours"),
        "theirs": str(tmp_path / "theirs"),
    }


def after(folders: dict[str, str], code: str) -> str:
    """Run *code* after the runtime was set aside; return what it printed."""
    script = SCRIPT.format(**folders) + code
    done = subprocess.run(
        [sys.executable, "-B", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_plugin_imports_its_own(folders: dict[str, str]) -> None:
    """Under the same name there is another module now, with its own parts."""
    code = "import lib, lib.part; print(lib.version, lib.part.late())"
    assert after(folders, code) == "theirs theirs"


def test_the_runtime_keeps_what_it_imported(folders: dict[str, str]) -> None:
    """Imports inside of its functions find what was set aside, in every spelling."""
    code = "mine = opened._aside['lib.part']; import lib; print(mine.late())"
    assert after(folders, code) == "['ours', 'ours', 'lib.part', 'deep', 'deep']"


def test_nxkernel_stays_and_finds_both(folders: dict[str, str]) -> None:
    """Its own late imports are of the runtime where that has them, else of the plugin."""
    code = "print(nxkernel.late()); import nxkernel.more; print(nxkernel.more.version)"
    assert after(folders, code) == "['ours', '1', 'theirs']\nours"


def test_what_was_not_imported_in_time_says_so(folders: dict[str, str]) -> None:
    """A late import of a part that nobody loaded is an error with a name, not the plugin's part."""
    code = (
        "try: opened._aside['lib.part'].never()\n"
        "except ModuleNotFoundError as error: print(error.name, '-', error)"
    )
    expected = "lib.unloaded - 'lib.unloaded' was not imported before the runtime was set aside"
    assert after(folders, code) == expected


def test_what_only_the_runtime_has_is_missing(folders: dict[str, str]) -> None:
    """Neither its modules nor its folders are in the plugin's sight."""
    code = (
        "try: import other\n"
        "except ModuleNotFoundError as error: print(error)\n"
        f"print({folders['ours']!r} in sys.path, [n for n in sys.modules if n == 'other'])"
    )
    assert after(folders, code) == "No module named 'other'\nFalse []"


def test_the_plugin_imports_at_full_speed(folders: dict[str, str]) -> None:
    """Python's own __import__ is in place for everybody but the runtime."""
    code = (
        "import builtins, lib\n"
        "print(builtins.__import__ is opened._import, lib.__builtins__['__import__'] "
        "is builtins.__import__, nxkernel.__builtins__['__import__'] is builtins.__import__)"
    )
    assert after(folders, code) == "True True False"


def test_every_late_import_of_the_worker_is_of_something_loaded() -> None:
    """Whoever adds an import inside of a function has the zygote import it beforehand.

    Files of the runtime cannot be read any more once it was set aside.
    """
    names = [*zygote.PRELOAD, "nxkernel.worker.zygote", "nxkernel.worker.child"]
    code = (
        f"import importlib, json, sys; [importlib.import_module(n) for n in {names!r}];"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = set(json.loads(done.stdout))
    late = {
        (module, name)
        for module in sorted(loaded)
        if module.partition(".")[0] == "nxkernel"
        for name in imports_in_functions(module)
        if name.partition(".")[0] not in sys.stdlib_module_names
    }
    assert any(name.startswith("cattrs") for _, name in late), "nothing was looked at"
    # numpy is the plugin's own, and debugpy is for a person who debugs.
    missing = {pair for pair in late if pair[1] not in loaded}
    assert {name for _, name in missing if name.partition(".")[0] != "nxkernel"} <= {
        "debugpy",
        "numpy",
    }


def imports_in_functions(module: str) -> set[str]:
    """Return what functions of *module* import, by absolute name."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    found: set[str] = set()
    for node in (inner for function in functions for inner in ast.walk(function)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found
