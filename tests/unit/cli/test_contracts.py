"""``nxkernel contracts``: what is written can be read again, and what it breaks is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

import nxkernel as nx
from tests.unit.cli.conftest import run

hookspec = nx.HookspecMarker("theproject")


@attrs.frozen
class Token:
    text: str


class Specs:
    @hookspec
    def read(self, page: int) -> list[Token]:
        """Return the tokens of a page."""
        raise AssertionError

    @hookspec
    def told(self, value):  # type: ignore[no-untyped-def]
        """Say nothing of its types."""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The application that ``--app theapp:kernel`` names; its kernel is never entered."""
    made = nx.Kernel(
        "theproject", specs=[Specs], run=nx.Run.create(tmp_path / "data"), middleware=[]
    )
    module = ModuleType("theapp")
    module.kernel = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "theapp", module)
    return "theapp:kernel"


def exported(app: str, folder: Path) -> Path:
    done = run("contracts", "export", "--app", app, "--to", str(folder))
    assert done.code == 0
    return folder


def test_what_is_exported_is_a_folder_that_contracts_take(app: str, tmp_path: Path) -> None:
    """One file for each side that says something, as ``Contracts(folder)`` reads them."""
    folder = exported(app, tmp_path / "contracts")
    assert sorted(path.name for path in folder.iterdir()) == [
        "read.input.schema.json",
        "read.output.schema.json",
    ]
    written = json.loads((folder / "read.output.schema.json").read_text())
    assert written["items"] == {"$ref": "#/$defs/Token"}
    again = nx.Kernel(
        "theproject",
        specs=[Specs],
        run=nx.Run.create(tmp_path / "more"),
        middleware=[nx.Contracts(folder)],
    )
    assert again.contracts()["read"]["output"] == written


def test_exporting_twice_gives_the_same_bytes(app: str, tmp_path: Path) -> None:
    """So that a version control system shows a change where there is one."""
    first, second = exported(app, tmp_path / "a"), exported(app, tmp_path / "b")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_files_of_other_hooks_are_left_and_named(app: str, tmp_path: Path) -> None:
    """Nothing is deleted."""
    other = tmp_path / "contracts" / "gone.input.schema.json"
    other.parent.mkdir()
    other.write_text("true")
    done = run("contracts", "export", "--app", app, "--to", str(other.parent))
    assert "left   gone.input.schema.json" in done.err
    assert other.read_text() == "true"


def test_export_prints_without_a_folder(app: str) -> None:
    """As JSON either way."""
    shown = json.loads(run("contracts", "export", "--app", app).out)
    asked = json.loads(run("contracts", "export", "--app", app, "--json").out)
    assert asked["contracts"] == shown
    assert sorted(shown["read"]) == ["input", "output"]
    assert shown["told"] == {}


def changed(folder: Path, change: Any) -> Path:
    """A copy of *folder* with another output of the hook ``read``."""
    copy = folder.parent / "changed"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    path = copy / "read.output.schema.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    return copy


def test_a_breaking_change_is_told_apart(app: str, tmp_path: Path) -> None:
    """Exit code 1, with whom it breaks and where."""
    old = exported(app, tmp_path / "old")
    new = changed(old, {"maxItems": 3})
    done = run("contracts", "diff", str(old), str(new))
    assert done.code == 1
    assert "may break: the value itself: maxItems 3 does not follow" in done.out
    (row,) = json.loads(run("contracts", "diff", str(old), str(new), "--json").out)["changes"]
    assert (row["hook"], row["side"], row["breaking"]) == ("read", "output", True)
    assert row["breaks_callers"] is None


def test_a_change_of_words_breaks_nobody(app: str, tmp_path: Path) -> None:
    """It is shown, and the exit code is 0."""
    old = exported(app, tmp_path / "old")
    done = run("contracts", "diff", str(old), str(changed(old, {"title": "Tokens"})))
    assert done.code == 0
    assert done.out.count("fine") == 2
    assert run("contracts", "diff", str(old), str(old)).out.strip() == "no difference"


@pytest.mark.parametrize(
    ("text", "said"), [("{", "not JSON"), ('{"tpye": "string"}', "did you mean 'type'?")]
)
def test_a_bad_file_is_named(app: str, tmp_path: Path, text: str, said: str) -> None:
    """With what is wrong in it, and no traceback."""
    old = exported(app, tmp_path / "old")
    (old / "read.input.schema.json").write_text(text)
    done = run("contracts", "diff", str(old), str(old))
    assert done.code != 0
    assert "read.input.schema.json" in done.err
    assert said in done.err
