"""The command line as a user runs it: real commands, real kernels, real workers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from nxkernel.host.sandbox.linux import probe
from nxkernel.plugins.lockfile import read_lock
from tests.support.commands import Ran

ROOT = Path(__file__).resolve().parents[2]
HELLO = ROOT / "examples" / "hello"
APP = f"""\
import sys
import time

sys.path.insert(0, {str(HELLO)!r})

import hookspecs
import nxkernel as nx


def build_kernel():
    run = nx.Run.create("data", seed=7)
    return nx.Kernel(
        "hello",
        specs=[hookspecs],
        run=run,
        plugins=nx.discover({str(HELLO / "plugins")!r}),
        middleware=nx.standard_stack(run),
    )
"""


def nxkernel(*words: str | Path, cwd: Path, **environment: str) -> Ran:
    """Run the command in *cwd*, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "nxkernel_cli", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an application in it, which was called once: its ``data`` has one run."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "myapp.py").write_text(APP)
    (folder / "pyproject.toml").write_text('[tool.nxkernel]\napp = "myapp:build_kernel"\n')
    first = nxkernel("call", "greet", "--arg", 'name="Ada"', "--key", "k", cwd=folder)
    assert first.code == 1, first.err
    return folder


def test_call_reaches_confined_plugins(app: Path) -> None:
    """The value is there, the plugin that snoops has failed alone, and the exit code says so."""
    shown = nxkernel("call", "greet", "--arg", 'name="Ada"', cwd=app)
    assert (shown.code, shown.out) == (1, '["HELLO, ADA!"]\n')
    assert "  hello.shout: ok, " in shown.err
    assert "  hello.snoop: [plugin.raised] PermissionError" in shown.err


def test_call_of_one_plugin_alone(app: Path) -> None:
    """``--only`` leaves the one that fails out."""
    words = ("call", "greet", "--arg", 'name="Ada"', "--only", "hello.shout", "--json")
    data = nxkernel(*words, cwd=app).data
    assert (data["ok"], data["value"], data["level"]) == (True, ["HELLO, ADA!"], "confined")
    assert data["outcomes"][0]["output_digest"].startswith("sha256:")


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("nosuchhook",), 1, "call.unknown_hook"),
        (("greet",), 1, "call.rejected"),
        (("greet", "--arg", 'name="A"', "--only", "nobody"), 1, "call.rejected"),
        (("greet", "--app", "nowhere:build"), 2, "cli.usage"),
    ],
)
def test_a_call_that_cannot_be_made(app: Path, words: Any, code: int, error: str) -> None:
    """A wrong name is the caller's mistake, in one line."""
    shown = nxkernel("call", *words, "--json", cwd=app)
    assert shown.code == code
    assert shown.data["error"]["code"] == error
    assert "Traceback" not in shown.err


def test_audit_shows_what_call_did(app: Path) -> None:
    """Both calls of the first run are on record, with the error, and the chain holds."""
    runs = nxkernel("audit", "runs", "data", "--json", cwd=app).data["runs"]
    assert runs[0]["status"] == "completed"
    calls = nxkernel("audit", "calls", "data", "--run", "r000001", "--json", cwd=app).data["calls"]
    assert {(c["plugin"], c["status"], c["error_code"]) for c in calls} == {
        ("hello.shout", "ok", None),
        ("hello.snoop", "error", "plugin.raised"),
    }
    shown = nxkernel("audit", "show", "data", calls[0]["call_id"], "--run", "r000001", cwd=app)
    assert calls[0]["input_digest"] in shown.out
    kept = Path("data") / "runs" / "r000001" / "audit.checkpoint"
    verified = nxkernel("audit", "verify", "data", "--checkpoint", kept, "--json", cwd=app)
    assert (verified.code, verified.data["ok"]) == (0, True)


def test_doctor_witnesses_every_axis(tmp_path: Path) -> None:
    """On a machine that has the level, each promised axis was tried and denied."""
    shown = nxkernel("doctor", "--json", cwd=tmp_path)
    assert shown.code == 0, shown.err
    data = shown.data
    assert (data["schema_version"], data["ok"], data["level"]) == (1, True, "confined")
    assert len(data["axes"]) > 20
    assert [axis["name"] for axis in data["axes"] if axis["promised"] and not axis["denied"]] == []
    assert "NOT AS PROMISED" not in nxkernel("doctor", cwd=tmp_path).out


def test_doctor_of_a_level_that_needs_namespaces(tmp_path: Path) -> None:
    """Exit code 5 and the missing guarantee where they are refused, else every axis holds."""
    shown = nxkernel("doctor", "--level", "isolated", "--json", cwd=tmp_path)
    available = probe.namespaces_available().ok
    assert shown.code == (0 if available else 5)
    assert shown.data["ok"] is available
    assert available or "level isolated" in shown.data["missing"]


def test_the_generated_plugin_passes_its_own_test(tmp_path: Path) -> None:
    """What ``init plugin`` writes works at once: plain pytest, then check and lock."""
    made = nxkernel("init", "plugin", "word.count", "--hook", "describe", cwd=tmp_path)
    assert made.code == 0, made.err
    folder = tmp_path / "word_count"
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "2 passed" in tested.stdout
    checked = nxkernel("plugins", "check", ".", "--probe", "--json", cwd=folder)
    assert checked.code == 0, checked.err
    (row,) = checked.data["plugins"]
    assert [(i["impl"], i["args"]) for i in row["hookimpls"]] == [("describe", ["text"])]
    locked = nxkernel("plugins", "lock", ".", "--yes", cwd=folder)
    assert locked.code == 0, locked.err
    assert list(read_lock(tmp_path / "nxkernel.lock").plugins) == ["word.count"]


@pytest.fixture
def liar(tmp_path: Path) -> Path:
    """A plugin whose manifest names a hook that its code does not have."""
    folder = tmp_path / "liar"
    folder.mkdir()
    (folder / "plugin.py").write_text(
        "import nxkernel as nx\n\nhookimpl = nx.HookimplMarker('hello')\n\n\n"
        "@hookimpl\ndef wave(): ...\n"
    )
    (folder / "plugin.toml").write_text(
        'schema_version = 1\nid = "hello.liar"\nversion = "0.1.0"\n'
        'entrypoint = "plugin"\nhooks = ["greet"]\n'
    )
    return folder


def test_probe_finds_a_manifest_that_is_not_true(liar: Path) -> None:
    """Only a started plugin shows that it lacks a hook: ``plugin.handshake``."""
    assert nxkernel("plugins", "check", liar, cwd=liar.parent).code == 0
    shown = nxkernel("plugins", "check", liar, "--probe", "--json", cwd=liar.parent)
    assert shown.code == 1
    (row,) = shown.data["plugins"]
    assert [error["code"] for error in row["errors"]] == ["plugin.handshake"]


def test_probe_shows_why_a_plugin_does_not_start(liar: Path) -> None:
    """An import that fails is ``plugin.start``, with the exception and what it printed."""
    with (liar / "plugin.py").open("a") as file:
        file.write("print('just before')\nraise OSError('no camera')\n")
    shown = nxkernel("plugins", "check", liar, "--probe", cwd=liar.parent)
    assert shown.code == 1
    assert "[plugin.start]" in shown.out
    assert "no camera" in shown.out
    assert "it printed: just before" in shown.err


def test_probe_grants_nothing(liar: Path) -> None:
    """A plugin does not get what it requests by being looked at."""
    (liar / "plugin.py").write_text(
        "import nxkernel as nx\n\nhookimpl = nx.HookimplMarker('hello')\n"
        "open('/etc/passwd')\n\n\n@hookimpl\ndef greet(name): ...\n"
    )
    manifest = liar / "plugin.toml"
    manifest.write_text(manifest.read_text() + '[permissions]\nread = ["/etc"]\n')
    shown = nxkernel("plugins", "check", liar, "--probe", cwd=liar.parent)
    assert shown.code == 1
    assert "[plugin.start]" in shown.out
    assert "PermissionError" in shown.out


def test_help_loads_neither_kernel_nor_tables(tmp_path: Path) -> None:
    """``--help`` is quick because it imports click and nothing heavier."""
    code = (
        "import sys\n"
        "from nxkernel_cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'nxkernel', 'rich', 'attrs', 'cattrs', 'jsonschema', 'msgspec', 'sqlite3'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        check=True,
        capture_output=True,
    )


@pytest.fixture
def screens(tmp_path: Path) -> Path:
    """A folder with two of the example's screenshots, as somebody's own."""
    folder = tmp_path / "screens"
    folder.mkdir()
    for name in ("chat.png", "config.png"):
        shutil.copy(ROOT / "examples" / "screenmem" / "screens" / name, folder)
    return folder


def test_demo_answers_from_screenshots_of_ones_own(screens: Path, tmp_path: Path) -> None:
    """Real OCR in confined workers, answers with citations, a picture, a verified audit."""
    shown = nxkernel(
        *("demo", "--json", "--data", screens, "--out", tmp_path / "out"),
        *("--ask", "Who will bring the projector?", "--ask", "Who won the chess tournament?"),
        cwd=tmp_path,
    )
    assert shown.code == 0, shown.err
    data = shown.data
    assert (data["ok"], data["level"]) == (True, "confined")
    assert data["questions"].items() >= {
        "asked": 2, "answered": 1, "correct": None, "no_evidence": 1
    }.items()  # fmt: skip
    assert data["screens"] == ["chat.png", "config.png"]
    assert data["citations"]["checked"] == data["citations"]["valid"] > 0
    answer, refused = data["answers"]
    assert "Odalys" in {claim["text"] for claim in answer["claims"]}
    assert refused["state"] == "no_evidence"
    assert Path(data["picture"]).read_bytes().startswith(b"\x89PNG")
    assert data["audit"]["verified"] is True
    assert data["audit"]["calls"] == sum(plugin["calls"] for plugin in data["plugins"])
    runs = nxkernel("audit", "runs", tmp_path / "out", "--json", cwd=tmp_path).data["runs"]
    assert runs[0]["calls"] == data["audit"]["calls"]


def test_ctrl_c_ends_the_demo_and_leaves_a_sound_record(tmp_path: Path) -> None:
    """Exit code 130, no traceback, no worker left behind, and what was done is on record."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nxkernel_cli", "demo", "--out", tmp_path / "out"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list((tmp_path / "out" / "runs").glob("*/plugins/ocr.rapid")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.split() == ["interrupted"]
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    assert nxkernel("audit", "verify", tmp_path / "out", cwd=tmp_path).code == 0
