"""Promises of the repository itself: what a newcomer may rely on."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TEXT_SUFFIXES = {".py", ".md", ".toml", ".json", ".cfg", ".ini", ".yaml", ".txt"}
FOLDERS = ("src", "tests", "docs", "examples", "contracts", "benchmarks", "tools", "changelog.d")
SESSIONS = {"tests", "lint", "types", "imports", "docs", "storms", "bench", "build", "demo"}
NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    tokenize.ENDMARKER,
}
ADR_HEADINGS = ["Context", "Options", "Decision", "Consequences"]
#: Lines of code in one file. Docstrings, comments and blank lines are free: nobody saves on them.
MAX_CODE = 400
# Spelled in two halves, so that this file does not find itself.
UNFINISHED = re.compile(
    r"\b(?:TO"
    r"DO|FIX"
    r"ME|XX"
    r"X|NotImplemented"
    r"Error)\b"
)
PASSED_OVER = re.compile(
    r"pytest\.(?:sk"
    r"ip|xf"
    r"ail|import"
    r"orskip)|mark\.(?:sk"
    r"ip|xf"
    r"ail)"
)
#: What a machine may lack. pytest prints the reason (`-rs`), and a machine that has everything
#: passes over nothing.
MAY_BE_LACKING = (
    "{found.name} is not available here: {found.detail}",  # Landlock or seccomp
    "this kernel has ABI {landlock.abi()}",  # a newer Landlock
    "needs uid 0; run the suite as root",  # the half of the attacks that root makes
    "an ordinary user has no bounding set to drop",
    "no other Python (3.11 to 3.13) is here",  # a plugin's own interpreter
    "no control group of memory can be made here: {error}",  # out of memory, for real
    "not installed: pip install 'nxkernel[demo]'",  # large libraries, run confined
    "no strace that may trace is here",  # system calls that fail, one by one
    "no small disk can be mounted here",  # a disk that is full, for real
)


def texts(*folders: str) -> Iterator[Path]:
    """Yield the text files of *folders*, sorted, without what tools generate."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            generated = {"__pycache__", "_build"} & set(path.parts)
            if path.suffix in TEXT_SUFFIXES and path.is_file() and not generated:
                yield path


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of the Python file *path*."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_nox_session_says_what_it_is_for() -> None:
    """`nox -l` lists the promised sessions, each with a sentence."""
    sessions = {
        function.name: ast.get_docstring(function)
        for function in functions(ROOT / "noxfile.py")
        if any("session" in ast.unparse(item) for item in function.decorator_list)
    }
    assert set(sessions) == SESSIONS
    assert all(sessions.values())


def test_pythons_are_the_same_wherever_they_are_named() -> None:
    """What users, contributors and tools are told is what `nox -s tests` runs on."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    (tested,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PYTHONS"
    ]
    prefix = "Programming Language :: Python :: "
    named = [item.removeprefix(prefix) for item in PROJECT["project"]["classifiers"]]
    assert [item for item in named if re.fullmatch(r"3\.\d+", item)] == tested
    oldest, newest = tested[0], tested[-1]
    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert PROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    for page in ("README.md", "CONTRIBUTING.md"):
        assert f"{oldest} to {newest}" in (ROOT / page).read_text(encoding="utf-8"), page


def test_every_decision_record_has_the_four_parts() -> None:
    """An ADR says what forced it, what else was possible, what was taken, and at what price."""
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert records
    for record in [*records, ROOT / "docs" / "adr" / "template.md"]:
        headings = re.findall(r"^## (.+)$", record.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ADR_HEADINGS, record.name


def test_decision_records_are_numbered_without_gaps() -> None:
    """No number is given twice and none is left out."""
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs/adr").glob("[0-9]*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_contracts_and_flagship_example_ship_in_the_wheel() -> None:
    """The wheel holds what the code reads at run time."""
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["sources"]["contracts"] == "nxkernel/contracts"
    assert wheel["sources"]["examples/screenmem"] == "nxkernel_cli/examples/screenmem"
    for folder in wheel["sources"]:
        assert any(Path(folder).is_relative_to(included) for included in wheel["only-include"])
        assert (ROOT / folder).is_dir()


def test_sql_numbers_no_parameter() -> None:
    """Where warnings are errors the audit works as well: Python 3.12.0 to 3.12.3 warn of `?1`."""
    numbered = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts("src", "contracts")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if path.suffix == ".py" and re.search(r"\?[0-9]", line)
    ]
    assert not numbered


def test_packages_are_marked_as_typed() -> None:
    """Type checkers of users read our annotations."""
    assert (ROOT / "src" / "nxkernel" / "py.typed").is_file()
    assert (ROOT / "src" / "nxkernel_cli" / "py.typed").is_file()


def test_dev_extra_is_the_union_of_the_dependency_groups() -> None:
    """`pip install .[dev]` and the groups that nox uses name the same tools."""
    groups = PROJECT["dependency-groups"]
    plain = [item for name, group in groups.items() if name != "dev" for item in group]
    extra = PROJECT["project"]["optional-dependencies"]["dev"]
    assert sorted(extra) == sorted(set(plain))
    assert {item["include-group"] for item in groups["dev"]} == set(groups) - {"dev"}


def test_every_dependency_of_a_user_has_its_reason_beside_it() -> None:
    """Nobody has to guess why a package is installed."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = PROJECT["project"]["optional-dependencies"]
    user_extras = [item for name, extra in extras.items() if name != "dev" for item in extra]
    for requirement in [*PROJECT["project"]["dependencies"], *user_extras]:
        if not requirement.startswith("nxkernel["):
            line = re.escape(f'"{requirement}",')
            assert re.search(rf"^    {line} +# \w.+$", text, re.MULTILINE), requirement


def test_every_test_states_its_promise() -> None:
    """The docstrings of the tests are the specification."""
    silent = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "assets" not in path.parts
        for function in functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert silent == []


def lines_of_code(text: str) -> int:
    """Count the lines of *text* that hold code."""
    free = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    used = {
        number
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in NO_CODE
        for number in range(token.start[0], token.end[0] + 1)
    }
    return len(used - free)


def test_no_source_file_is_longer_than_one_noun() -> None:
    """A file of the product stays short enough to be read in one go."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / "src").rglob("*.py"))
        if (lines := lines_of_code(path.read_text(encoding="utf-8"))) > MAX_CODE
    }
    assert long == {}


def found_lines(pattern: re.Pattern[str]) -> list[str]:
    """Return ``file:number: line`` of every line of the repository that *pattern* matches."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts(*FOLDERS)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_nothing_is_left_unfinished() -> None:
    """No note to self, no stub."""
    assert found_lines(UNFINISHED) == []


def test_no_test_is_passed_over_but_for_what_a_machine_lacks() -> None:
    """There are nine such reasons, and a test that is passed over gives one of them."""
    places = found_lines(PASSED_OVER)
    unknown = [place for place in places if not any(why in place for why in MAY_BE_LACKING)]
    unused = [why for why in MAY_BE_LACKING if not any(why in place for place in places)]
    assert (unknown, unused) == ([], [])


def test_import_contract_covers_every_module() -> None:
    """A new module has to be given a layer."""
    text = (ROOT / ".importlinter").read_text(encoding="utf-8")
    assert re.search(r"^exhaustive = True$", text, re.MULTILINE)


def test_news_fragments_can_be_assembled() -> None:
    """Each fragment names an issue and a kind that the changelog knows, and says something."""
    kinds = "|".join(kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"])
    for path in sorted((ROOT / "changelog.d").iterdir()):
        if path.name != "README.md":
            assert re.fullmatch(rf"(\d+|\+\w+)\.({kinds})(\.\d+)?\.md", path.name), path.name
            assert path.read_text(encoding="utf-8").strip(), path.name


@pytest.mark.parametrize("script", [".ci/run"])
def test_gate_can_be_executed(script: str) -> None:
    """CI starts the gate as a program."""
    assert os.access(ROOT / script, os.X_OK)
