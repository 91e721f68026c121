"""``nxkernel init plugin``: what it writes, and what it refuses to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.plugins.manifest import load_manifest
from tests.unit.cli.conftest import run


def test_the_manifest_is_valid_and_says_what_was_asked(tmp_path: Path) -> None:
    """Id, entry point, hook and schemas fit together."""
    shown = run(
        *("init", "plugin", "my.words", "--dir", tmp_path),
        *("--app-project", "screenmem", "--hook", "read_tokens", "--json"),
    )
    assert shown.code == 0
    assert shown.data["files"] == [
        "README.md",
        "examples/texts.json",
        "my_words.py",
        "plugin.toml",
        "read_tokens.output.schema.json",
        "settings.schema.json",
        "test_my_words.py",
    ]
    manifest = load_manifest(tmp_path / "my_words")
    assert (manifest.id, manifest.entrypoint) == ("my.words", "my_words:Plugin")
    assert list(manifest.contracts) == ["read_tokens"]
    assert 'HookimplMarker("screenmem")' in (tmp_path / "my_words" / "my_words.py").read_text()


def test_no_word_of_the_template_is_left(tmp_path: Path) -> None:
    """Every place that has to be filled is filled."""
    run("init", "plugin", "words", "--dir", tmp_path)
    for path in (tmp_path / "words").rglob("*"):
        assert "template" not in path.name + (path.read_text() if path.is_file() else "")


def test_it_makes_missing_folders_and_prints_each_file(tmp_path: Path) -> None:
    """The folder of plugins need not exist."""
    shown = run("init", "plugin", "words", "--dir", tmp_path / "a" / "b")
    paths = [Path(line) for line in shown.out.splitlines()]
    assert len(paths) == 7
    assert all(path.is_file() for path in paths)
    assert "python -m pytest" in shown.err


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    """A folder that exists is left as it is."""
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "mine.txt").write_text("mine")
    shown = run("init", "plugin", "words", "--dir", tmp_path)
    assert shown.code == 1
    assert "words exists; nothing was written" in shown.err
    assert [path.name for path in (tmp_path / "words").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["A"], "no plugin id"),
        (["a b"], "no plugin id"),
        (["../up"], "no plugin id"),
        (["a..b"], "no plugin id"),
        (["a" * 65], "no plugin id"),
        (["json"], "module 'json' exists already"),
        (["pluggy"], "module 'pluggy' exists already"),
        (["class"], "module 'class' exists already"),
        (["ok", "--hook", "not a name"], "--hook"),
        (["ok", "--hook", "class"], "--hook"),
        (["ok", "--app-project", 'x"; import os'], "--app-project"),
    ],
)
def test_names_that_cannot_work_are_refused(words: list[str], reason: str, tmp_path: Path) -> None:
    """Nothing is written under a name that a manifest or Python would refuse."""
    shown = run("init", "plugin", *words, "--dir", tmp_path)
    assert shown.code == 2
    assert reason in shown.err
    assert list(tmp_path.iterdir()) == []
