"""Imports under names of their own: found by the plugin, by nobody else, and gone at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nxkernel.errors import PluginDisabled
from nxkernel.host.imports import PrivateImports

#: Takes files by name and an entrypoint; returns what that names.
Loads = Callable[..., Any]


@pytest.fixture
def loads(tmp_path: Path) -> Iterator[Loads]:
    made: list[PrivateImports] = []
    before = set(sys.modules), list(sys.path), list(sys.meta_path), set(sys.path_importer_cache)

    def load(entrypoint: str, **files: str) -> Any:
        folder = tmp_path / str(len(made))
        for name, code in files.items():
            path = folder.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
        made.append(PrivateImports(folder))
        return made[-1].load(entrypoint)

    yield load
    for imports in made:
        imports.unload()
        imports.unload()
    assert not {name for name in sys.modules if name.startswith("_nxkernel_inproc_")}
    assert (sys.path, sys.meta_path) == before[1:3]
    assert not {path for path in sys.path_importer_cache if path.startswith(str(tmp_path))}


def test_two_plugins_have_modules_of_the_same_name(loads: Loads) -> None:
    """Each finds its own ``helper``, also when it imports in a function, later."""
    code = "import helper\ndef name():\n    from helper import NAME\n    return helper.NAME, NAME"
    first = loads("plugin:name", plugin=code, helper="NAME = 'first'")
    second = loads("plugin:name", plugin=code, helper="NAME = 'second'")
    assert (first(), second()) == (("first", "first"), ("second", "second"))


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("import pkg.deep\nX = pkg.deep.X", "deep"),
        ("import pkg.deep as d\nX = d.X", "deep"),
        ("from pkg import deep\nX = deep.X", "deep"),
        ("from pkg.deep import X", "deep"),
        ("from pkg.deep import *", "deep"),
        ("import os.path\nX = os.path.sep", os.sep),
        ("from json import loads\nX = loads('1')", 1),
        ("from pkg.relative import X", "deep"),
    ],
)
def test_every_form_of_import(loads: Loads, code: str, value: object) -> None:
    """As Python has them, from packages of the plugin and from the standard library."""
    found = loads(
        "plugin:X",
        plugin=code,
        pkg____init__="",
        pkg__deep="X = 'deep'",
        pkg__relative="from .deep import X\nfrom pkg import deep",
        json="raise AssertionError",
        os="raise AssertionError",
    )
    assert found == value


def test_nobody_else_finds_them(loads: Loads) -> None:
    """The application's own imports do not see the plugin's folder."""
    loads("plugin", plugin="import only_here", only_here="")
    with pytest.raises(ModuleNotFoundError):
        __import__("only_here")


def test_the_applications_modules_are_found_where_the_plugin_has_none(loads: Loads) -> None:
    """Shared libraries are those of this process."""
    assert loads("plugin:attrs", plugin="import attrs") is sys.modules["attrs"]


def test_a_name_that_nothing_has_is_the_plugins_error(loads: Loads) -> None:
    """As in a worker: ``plugin.start``, with the place in the manifest."""
    with pytest.raises(PluginDisabled, match="entrypoint 'plugin:No': module 'plugin' has no 'No'"):
        loads("plugin:No", plugin="")


def test_no_bytecode_is_written(loads: Loads, tmp_path: Path) -> None:
    """The verified copy stays as it was verified."""
    loads("plugin", plugin="import helper", helper="")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "helper.py",
        "plugin.py",
    ]
