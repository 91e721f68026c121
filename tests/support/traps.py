"""Plugins whose every file leaves a mark where it is executed, and a watch over one process.

A mark is a line in a file: the id of the process and the name of the trap. A confined worker cannot
write it, so whoever finds his own id there has executed a plugin's code.
"""

from __future__ import annotations

import compileall
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

__all__ = ["PLUGIN_IDS", "Watch", "distribution", "marks", "plugins"]

#: Runs wherever the file is imported, executed as a script, or named by ``site``.
_TRAP = """\
import os as _os
def _mark(name):
    try:
        with open({marks!r}, "a") as file:
            file.write(f"{{_os.getpid()}} {{name}}\\n")
    except OSError:
        pass
_mark({name!r})
"""
#: Modules that our own code, the standard library's or an interpreter's start would import by name.
_SHADOWS = (
    "__init__ __main__ conftest sitecustomize usercustomize setup json attrs attr msgspec pluggy "
    "nxkernel nxkernel_cli typing inspect traceback linecache tomllib jsonschema settings readline"
).split()
_CODE = """\
import nxkernel as nx

hookimpl = nx.HookimplMarker("traps")


class Hostile(Exception):
    def __str__(self):
        _mark("str")
        return "hostile"

    def __repr__(self):
        _mark("repr")
        return "hostile"

    def __reduce__(self):
        _mark("reduce")
        return _mark, ("unpickled",)

    @property
    def __cause__(self):
        _mark("cause")

    @property
    def __notes__(self):
        _mark("notes")
        return ["a note"]


class Odd:
    def __reduce__(self):
        return _mark, ("unpickled",)

    def __getattr__(self, name):
        _mark("getattr of a value")
        raise AttributeError(name)


class Plugin:
    def __init__(self):
        _mark("init")

    @hookimpl
    def act(self, value: "_mark('annotation')" = None) -> "__import__('plugin')._mark('return')":
        _mark("act")
        if value == "raise":
            raise Hostile(Odd())
        if value == "odd":
            return Odd()
        return value


def __getattr__(name):
    _mark("getattr of the module")
    raise AttributeError(name)
"""
_MANIFEST = """\
schema_version = 1
id = "{plugin}"
version = "1.0"
entrypoint = "plugin:Plugin"
hooks = ["act"]
"""
_SETTINGS = """
[settings.schema]
type = "object"
{schema}
"""
_CONTRACT = """
[contracts.act.output]
{schema}
"""
#: name -> what follows in its manifest. None of it may be executed, fetched or waited for.
_MORE = {
    "sound": "",
    "python_tag": _SETTINGS.format(schema='title = "!!python/object/apply:os.system [true]"'),
    "remote_ref": _SETTINGS.format(schema='"$ref" = "https://example.invalid/schema.json"'),
    "file_ref": _SETTINGS.format(schema='"$ref" = "file:///etc/passwd"'),
    "catastrophic": _CONTRACT.format(schema='type = "string"\npattern = "^(a+)+$"'),
    "escaping": '[settings]\nschema = "../../../../etc/passwd"\n',
    "absolute": '[settings]\nschema = "/etc/passwd"\n',
    "piped": '[settings]\nschema = "pipe.json"\n',
    "python_schema": '[settings]\nschema = "plugin.py"\n',
}
PLUGIN_IDS = tuple(f"traps.{name}" for name in _MORE)


def trap(marks: Path, name: str) -> str:
    """Return code that leaves the mark *name*."""
    return _TRAP.format(marks=str(marks), name=name)


def plugins(folder: Path, marks: Path) -> Path:
    """Write the plugins into *folder*; return it."""
    for name, more in _MORE.items():
        place = folder / name
        _populate(place, marks)
        (place / "plugin.toml").write_text(_MANIFEST.format(plugin=f"traps.{name}") + more)
    os.mkfifo(folder / "piped" / "pipe.json")
    _odd_manifests(folder, marks)
    return folder


def _populate(place: Path, marks: Path) -> None:
    place.mkdir(parents=True)
    (place / "plugin.py").write_text(trap(marks, "plugin") + _CODE)
    for shadow in _SHADOWS:
        (place / f"{shadow}.py").write_text(trap(marks, shadow))
    (place / "hostile.pth").write_text("import plugin; plugin._mark('pth')\n")
    # Compiled alone: there is no source beside it to compare.
    (place / "compiled.py").write_text(trap(marks, "compiled"))
    compileall.compile_file(str(place / "compiled.py"), quiet=2, legacy=True)
    (place / "compiled.py").unlink()
    compileall.compile_dir(str(place), quiet=2)  # and __pycache__


def _odd_manifests(folder: Path, marks: Path) -> None:
    """Folders whose manifest is no file that one could read to its end."""
    for name in ("fifo", "link", "huge", "device", "python"):
        _populate(folder / f"odd_{name}", marks)
    os.mkfifo(folder / "odd_fifo" / "plugin.toml")
    (folder / "odd_link" / "plugin.toml").symlink_to("/etc/passwd")
    (folder / "odd_huge" / "plugin.toml").write_bytes(b"# " + b"x" * (1 << 20))
    (folder / "odd_device" / "plugin.toml").symlink_to("/dev/zero")
    (folder / "odd_python" / "plugin.json").write_text("__import__('plugin')")


def distribution(site: Path, marks: Path) -> None:
    """Install distributions into *site* whose entry points would run code if anybody loaded them.

    One is an ordinary installation, one is editable: its package lies elsewhere, named by a path
    in a ``.pth`` file.
    """
    _populate(site / "trap_installed", marks)
    _populate(site / "sources" / "trap_editable", marks)
    for package in (site / "trap_installed", site / "sources" / "trap_editable"):
        manifest = _MANIFEST.format(plugin=package.name.replace("trap_", "traps."))
        (package / "plugin.toml").write_text(manifest)
    (site / "editable.pth").write_text(f"{site / 'sources'}\n")
    _metadata(
        site / "trap_installed-1.0.dist-info",
        [*_listed(site / "trap_installed"), "../../../etc/passwd"],
        installed="trap_installed:plugin.toml",
        attribute="trap_installed:Plugin",
        module="trap_installed",
        deeper="trap_installed.plugin:plugin.toml",
        itself="__main__:plugin.toml",
        expression="trap_installed:plugin.toml[__import__('trap_installed')]",
    )
    _metadata(
        site / "trap_editable-1.0.dist-info", ["editable.pth"], editable="trap_editable:plugin.toml"
    )


def _listed(package: Path) -> list[str]:
    """The files of *package*, by their paths in the folder that it is in."""
    files = (path for path in package.rglob("*") if path.is_file())
    return sorted(path.relative_to(package.parent).as_posix() for path in files)


def _metadata(folder: Path, files: Sequence[str], **entries: str) -> None:
    folder.mkdir()
    name = folder.name.partition("-")[0]
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    lines = [f"{key} = {value}\n" for key, value in entries.items()]
    (folder / "entry_points.txt").write_text("[nxkernel.plugins]\n" + "".join(lines))


def marks(path: Path, pid: int) -> list[str]:
    """Return the traps that the process *pid* went into."""
    if not path.exists():
        return []
    found = (line.split(" ", 1) for line in path.read_text().splitlines())
    return sorted({name for owner, name in found if int(owner) == pid})


#: What happens when code is found, read in, executed, or handed to another program.
_EVENTS = frozenset(
    {
        *("compile", "exec", "import", "ctypes.dlopen", "pickle.find_class"),
        *("os.exec", "os.posix_spawn", "os.system", "subprocess.Popen"),
    }
)

#: Modules that nobody else has.
_MODULES = frozenset({"compiled", "plugin", "trap_editable", "trap_installed"})


class Watch:
    """Records whatever this process executes of *folders*; a hook like this cannot be removed."""

    def __init__(self, *folders: Path) -> None:
        self._below = tuple(f"{os.path.realpath(folder)}{os.sep}" for folder in folders)
        self._before = set(sys.modules)
        #: Name of the event, and the file.
        self.seen: list[tuple[str, str]] = []
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import":
            # The rest of what it tells is the whole search path.
            arguments = arguments[:2]
            self.seen += [(event, name) for name in arguments[:1] if name in _MODULES]
        if event in _EVENTS:
            self.seen += [(event, path) for path in _paths(arguments) if self._is_theirs(path)]

    def _is_theirs(self, path: str) -> bool:
        return path.startswith(self._below)

    def modules(self) -> list[str]:
        """Return the modules that came meanwhile from the folders."""
        new = (sys.modules[name] for name in sorted(set(sys.modules) - self._before))
        files = ((each.__name__, getattr(each, "__file__", None) or "") for each in new)
        return [name for name, file in files if file and self._is_theirs(os.path.realpath(file))]


def _paths(arguments: Sequence[Any]) -> Iterator[str]:
    for each in arguments:
        if isinstance(each, CodeType):
            yield each.co_filename
        elif isinstance(each, bytes):
            yield os.fsdecode(each)
        elif isinstance(each, str):
            yield each
        elif isinstance(each, list | tuple):
            yield from _paths([part for part in each if isinstance(part, str)])
