"""What has to be executable for a program: its interpreters and its loader, and nothing more."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nxkernel.errors import SandboxUnavailable
from nxkernel.host.sandbox.linux.programs import needed


def test_a_dynamic_program_needs_its_loader() -> None:
    """As the kernel reads it from the file."""
    names = needed("/bin/sh")
    assert names[0] == "/bin/sh"
    assert len(names) == 2
    assert "ld" in os.path.basename(names[1])
    assert Path(names[1]).exists()


def test_a_script_needs_its_interpreter_too(tmp_path: Path) -> None:
    """Also one whose interpreter is a script, as far as the kernel follows."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("#! /bin/sh -e\n")
    outer.write_text(f"#!{inner}\n")
    assert needed(str(outer)) == (str(outer), str(inner), *needed("/bin/sh"))
    (tmp_path / "endless").write_text(f"#!{tmp_path}/endless\n")
    with pytest.raises(SandboxUnavailable, match="without an end"):
        needed(str(tmp_path / "endless"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello", "neither an ELF program nor a script"),
        (b"", "neither an ELF program nor a script"),
        (b"\x7fELF", "it is damaged"),
        (None, "No such file or directory"),
    ],
)
def test_what_is_no_program_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """The message names the program that was asked for, and why it cannot be."""
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SandboxUnavailable, match=reason) as refused:
        needed(str(path))
    assert str(path) in refused.value.message


def test_this_interpreter() -> None:
    """Whatever runs these tests is a program."""
    assert sys.executable in needed(sys.executable)
