"""Settings in running kernels: wrong ones stop their plugin, and no secret is anywhere."""

from __future__ import annotations

import hashlib
import logging
import secrets
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import nxkernel as nx
from nxkernel._canonical import encode
from nxkernel.settings import digest_of
from nxkernel_cli.main import main
from tests.process.conftest import Opens
from tests.support.zoo import Zoo, build, code_of, events, eventually, patient

WAYS = ("prints", "pieces", "raises", "opens", "dies")


class Secrets:
    """Random words, as settings, and how to find them again."""

    def __init__(self, **more: Any) -> None:
        self.words = [secrets.token_hex(12) + mark for mark in ("", "'é", '"\\')]
        token, user, key = self.words
        self.settings = {"token": token, "login": {user: key}, "keys": [None, key], **more}

    def found_in(self, text: str | bytes) -> list[str]:
        """Return which words, or digests of them, are in *text*, by the part that is plain."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        told = [word for word in self.words if word[:24].encode() in data]
        return told + [digest for digest in self.digests() if digest.encode() in data]

    def digests(self) -> list[str]:
        raw = {"mood": "calm", **self.settings}
        plain = [hashlib.sha256(word.encode()).hexdigest() for word in self.words]
        whole = [hashlib.sha256(encode(raw)).hexdigest(), digest_of(raw).removeprefix("sha256:")]
        return plain + whole

    def left_in(self, folder: Path) -> list[str]:
        """Return what files below *folder* hold one, as ``path: word``."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        assert files
        return [f"{path}: {word}" for path in files for word in self.found_in(path.read_bytes())]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Collect what a test shows; what was logged in the host comes on top."""
    shown: list[str] = []
    with caplog.at_level(logging.DEBUG):
        yield shown


def cli(*words: object) -> str:
    """Run a command and return all that it printed."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.stdout + result.stderr


def test_no_secret_is_shown_or_kept(
    open_zoo: Opens, tmp_path: Path, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Not in an error, a log, a view, the audit, the command line, a file; nor a digest of one."""
    hidden = Secrets()
    zoo = open_zoo(patient, "blurts", settings={"blurts": hidden.settings})
    for way in WAYS:
        outcome = zoo.act("blurts", way)
        told += [repr(outcome), str(outcome.error)]
        if outcome.error is not None:
            told.append(shown_error(outcome))
    assert zoo.answers("blurts")
    kernel = zoo.kernel
    view = kernel.plugins["blurts"]
    eventually(lambda: zoo.log("blurts").count("********") >= 9, "all of it is in the log")
    told += [zoo.log("blurts"), repr(view), repr(view.to_json()), repr(kernel.health())]
    told += [str(kernel.health()), str(kernel.explain("act")), repr(kernel.settings("blurts"))]
    told += [repr(kernel), repr(vars(kernel)), repr(kernel._parts.roster.members)]
    kernel.close()
    data = kernel.run.data_dir
    told += [cli("audit", what, data, *more) for what in WORDS for more in ((), ("--json",))]
    told += [cli("plugins", "logs", "blurts", data, *more) for more in ((), ("--json",))]
    told.append(caplog.text)
    assert [text for text in told if hidden.found_in(text)] == []
    assert hidden.left_in(tmp_path) == []
    assert hidden.found_in(repr(hidden.settings)), "the search finds what is there"


#: Subcommands of ``nxkernel audit``.
WORDS = ("runs", "calls", "show", "verify", "export")


def shown_error(outcome: nx.Outcome) -> str:
    """Return the error as an application meets it, with every local variable of the kernel."""
    try:
        nx.HookResult(hook="act", outcomes=(outcome,), value=None).unwrap()
    except nx.NxError as error:
        return frames_of(error)
    return ""


def frames_of(error: BaseException) -> str:
    """Return the traceback of *error* with the local variables of our own frames."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    for frame in report.stack:
        if "/nxkernel/" not in frame.filename:
            frame.locals = None
    return "".join(report.format())


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": ["{}"]},
        {"token": "{} {}"},
        {"login": {"{}": {"{}": 1}}},
        {"keys": [None, None, {"{}": "{}"}]},
        {"login": {"{}": float("nan")}},
        {"tokn": "{}"},
    ],
)
def test_what_is_wrong_with_a_secret_does_not_tell_it(tmp_path: Path, wrong: Any) -> None:
    """Neither the message nor the details nor the frames that the error went through."""
    hidden = Secrets()
    settings = {**hidden.settings, **filled(wrong, hidden.words[0])}
    with (
        pytest.raises(nx.SettingsInvalid) as caught,
        build(tmp_path, "blurts", settings={"blurts": settings}, required=["blurts"]),
    ):
        pass
    assert hidden.found_in(repr(settings))
    assert hidden.found_in(frames_of(caught.value) + repr(caught.value.details)) == []
    assert caught.value.__context__ is None
    assert hidden.left_in(tmp_path) == []


def test_what_is_wrong_with_a_kernel_does_not_tell_its_secrets(tmp_path: Path) -> None:
    """Its constructor has them as an argument, and a crash reporter records arguments."""
    hidden = Secrets()
    with pytest.raises(nx.KernelConfigError) as caught:
        build(tmp_path, "blurts", settings={"blurts": hidden.settings}, paths={"nowhere": "/"})
    told = frames_of(caught.value)
    assert "settings = <settings>" in told
    assert hidden.found_in(told) == []


def filled(value: Any, word: str) -> Any:
    """Return *value* with *word* in the place of each ``{}``."""
    if isinstance(value, dict):
        return {filled(key, word): filled(item, word) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, word) for item in value]
    return value.replace("{}", word) if isinstance(value, str) else value


def test_a_plugin_that_tells_them_while_it_is_loaded_is_masked_too(
    open_zoo: Opens, tmp_path: Path
) -> None:
    """The reason why it does not run is what it raised, without the settings in it."""
    hidden = Secrets(mood="import")
    zoo = open_zoo(patient, "blurts", settings={"blurts": hidden.settings})
    error = zoo.kernel.plugins["blurts"].error
    assert isinstance(error, nx.NxError)
    assert "cannot log in with {" in error.message
    assert "'********'" in error.message
    assert hidden.found_in(f"{error} {error.details}") == []
    assert hidden.left_in(tmp_path) == []


def test_wrong_settings_stop_a_plugin_before_any_of_its_code_runs(
    open_zoo: Opens, tmp_path: Path
) -> None:
    """The same plugin says at its import that it is there, when its settings are right."""
    folder = tmp_path / "told"
    folder.mkdir()
    (folder / "plugin.toml").write_text(
        'schema_version = 1\nid = "told"\nversion = "1"\nentrypoint = "plugin:Plugin"\n'
        'hooks = ["act"]\n[settings.schema.properties]\nlang = {type = "string"}\n'
    )
    (folder / "plugin.py").write_text(
        "import nxkernel as nx\n\nprint('imported')\n\n\nclass Plugin:\n"
        '    @nx.HookimplMarker("zoo")\n    def act(self, value):\n        return value\n'
    )
    settings = {"told": {"langg": "de"}, "keeps": {"token": "t"}}
    refused = open_zoo(build, "keeps", folders=[folder], settings=settings)
    outcome = refused.act("told", 1)
    assert code_of(outcome) == "settings.invalid"
    assert outcome.error is not None
    assert 'settings.langg: unknown key; did you mean "lang"?' in outcome.error.message
    assert refused.act("keeps", "t").value is True
    view = refused.kernel.plugins["told"]
    assert (view.state, view.starts, view.log) == ("disabled", 0, "")
    refused.kernel.close()
    assert not list((tmp_path / "data").rglob("told.log"))
    right = Zoo(build(tmp_path / "right", folders=[folder], settings={"told": {"lang": "de"}}))
    with right.kernel:
        assert right.act("told", 1).value == 1
        eventually(lambda: "imported" in right.log("told"), "its import is in its log")


def test_the_settings_in_force_are_on_record(open_zoo: Opens) -> None:
    """With who gave each; a secret is there by name alone."""
    hidden = Secrets()
    zoo = open_zoo(build, "blurts", settings={"blurts": hidden.settings, "blurt": {"a": 1}})
    (event,) = events(zoo.kernel.run, "plugin.settings")
    assert event.data["digest"] == zoo.kernel.settings("blurts").digest
    assert event.data["settings"] == {
        "/keys": {"source": "application", "value": '["********", "********"]'},
        "/login": {"source": "application", "secret": True},
        "/mood": {"source": "schema", "value": '"calm"'},
        "/token": {"source": "application", "secret": True},
    }
    (unused,) = events(zoo.kernel.run, "settings.unused")
    assert unused.data == {"named": "blurt", "nearest": ["blurts"]}
