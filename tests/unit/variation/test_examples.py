"""Examples: what an author may write beside the manifest, and what is said of everything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from nxkernel.plugins.manifest import load_manifest
from nxkernel.variation.examples import read_examples

ROOT = Path(__file__).resolve().parents[3]


def plugin(place: Path, **files: Any) -> Path:
    """A plugin's folder with these examples; bytes are written as they are."""
    folder = place / "mine" / "examples"
    folder.mkdir(parents=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder.parent


def test_a_file_is_a_call_or_a_list_of_them(tmp_path: Path) -> None:
    """In the order of the files' names; each has a name of its own."""
    folder = plugin(
        tmp_path,
        b__json={"hook": "say", "arguments": {"text": "b"}, "key": "doc-1"},
        a__json=[{"hook": "say", "arguments": {"text": "a"}}, {"hook": "hush"}],
    )
    calls = read_examples(folder).calls
    assert [(c.name, c.hook, dict(c.arguments), c.key) for c in calls] == [
        ("a[0]", "say", {"text": "a"}, None),
        ("a[1]", "hush", {}, None),
        ("b", "say", {"text": "b"}, "doc-1"),
    ]


def test_bytes_come_from_files_beside_them(tmp_path: Path) -> None:
    """As bytes or as a blob, however deep they lie."""
    arguments = {"pages": [{"image": {"$file": "page.png"}}], "raw": {"$blob": "page.png"}}
    typed = {"$blob": "page.png", "media": "image/png"}
    folder = plugin(
        tmp_path,
        read__json={"hook": "read", "arguments": {**arguments, "typed": typed}},
        page__png=b"\x89PNG",
    )
    (call,) = read_examples(folder).calls
    assert call.arguments["pages"] == [{"image": b"\x89PNG"}]
    assert call.arguments["raw"] == nx.Blob(b"\x89PNG")
    assert call.arguments["typed"] == nx.Blob(b"\x89PNG", "image/png")


def test_settings_and_answers_come_along(tmp_path: Path) -> None:
    """A setting may name the examples' own folder; an answer is whatever the plugin is told."""
    answer = {"arguments": ["query"], "value": [{"frame": 1}]}
    folder = plugin(
        tmp_path,
        settings__json={"folder": "{media_dir}/pages", "most": 3},
        find__json={"hook": "find", "answers": {"search": answer}},
    )
    examples = read_examples(folder)
    assert examples.settings == {"folder": f"{folder}/examples/pages", "most": 3}
    (call,) = examples.calls
    assert call.answers["search"].arguments == ("query",)
    assert call.answers["search"].value == [{"frame": 1}]


def test_there_may_be_none(tmp_path: Path) -> None:
    """A plugin without the folder is a plugin."""
    assert read_examples(tmp_path).calls == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is not valid JSON"),
        ({"hok": "say"}, r"\[0\].*hok"),
        ({"hook": "say", "arguments": [1]}, "arguments"),
        ({"hook": "no name"}, "hook"),
        ([], "it: "),
        ({"hook": "say", "arguments": {"x": {"$file": "../secret"}}}, "'../secret' is not a plain"),
        ({"hook": "say", "arguments": {"x": {"$file": "none.png"}}}, "'none.png' does not exist"),
    ],
    ids=["syntax", "key", "arguments", "hook", "empty", "outside", "absent"],
)
def test_what_is_no_example_is_refused(tmp_path: Path, content: Any, reason: str) -> None:
    """With the file and the place in it."""
    folder = plugin(tmp_path, bad__json=content)
    with pytest.raises(nx.ManifestInvalid, match=f"mine/examples/bad.json: .*{reason}") as caught:
        read_examples(folder)
    assert caught.value.code == "manifest.examples"


@pytest.mark.parametrize(
    "folder",
    sorted(
        str(path.parent.relative_to(ROOT)) for path in ROOT.glob("examples/*/plugins/*/examples")
    ),
)
def test_the_shipped_plugins_bring_examples(folder: str) -> None:
    """At least two calls each, of hooks that they implement: one call alone says little."""
    plugin = ROOT / folder
    calls = read_examples(plugin).calls
    hooks = {entry.hook for entry in load_manifest(plugin).hooks}
    assert len(calls) >= 2
    assert {call.hook for call in calls} <= hooks
