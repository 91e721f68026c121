"""The command itself: help, version, and that no failure leaves it as a traceback."""

from __future__ import annotations

import click
import pytest

import nxkernel
from nxkernel.errors import ERROR_CODES, KernelNotRunning, LockMismatch, error_for
from nxkernel_cli.main import main
from tests.unit.cli.conftest import run

ERROR_KEYS = {"code", "message", "plugin", "hook", "details"}


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """The command ``fail``, which raises what is put into this list."""
    errors: list[BaseException] = []

    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    def fail(as_json: bool) -> None:
        raise errors[0]

    monkeypatch.setitem(main.commands, "fail", fail)
    monkeypatch.delenv("NXKERNEL_DEBUG", raising=False)
    return errors


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_lists_every_noun(word: str) -> None:
    """Both spellings of help work, and name what there is."""
    shown = run(word)
    assert shown.code == 0
    listed = {line.split()[0] for line in shown.out.splitlines() if line.startswith("  ")}
    assert set(main.commands) <= listed


def test_every_command_explains_itself() -> None:
    """Each command and group has a sentence of help that fits its line in the list."""

    def short(command: click.Command) -> list[str]:
        own = [command.get_short_help_str(60)]
        children = command.commands.values() if isinstance(command, click.Group) else ()
        return own + [text for child in children for text in short(child)]

    assert [text for text in short(main) if not text or text.endswith("...")] == []


def test_every_leaf_takes_json() -> None:
    """A program can read whatever a command has to say."""

    def leaves(command: click.Command) -> list[click.Command]:
        if not isinstance(command, click.Group):
            return [command]
        return [leaf for child in command.commands.values() for leaf in leaves(child)]

    found = leaves(main)
    assert len(found) >= 11
    lacking = [c.name for c in found if not any("--json" in p.opts for p in c.params)]
    assert lacking == ["debug"]  # A terminal for a person has nothing to say to a program.


def test_version_is_the_packages() -> None:
    """``--version`` says which nxkernel this is."""
    assert run("--version").out == f"nxkernel {nxkernel.__version__}\n"


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_every_error_becomes_a_line_with_the_next_step(
    code: str, failing: list[BaseException]
) -> None:
    """Code, message and next step go to standard error; the exit code is the family's."""
    error = error_for(code, "it went wrong", plugin="ocr.rapid", hook="read_tokens")
    failing.append(error)
    shown = run("fail")
    assert shown.code == error.exit_code
    assert shown.out == ""
    assert shown.err == (
        f"error [{code}]: it went wrong (plugin ocr.rapid, hook read_tokens)\n"
        f"  next: {ERROR_CODES[code].next_step}\n"
    )


def test_error_is_an_object_with_json(failing: list[BaseException]) -> None:
    """With ``--json`` the same failure is an object on standard output."""
    failing.append(LockMismatch("changed", plugin="ocr.rapid", details={"changes": ("a", "b")}))
    shown = run("fail", "--json")
    assert shown.code == 4
    assert shown.data == {
        "schema_version": 1,
        "ok": False,
        "error": {
            "code": "lock.mismatch",
            "message": "changed",
            "plugin": "ocr.rapid",
            "hook": "",
            "details": {"changes": ["a", "b"]},
        },
    }


def test_place_is_not_said_twice(failing: list[BaseException]) -> None:
    """A plugin that the message names already is not named again."""
    failing.append(LockMismatch("ocr.rapid: changed", plugin="ocr.rapid"))
    assert run("fail").err.startswith("error [lock.mismatch]: ocr.rapid: changed\n")


def test_unknown_exception_is_one_line_and_says_how_to_see_more(
    failing: list[BaseException],
) -> None:
    """A bug of ours is no wall of text; ``--debug`` shows it."""
    failing.append(ZeroDivisionError("division by zero"))
    shown = run("fail")
    assert shown.code == 1
    assert (
        shown.err.splitlines()[0] == "error [cli.unexpected]: ZeroDivisionError: division by zero"
    )
    assert "--debug" in shown.err
    assert "Traceback" not in shown.err
    assert set(run("fail", "--json").data["error"]) == ERROR_KEYS


@pytest.mark.parametrize("way", ["option", "environment"])
def test_debug_shows_the_traceback(
    way: str, failing: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the option and the variable show where it happened."""
    failing.append(KernelNotRunning("too late"))
    if way == "environment":
        monkeypatch.setenv("NXKERNEL_DEBUG", "1")
    shown = run(*(["--debug"] if way == "option" else []), "fail")
    assert "Traceback" in shown.err
    assert "error [kernel.not_running]: too late" in shown.err


@pytest.mark.parametrize("words", [("nonsense",), ("audit", "runs"), ("doctor", "--level", "x")])
def test_wrong_usage_exits_with_two(words: tuple[str, ...]) -> None:
    """What click refuses is shown with the usage."""
    shown = run(*words)
    assert shown.code == 2
    assert "Usage: nxkernel" in shown.err
    assert shown.out == ""


def test_wrong_usage_with_json_is_an_object() -> None:
    """A program that makes a mistake gets an object too."""
    shown = run("audit", "runs", "--json")
    assert shown.code == 2
    assert shown.data["error"]["code"] == "cli.usage"


def test_ctrl_c_is_130(failing: list[BaseException]) -> None:
    """An interrupted command ends with 128 + SIGINT, as a shell expects."""
    failing.append(KeyboardInterrupt())
    shown = run("fail")
    assert shown.code == 130
    assert shown.err.split() == ["interrupted"]
