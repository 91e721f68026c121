"""A host among traps: does all that a host does with plugins, and tells what it executed of them.

Run as ``python -m tests.support.wary_host FOLDER SITE MARKS DATA MODE``; prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import site
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nxkernel as nx
from nxkernel_cli.main import main as nxkernel_main
from tests.support.traps import Watch, marks

hookspec = nx.HookspecMarker("traps")


class Hooks:
    @hookspec
    def act(self, value: Any) -> Any:
        """Do what the plugin is there for."""


def run(folder: Path, data: Path) -> dict[str, Any]:
    """Discover, boot, call in every way, print the errors, reload, remove, add, close."""
    found = nx.discover(folder, entry_points=True)
    run = nx.Run.create(data)
    kernel = nx.Kernel(
        "traps", specs=[Hooks], run=run, plugins=found, middleware=nx.standard_stack(run)
    )
    codes: dict[str, Any] = {}
    with kernel:
        for value in ("plain", "raise", "odd"):
            result = kernel.call("act", value=value)
            codes[value] = {o.plugin: o.error.code if o.error else "ok" for o in result}
            for outcome in result:
                with contextlib.suppress(nx.NxError):
                    outcome.unwrap()
                    continue
                print_error(outcome.unwrap)
        repr([kernel.plugins, kernel.explain("act")])
        print_error(lambda: kernel.reload("traps.python_schema"))
        (folder / "sound" / "new.py").write_text("reloaded = True")
        kernel.reload("traps.sound")
        codes["reloaded"] = kernel.plugins["traps.sound"].starts
        kernel.remove("traps.editable")
        kernel.add(nx.discover(folder.parent / "site" / "sources" / "trap_editable"))
        codes["found"] = {c.id: c.error.code if c.error else "ok" for c in found}
        codes["errors"] = {n: v.error.code for n, v in kernel.plugins.items() if v.error}
    return codes


def print_error(raises: Callable[[], Any]) -> None:
    """Print a traceback as an application's log would."""
    try:
        raises()
    except nx.NxError as error:
        traceback.print_exception(error, file=io.StringIO())
        repr(error)


def commands(folder: Path, data: Path) -> dict[str, Any]:
    """Run the commands that look at plugins, in the middle of them."""
    os.chdir(folder / "sound")
    lists = {
        "list": ["list", str(folder)],
        "check": ["check", str(folder)],
        "probe": ["check", ".", "--probe", "--project", "traps"],
        "info": ["info", "traps.sound", "."],
        "settings": ["info", "traps.sound", ".", "--settings"],
        "lock": ["lock", ".", "--yes", "--lockfile", str(data / "nxkernel.lock")],
    }
    data.mkdir(parents=True)
    return {name: command(words) for name, words in lists.items()}


def command(words: list[str]) -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            nxkernel_main(["plugins", *words])
        except SystemExit as end:
            return end.code


def control(folder: Path, data: Path) -> dict[str, Any]:
    """Do what must never happen, to show that it would be seen."""
    sys.path.insert(0, str(folder / "sound"))
    __import__("plugin").Plugin().act("plain")
    exec((folder / "sound" / "setup.py").read_text(), {})  # a mark without a file name
    return {}


MODES = {"run": run, "commands": commands, "control": control}

if __name__ == "__main__":
    folder, packages, marked, data = map(Path, sys.argv[1:5])
    site.addsitedir(str(packages))
    watch = Watch(folder, packages, data)
    told = MODES[sys.argv[5]](folder, data)
    facts = {"seen": watch.seen, "modules": watch.modules(), "marks": marks(marked, os.getpid())}
    print(json.dumps({**facts, "told": told}))
