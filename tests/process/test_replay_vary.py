"""`nxkernel replay RUN --vary`: what each recorded call depends on, and nothing else."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from nxkernel_cli.main import main
from tests.support.sources import PREVENTED, Source

#: Dozens of replays, which a busy machine takes its time for.
pytestmark = pytest.mark.timeout(900)
_BODY = """
import sqlite3

SEEN = set()

@hookimpl
def act(value):
    before = sorted(SEEN)
    SEEN.add(value)
    if value == 2:
        return {"n": 2, "names": list({"one", "two", "three", "four"})}
    if value == 5:
        return {"n": 5, "met": 3 in before}
    if value == 6:
        return sqlite3.connect(":memory:").execute("select random()").fetchone()[0]
    return {"n": value, "again": f"as every time {value}"}
"""
_APP = """
import sys
import nxkernel as nx
from tests.support import zoo

def build():
    run = nx.Run.create({data!r}, seed=7)
    stack = [*nx.standard_stack(run), nx.Recording(run)]
    return nx.Kernel("zoo", specs=[zoo.Hooks], run=run, plugins=nx.discover({plugins!r}),
                     middleware=stack)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command says of a run of eight calls, of which three are not what they seem."""
    place = tmp_path_factory.mktemp("vary")
    Source(name="various", fate=PREVENTED, body=_BODY).write(place / "plugins")
    text = _APP.format(data=str(place / "data"), plugins=str(place / "plugins"))
    (place / "application_that_varies.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        import application_that_varies  # type: ignore[import-not-found]

        with application_that_varies.build() as kernel:
            for number in range(8):
                kernel.call("act", value=number)
            folder = kernel.run.dir
        words = ["replay", str(folder), "--vary", "--app", "application_that_varies:build"]
        done = CliRunner().invoke(main, [*words, "--json"], prog_name="nxkernel")
        sys.modules.pop("application_that_varies", None)
    assert done.exit_code == 1, done.output
    return dict(json.loads(done.stdout))


def test_each_call_that_depends_on_something_is_named_and_no_other(said: dict[str, Any]) -> None:
    """Plugin, hook, call, the least that breaks it, and the earlier call that it takes."""
    found = {
        each["call"]: ([v["name"] for v in each["variations"]], each["needs"])
        for each in said["findings"]
    }
    # Calls are counted from 1, and this plugin's values from 0.
    assert found == {"3": (["hash seed"], []), "6": (["call order"], ["4"]), "7": ([], [])}
    assert {(each["plugin"], each["hook"]) for each in said["findings"]} == {
        ("wild.various", "act")
    }
    assert said["calls"] == 8
    assert not said["cut_short"]


def test_the_place_in_the_value_and_the_source_are_in_words(said: dict[str, Any]) -> None:
    """Where it differs first, what stood there, what it follows from and how to mend it."""
    by_call = {each["call"]: each for each in said["findings"]}
    assert by_call["3"]["path"].startswith("$.names[")
    assert "sort what comes out of a set" in by_call["3"]["sources"][0]["fix"]
    assert (by_call["6"]["path"], by_call["6"]["usual"], by_call["6"]["varied"]) == (
        "$.met",
        "true",
        "false",
    )
    assert said["state"] == {"wild.various": "fresh"}


def test_a_process_for_each_call_was_among_what_was_varied(said: dict[str, Any]) -> None:
    """Recorded calls of a plugin that says nothing of it are made in fresh state as well."""
    assert {"fresh process", "addresses", "clock", "directory"} <= set(said["varied"])
