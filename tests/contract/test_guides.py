"""Tutorial and how-to guides do what they say."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

import nxkernel as nx
from nxkernel.dispatch.stack import BootFacts
from nxkernel.hookspecs import collect_specs
from nxkernel.plugins.rules import TEMPLATES
from nxkernel.schemas.published import published
from nxkernel.testing import running
from tests.support.calls import Boot, a_call, a_spec, answered, drive

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HELLO = ROOT / "examples" / "hello"
TUTORIAL = (DOCS / "tutorial" / "first-plugin.md").read_text(encoding="utf-8")
MIDDLEWARE = (DOCS / "how-to" / "write-a-middleware.md").read_text(encoding="utf-8")
FAILS = (DOCS / "how-to" / "look-after-a-plugin-that-fails.md").read_text(encoding="utf-8")
GRANT = (DOCS / "how-to" / "grant-a-permission.md").read_text(encoding="utf-8")
ARTIFACTS = (DOCS / "how-to" / "return-artifacts.md").read_text(encoding="utf-8")
JSON = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted(DOCS.rglob("*.md"))


class Hello:
    """What `examples/hello` offers."""

    @nx.HookspecMarker("hello")
    def greet(self, name: str) -> str:
        """Return a greeting for *name*."""


def test_tutorial_prints_what_it_says(tmp_path: Path) -> None:
    """The application's output is the tutorial's, before and after the plugin that misbehaves."""
    shown = re.findall(r"^```text\n(.*?)```", TUTORIAL, re.MULTILINE | re.DOTALL)
    app = shutil.copytree(HELLO, tmp_path / "hello")
    snoop = (app / "plugins" / "snoop").rename(tmp_path / "snoop")
    first = run_app(app, tmp_path / "one")
    snoop.rename(app / "plugins" / "snoop")
    assert [first, run_app(app, tmp_path / "two")] == shown


def run_app(folder: Path, data: Path) -> str:
    """Run the application in *folder* and return what it prints."""
    command = [sys.executable, "app.py", data]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_second_manifest_is_the_first_with_another_id() -> None:
    """Who follows the tutorial has the plugin that the repository has."""
    manifests = [
        (HELLO / "plugins" / n / "plugin.toml").read_text("utf-8") for n in ("shout", "snoop")
    ]
    assert manifests[0].replace("hello.shout", "hello.snoop") == manifests[1]


def test_the_middleware_of_the_guide_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The class of the guide works in a real stack, as it stands there."""
    names: dict[str, Any] = {}
    exec(PYTHON.findall(MIDDLEWARE)[0], names)
    counter = names["CountFailures"]()
    plugins = HELLO / "plugins"
    with running(
        plugins, project="hello", specs=[Hello], data_dir=tmp_path, middleware=[counter]
    ) as k:
        k.call("greet", name="Ada")
        assert k.explain("greet").stack == ("count-failures",)
    assert capsys.readouterr().out == "{'hello.snoop': 1}\n"


def test_the_guide_shows_how_a_plugin_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Health and release work as they stand there, and so do the options of the hookspec."""
    look, release, spec = PYTHON.findall(FAILS)
    with running(HELLO / "plugins", project="hello", specs=[Hello], data_dir=tmp_path) as k:
        k.call("greet", name="Ada")
        exec(look, {"kernel": k})
        exec(release, {"kernel": k})
        assert "hello.shout: ready" in capsys.readouterr().out
    names: dict[str, Any] = {}
    exec(spec, names)
    assert names["greet"].__doc__ == "Return a greeting for *name*."


def test_the_guide_names_what_boot_is_told() -> None:
    """The table of facts has every field."""
    named = re.findall(r"^\| (`[^|]*) \|", MIDDLEWARE, re.MULTILINE)
    told = {name for row in named for name in re.findall(r"`(\w+)`", row)}
    assert {field.name for field in attrs.fields(BootFacts)} <= told


def test_the_guide_names_every_template() -> None:
    """No template of paths is missing from the guide, and none is invented."""
    section = GRANT.partition("## Templates")[2].partition("\n## ")[0]
    assert set(re.findall(r"`{(\w+)}`", section)) == set(TEMPLATES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_examples_can_be_read_by_their_language(page: Path) -> None:
    """No example in Python or TOML has an error of syntax."""
    text = page.read_text(encoding="utf-8")
    for example in PYTHON.findall(text):
        ast.parse(example)
    for example in TOML.findall(text):
        tomllib.loads(example)


def test_the_guide_of_artifacts_loses_what_it_says() -> None:
    """Its contracts, put in force as they stand, print its diagnostic."""
    output, argument = (json.loads(block) for block in JSON.findall(ARTIFACTS))
    contracts = nx.Contracts({"read_tokens": {"input": argument, "output": output}})
    contracts.boot(Boot(specs=[a_spec("read_tokens")]).facts())
    word = {"token_id": "t0", "text": "w", "bbox": [0, 0, 9, 9], "confidence_bp": 1}
    bad = {**word, "token_id": "t1", "confidence_bp": 10_001}
    call = a_call({"frame": {"frame_id": "f", "width": 9, "height": 9}})
    outcome = drive(contracts, call, answered(call, [word, bad]))
    assert outcome.value == [word]
    (shown,) = re.findall(r"print\(found\)  # (.+)", ARTIFACTS)
    assert [str(found) for found in outcome.diagnostics] == [shown]
    outside = answered(call, [{**word, "bbox": [0, 0, 10, 9]}])
    assert drive(contracts, call, outside).value == []


def test_the_guide_of_artifacts_names_what_there_is(tmp_path: Path) -> None:
    """Its hookspecs, stores and checks are code that runs; its manifest's contract is one."""
    mark = nx.HookspecMarker("guide")
    run = nx.Run.create(tmp_path)
    example = {
        "hookspec": mark,
        "state": published("urn:nxkernel:sst:state:1")["examples"][0],
        "frame": published("urn:nxkernel:sst:frame:1")["examples"][0],
    }
    table, _, check, answer, stores = PYTHON.findall(ARTIFACTS)
    exec(table + check + answer, example)
    assert example["issues"] == []
    returned = {collected.name: collected.options.returns for collected in specs_in(example)}
    assert returned["answer"] == "urn:nxkernel:sst:answer:1"
    (manifest,) = TOML.findall(ARTIFACTS)
    assert tomllib.loads(manifest)["contracts"]["read_table"]["output"] == returned["read_table"]
    monkey = stores.replace('"data/', f'"{tmp_path}/').replace("nx.Kernel(...,", "dict(")
    namespace: dict[str, Any] = {"run": run, "nx": nx}
    exec(monkey, namespace)
    assert namespace["kernel"]["evidence"].evidence("sha256:" + "0" * 64) is None
    namespace["records"].close()


def specs_in(namespace: dict[str, Any]) -> list[Any]:
    """Return the hookspecs that a piece of a guide defines."""
    module = ModuleType("guide")
    vars(module).update({name: namespace[name] for name in ("read_table", "answer")})
    return list(collect_specs("guide", [module]).values())


def test_binary_data_crosses_as_its_page_shows(tmp_path: Path) -> None:
    """The page's hookspec, plugin and contract work together as they stand."""
    page = (DOCS / "how-to" / "pass-images-and-other-binary-data.md").read_text(encoding="utf-8")
    specs, plugin, caller = PYTHON.findall(page)
    (contract,) = TOML.findall(page)
    folder = tmp_path / "thumbs"
    folder.mkdir()
    (folder / "plugin.py").write_text(plugin)
    head = 'schema_version = 1\nid = "thumbs"\nversion = "1"\nentrypoint = "plugin"\n'
    (folder / "plugin.toml").write_text(f'{head}hooks = ["thumbnail"]\n\n{contract}')
    application: dict[str, Any] = {}
    exec(compile(specs, "hookspecs", "exec", dont_inherit=True), application)
    run = nx.Run.create(tmp_path / "data", seed=1)
    (tmp_path / "screen.png").write_bytes(bytes(range(256)) * 400)
    with nx.Kernel(
        "darkroom",
        specs=[type("Specs", (), {"thumbnail": staticmethod(application["thumbnail"])})],
        run=run,
        plugins=nx.discover(folder),
        middleware=nx.standard_stack(run),
    ) as kernel:
        code = caller.replace('"screen.png"', repr(str(tmp_path / "screen.png")))
        shown: dict[str, Any] = {"nx": nx, "kernel": kernel, "print": lambda *_: None}
        exec(compile(code, "caller", "exec"), shown)
        assert shown["small"] == nx.Blob((bytes(range(256)) * 400)[::16], "image/x-raw")
        (refused,) = kernel.call("thumbnail", image=nx.Blob(b"GIF89a", "image/gif"))
        assert refused.error is not None
        assert refused.error.code == "provider.not_applicable"


def test_results_stream_as_their_page_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's hookspec, plugin and three ways to read work together as they stand."""
    page = (DOCS / "how-to" / "stream-results.md").read_text(encoding="utf-8")
    specs, plugin, loop, context, later = PYTHON.findall(page)
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "plugin.py").write_text(plugin)
    head = 'schema_version = 1\nid = "pages"\nversion = "1"\nentrypoint = "plugin"\n'
    (folder / "plugin.toml").write_text(f'{head}hooks = ["read_pages"]\n')
    application: dict[str, Any] = {}
    exec(compile(specs, "hookspecs", "exec", dont_inherit=True), application)
    run = nx.Run.create(tmp_path / "data", seed=1)
    with nx.Kernel(
        "reader",
        specs=[type("Specs", (), {"read_pages": staticmethod(application["read_pages"])})],
        run=run,
        plugins=nx.discover(folder),
        middleware=nx.standard_stack(run),
    ) as kernel:
        shown: dict[str, Any] = {"kernel": kernel}
        exec(compile(loop, "loop", "exec"), shown)
        exec(compile(context, "context", "exec"), shown)
        exec(compile(later, "later", "exec"), shown)
        assert asyncio.run(shown["first_pages"](kernel)) == "scan, page 1"
    pages = [f"scan, page {number}" for number in (1, 2, 3)]
    assert capsys.readouterr().out.splitlines() == [*pages, "call.cancelled"]
    assert shown["first"] == "scan, page 1"
