"""Interpreters: found by asking, never by name alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nxkernel.errors import EnvironmentUnavailable
from nxkernel.plugins.environments.interpreters import ask, choose, here


def program(folder: Path, name: str, text: str) -> Path:
    """Write an executable shell script."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_this_interpreter_is_the_one_below_its_virtual_environment() -> None:
    """Two virtual environments of one interpreter count as one interpreter."""
    found = here()
    assert found.executable == os.path.realpath(sys._base_executable)
    assert found == ask(sys.executable)


def test_its_libraries_have_none_of_its_packages() -> None:
    """What a worker may read of an interpreter leaves out what is installed in it."""
    libraries = here().libraries
    assert any(path.endswith(("/os.py", here().series)) for path in libraries)
    assert not [path for path in libraries if path.endswith(("site-packages", "dist-packages"))]
    assert all(os.path.exists(path) for path in libraries)


def test_a_stand_in_that_starts_nothing_is_passed_over(tmp_path: Path) -> None:
    """A version manager's shim on the search path does not hide the interpreter behind it."""
    name = here().series
    program(tmp_path / "shims", name, "echo 'no such version' >&2; exit 127")
    real = tmp_path / "real"
    real.mkdir()
    (real / name).symlink_to(here().executable)
    found = choose(name, {"PATH": f"{tmp_path / 'shims'}:{real}"})
    assert found == here()


@pytest.mark.parametrize(
    "text", ["exit 1", "echo nonsense", 'echo "[]"', 'echo \'{"implementation": "pypy"}\'']
)
def test_what_is_no_cpython_does_not_answer(tmp_path: Path, text: str) -> None:
    """Whatever it prints, it is no interpreter."""
    assert ask(program(tmp_path / "bin", "python", text)) is None


def test_an_older_python_is_not_usable(tmp_path: Path) -> None:
    """The worker's side needs 3.11."""
    facts = '{"implementation": "cpython", "version": "3.9.1", "executable": "/x", "abi": "", '
    old = program(tmp_path / "bin", "python3.9", f"echo '{facts}\"libraries\": []}}'")
    assert ask(old) is None


def test_specifiers_prefer_the_own_interpreter() -> None:
    """Where the application's interpreter will do, no other zygote is started."""
    assert choose(">=3.11", {}) == here()
    assert choose("", {}) == here()


def test_a_manifest_cannot_have_its_own_program_started(tmp_path: Path) -> None:
    """What a plugin calls its interpreter runs outside of every wall: a person has to name it."""
    ran = tmp_path / "ran"
    own = program(tmp_path / "plugin", "python", f"touch {ran}")
    environ = {"PATH": os.pathsep.join([".", os.path.dirname(here().executable)])}
    with pytest.raises(EnvironmentUnavailable, match="is not started on a manifest's word"):
        choose(str(own), environ)
    assert not ran.exists()
    assert choose(here().executable, environ) == here()
    link = tmp_path / "plugin" / "python3"
    link.symlink_to(here().executable)
    assert choose(str(link), environ, str(link)) == here()


@pytest.mark.parametrize(
    "python", [">=4", "python4.0", f"{os.path.dirname(here().executable)}/python4"]
)
def test_what_is_not_there_is_named(python: str) -> None:
    """The error says what was looked for and how to name one."""
    with pytest.raises(EnvironmentUnavailable, match="--python PATH") as caught:
        choose(python, {"PATH": os.path.dirname(here().executable)})
    assert caught.value.code == "environment.interpreter"
    assert python in caught.value.message


def test_an_override_must_be_what_the_manifest_allows() -> None:
    """--python does not break a promise of the manifest."""
    assert choose(">=3.11", {}, sys.executable) == here()
    with pytest.raises(EnvironmentUnavailable, match="is no CPython >=4"):
        choose(">=4", {}, sys.executable)
