"""Requirements: one spelling for one demand, and no way to say where things come from."""

from __future__ import annotations

import pytest

from nxkernel.plugins.environments.requirements import (
    RequirementInvalid,
    read_lines,
    requirements,
)

DIGITS = "ab" * 32


def test_one_demand_has_one_spelling() -> None:
    """Two plugins that ask for the same share an environment, however they write it."""
    ours = requirements(["Attrs >= 22, <23", "typing_extensions"])
    theirs = requirements(["typing-extensions", "attrs<23,>=22"])
    assert ours == theirs == ("attrs<23,>=22", "typing-extensions")


def test_a_file_is_read_as_pip_reads_it() -> None:
    """Comments, empty lines and broken lines are no requirements of their own."""
    text = f"# ours\nattrs==22.2.0 \\\n  --hash=sha256:{DIGITS}\n\npluggy  # all of them\n"
    expected = (f"attrs==22.2.0 --hash=sha256:{DIGITS}", "pluggy")
    assert requirements(read_lines(text)) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("--index-url https://example.org/simple", "is an option"),
        ("-e .", "is an option"),
        ("attrs @ https://example.org/attrs.whl", "names an address"),
        ("attrs @ file:///etc/passwd", "names an address"),
        ("./wheels/attrs.whl", "is no requirement"),
        ("attrs --index-url=x", "is no requirement"),
        ("attrs==22.2.0 --hash=md5:00", "is no requirement"),
        ("", "is no requirement"),
    ],
)
def test_a_manifest_sends_no_installer_anywhere(line: str, reason: str) -> None:
    """Only names and versions are accepted; the message says which line and why."""
    with pytest.raises(RequirementInvalid, match=reason):
        requirements([line])


def test_the_number_is_bounded() -> None:
    """A manifest cannot ask for an endless list."""
    with pytest.raises(RequirementInvalid, match="more than 256"):
        requirements([f"name{n}" for n in range(257)])
