"""The conformance kit: what it says of plugins that are steady, and of those that are not."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

import nxkernel as nx
from nxkernel_cli import determinism
from nxkernel_cli.main import main

#: Dozens of kernels, which a busy machine takes its time for.
pytestmark = pytest.mark.timeout(900)
_HEAD = "import nxkernel as nx\nhookimpl = nx.HookimplMarker('kit')\n"
_BODIES = {
    "steady": """
import hashlib, os
class Plugin:
    def __init__(self, context): self.context = context
    @hookimpl
    def read(self, page, note="none"):
        own = sorted(os.listdir(self.context.settings["folder"]))
        found = self.context.call("look_up", query=note, limit=2)
        return [hashlib.sha256(page["image"]).hexdigest(), own, found, self.context.rng.random(),
                self.context.now().isoformat()]
""",
    "keeps": """
SEEN = []
@hookimpl
def read(note):
    SEEN.append(note)
    return {"note": note, "seen": [len(SEEN)]}
""",
    "tells": """
import os
@hookimpl
def read(note):
    return {"note": note, "where": os.getcwd()}
""",
    "draws": """
import random
@hookimpl
def read(note):
    return random.SystemRandom().random()  # line 7
""",
    "fails": """
@hookimpl
def read(note):
    raise ValueError(f"cannot read {note}")
""",
    "bare": """
@hookimpl
def read(note):
    return note
""",
}
_NOTES = [{"hook": "read", "arguments": {"note": text}} for text in ("one", "two")]


def write(place: Path, name: str) -> None:
    """Write a plugin's folder, with examples for all but `bare`."""
    folder = place / name
    (folder / "examples").mkdir(parents=True)
    more = ""
    if name == "steady":
        more = 'requires = ["look_up"]\n[permissions]\nread = ["{media_dir}"]\n[settings]\nschema'
        more += ' = "settings.schema.json"\n'
        schema = {"type": "object", "properties": {"folder": {"type": "string"}}}
        schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        schema |= {"additionalProperties": False}
        (folder / "settings.schema.json").write_text(json.dumps(schema))
        _examples_of_steady(folder / "examples")
    elif name != "bare":
        (folder / "examples" / "notes.json").write_text(json.dumps(_NOTES))
    entrypoint = "plugin:Plugin" if name == "steady" else "plugin"
    (folder / "plugin.toml").write_text(
        f'schema_version = 1\nid = "kit.{name}"\nversion = "1.0.0"\n'
        f'entrypoint = "{entrypoint}"\nhooks = ["read"]\n{more}'
    )
    (folder / "plugin.py").write_text(_HEAD + _BODIES[name])


def _examples_of_steady(folder: Path) -> None:
    (folder / "page.bin").write_bytes(bytes(range(256)))
    (folder / "settings.json").write_text('{"folder": "{media_dir}"}')
    answer = {"look_up": {"arguments": ["query", "limit"], "value": {"hits": [1, 2]}}}
    page = {"page": {"image": {"$file": "page.bin"}}}
    calls = [
        {"hook": "read", "arguments": page | {"note": note}, "answers": answer, "key": note}
        for note in ("a", "b")
    ]
    (folder / "pages.json").write_text(json.dumps(calls))


@attrs.frozen
class Said:
    """What the kit found, by plugin: for programs, and for people."""

    facts: Mapping[str, dict[str, Any]]
    lines: Mapping[str, str]

    def of(self, name: str) -> dict[str, Any]:
        """The facts of one plugin."""
        return self.facts[f"kit.{name}"]

    def findings(self, name: str) -> list[dict[str, Any]]:
        """What differs of one plugin."""
        return list(self.of(name)["determinism"]["findings"])


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """All plugins checked at once."""
    place = tmp_path_factory.mktemp("kit")
    for name in _BODIES:
        write(place, name)
    found = determinism.checks(nx.discover(place), None)
    lines = {}
    for each in found.values():
        with contextlib.redirect_stdout(io.StringIO()) as out:
            determinism.print_check(each)
        lines[each.id] = out.getvalue()
    return Said({each.id: determinism.check_facts(each) for each in found.values()}, lines)


def test_a_steady_plugin_is_said_to_be_one(said: Said) -> None:
    """With bytes from a file, settings, and answers to what it asks; and it is fine warm."""
    row = said.of("steady")
    assert row["ok"], row["determinism"]
    assert row["determinism"]["state"] == "warm"
    assert row["determinism"]["examples"] == ["pages[0]", "pages[1]"]
    assert {"hash seed", "time zone", "clock", "addresses", "fresh process"} <= set(
        row["determinism"]["varied"]
    )


def test_what_is_kept_from_call_to_call_is_found(said: Said) -> None:
    """With the call that has to come before, the place in the value, and what to do about it."""
    found = {each["call"]: each for each in said.findings("keeps")}
    names = {call: [v["name"] for v in each["variations"]] for call, each in found.items()}
    assert names == {"notes[0]": ["call order"], "notes[1]": ["call order"]}
    last = found["notes[1]"]
    assert (last["path"], last["usual"], last["varied"]) == ("$.seen[0]", "2", "1")
    assert last["needs"] == ["notes[0]"]
    assert 'state = "fresh"' in last["sources"][0]["fix"]
    assert said.of("keeps")["determinism"]["state"] == "fresh"


def test_a_path_in_a_result_is_found(said: Said) -> None:
    """It is the folder, nothing else, and no other call has to be made."""
    for each in said.findings("tells"):
        assert [v["name"] for v in each["variations"]] == ["directory"]
        assert (each["path"], each["needs"], each["smallest"]) == ("$.where", [], True)
        assert each["sources"][0]["held"] == ""
    assert len(said.findings("tells")) == 2
    assert said.of("tells")["determinism"]["state"] == "warm"


def test_what_differs_by_itself_comes_with_what_the_guard_saw(said: Said) -> None:
    """Nothing that was varied is blamed; the line that drew is named."""
    assert [each["variations"] for each in said.findings("draws")] == [[], []]
    (draw,) = said.of("draws")["determinism"]["draws"]
    assert draw == {"function": "random.SystemRandom()", "site": "plugin.py:7"}


def test_an_example_that_fails_is_no_proof(said: Said) -> None:
    """It gives the same error every time, and is wrong all the same."""
    row = said.of("fails")
    assert not row["ok"]
    assert row["determinism"]["findings"] == []
    assert row["determinism"]["failed"][0] == {
        "example": "notes[0]",
        "error": "[plugin.raised] ValueError: cannot read one",
    }


def test_a_plugin_without_examples_is_not_ok(tmp_path: Path) -> None:
    """Nothing was tried, so nothing is known; the command says what to write, and exits with 1."""
    write(tmp_path, "bare")
    words = ["plugins", "check", str(tmp_path), "--determinism"]
    shown = CliRunner().invoke(main, words, prog_name="nxkernel")
    assert shown.exit_code == 1
    assert "wrong kit.bare" in shown.stdout
    assert "no example: write one into examples/NAME.json" in shown.stdout
    told = CliRunner().invoke(main, [*words, "--json"], prog_name="nxkernel")
    assert told.exit_code == 1
    (row,) = json.loads(told.stdout)["plugins"]
    assert (row["ok"], row["determinism"]["examples"]) == (False, [])


def test_people_are_told_in_plain_words(said: Said) -> None:
    """The call, the place, the source, the line, and what to write."""
    draws, keeps = said.lines["kit.draws"], said.lines["kit.keeps"]
    assert "read, example notes[0], notes[1]: differs by itself" in draws
    assert "it follows from something that is new in every run" in draws
    assert "it asks for random.SystemRandom() at plugin.py:7" in draws
    assert "read, example notes[1]: differs with call order: last call first" in keeps
    assert "after example notes[0] in one process" in keeps
