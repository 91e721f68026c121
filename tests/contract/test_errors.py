"""The reference of errors says of each code what the code's table says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nxkernel import _canonical
from nxkernel.errors import ERROR_CODES, HookFailed, error_for
from nxkernel.pipeline import Evidence, check_answer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md").read_text(
    encoding="utf-8"
)


def section(code: str) -> str:
    """Return what stands below the heading of *code*."""
    return PAGE.partition(f"\n### {code}\n")[2].partition("\n#")[0].strip()


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_a_code_means_what_the_page_says(code: str) -> None:
    """Meaning, next step, exception and exit code are the same in both places."""
    row = ERROR_CODES[code]
    first = row.next_step[0]
    step = row.next_step if first == "`" else first.lower() + row.next_step[1:]
    status = f", exit code {row.raises.exit_code}" if row.raises.exit_code != 1 else ""
    raised = f"- Raised as `nx.{row.raises.__name__}`{status}"
    assert section(code).split("\n") == [row.meaning, "", f"- Next: {step}", raised]


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_a_code_is_carried_by_its_exception(code: str) -> None:
    """`unwrap()` raises the class that the page names, with the code in it."""
    error = error_for(code, "why")
    row = ERROR_CODES[code]
    # HookFailed needs the result, which a code alone does not have: `HookResult.unwrap` makes it.
    assert row.raises is HookFailed or type(error) is row.raises
    assert (error.code, str(error)) == (code, f"[{code}] why")


class Nothing:
    """A library without frames."""

    def evidence(self, frame: str) -> Evidence | None:
        """Know no frame."""
        return None


def test_a_claim_without_a_valid_citation_is_reported_by_its_code() -> None:
    """Whoever reads why a claim is missing can look the code up."""
    frame = _canonical.digest(b"")
    citation = {"frame": frame, "start": 0, "end": 1, "bbox": [0, 0, 1, 1], "quote": "52"}
    claims = [{"text": "52", "citations": [citation]}]
    (rejected,) = check_answer({"claims": claims}, Nothing()).rejected
    assert (rejected.code, rejected.reason) == ("citation.invalid", "frame.unknown")


def test_exit_codes_are_those_of_the_command_line() -> None:
    """The page's first words on exit codes hold: 1 where none is given."""
    given = {int(number) for number in re.findall(r"exit code (\d)", PAGE)}
    assert given == {2, 3, 4, 5}
