"""Code and documentation name the same things."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

import nxkernel
from nxkernel.errors import ERROR_CODES
from nxkernel_cli.main import main

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
CONTRACTS = sorted((ROOT / "contracts").rglob("*.json"))


def headings(path: Path) -> list[str]:
    """Return the headings of a Markdown file, without mark-up."""
    found = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [heading.replace("`", "").strip() for heading in found]


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every leaf below *command*."""
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            yield from commands(child, (*path, name))
    else:
        yield path


@cache
def sources_of_tests() -> str:
    """Return the text of all test files but this one."""
    files = sorted((ROOT / "tests").rglob("*.py"))
    return "\n".join(p.read_text(encoding="utf-8") for p in files if p != Path(__file__))


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_every_error_code_is_documented(code: str) -> None:
    """A user who meets a code finds a heading that explains it."""
    assert code in headings(REFERENCE / "errors.md")


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_every_error_code_is_met_by_a_test(code: str) -> None:
    """No code is promised that nothing has ever seen."""
    assert re.search(rf"""["'\[]{re.escape(code)}["'\]]""", sources_of_tests())


def test_no_error_is_documented_that_does_not_exist() -> None:
    """A code that was removed leaves the reference too."""
    documented = {
        h for h in headings(REFERENCE / "errors.md") if re.fullmatch(r"[a-z_]+\.[a-z_]+", h)
    }
    assert documented == set(ERROR_CODES)


@pytest.mark.parametrize("contract", [path.name for path in CONTRACTS])
def test_every_contract_is_documented(contract: str) -> None:
    """Each published schema is named on a page of the reference."""
    pages = sorted(REFERENCE.glob("*.md"))
    assert any(contract in page.read_text(encoding="utf-8") for page in pages)


def test_contracts_exist() -> None:
    """The check above has something to check."""
    assert CONTRACTS


@pytest.mark.parametrize("path", sorted(commands(main)), ids=" ".join)
def test_every_command_is_documented(path: tuple[str, ...]) -> None:
    """Each command of the CLI has a heading in its reference."""
    assert "nxkernel " + " ".join(path) in headings(REFERENCE / "cli.md")


@pytest.mark.parametrize("path", sorted(commands(main)), ids=" ".join)
def test_every_option_is_documented(path: tuple[str, ...]) -> None:
    """Each option of a command stands on the reference page of the CLI."""
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    section = text.partition(f"`nxkernel {' '.join(path)}`\n")[2].partition("\n## ")[0]
    options = [opt for param in command.params for opt in param.opts if opt.startswith("--")]
    assert [option for option in options if f"`{option}" not in section] == []


@pytest.mark.parametrize("name", sorted(nxkernel.__all__))
def test_every_public_name_is_documented(name: str) -> None:
    """Whatever `nxkernel` exports stands in the API reference."""
    assert f"`{name}" in (REFERENCE / "api.md").read_text(encoding="utf-8")
