"""Requests: what a manifest's [environment] may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.errors import ManifestInvalid
from nxkernel.plugins.environments.request import Request, python_problem
from tests.unit.plugins.folders import manifest, plugin


@pytest.mark.parametrize("python", [">=3.12", "==3.13.*", "python3.12", "/usr/bin/python3"])
def test_three_ways_to_name_an_interpreter(python: str) -> None:
    """Specifiers, a program's name and an absolute path are accepted."""
    assert python_problem(python) == ""


@pytest.mark.parametrize("python", ["3.12", "bin/python", "../python", "/usr/../python", "a b"])
def test_another_way_is_an_error(python: str) -> None:
    """What is none of the three is not guessed at."""
    assert python_problem(python) != ""


def test_a_manifest_lists_requirements_or_names_a_file(tmp_path: Path) -> None:
    """Both ways come to the same request, and to the same environment."""
    listed = manifest(tmp_path, "a", environment={"requirements": ["attrs==22.2.0", "pluggy"]})
    folder = plugin(tmp_path, "b", environment={"requirements": "requirements.txt"})
    (folder / "requirements.txt").write_text("pluggy\nattrs == 22.2.0\n")
    from_file = manifest_of(folder)
    assert listed.environment == from_file.environment
    assert listed.environment == Request(requirements=("attrs==22.2.0", "pluggy"))
    assert "requirements.txt" in from_file.read


def manifest_of(folder: Path):  # type: ignore[no-untyped-def]
    from nxkernel.plugins.manifest import load_manifest

    return load_manifest(folder)


def test_a_changed_file_of_requirements_changes_the_digest(tmp_path: Path) -> None:
    """A lockfile notices that other libraries are asked for."""
    folder = plugin(tmp_path, environment={"requirements": "requirements.txt"})
    (folder / "requirements.txt").write_text("attrs==22.2.0\n")
    before = manifest_of(folder).digest
    (folder / "requirements.txt").write_text("# the same\nattrs == 22.2.0\n")
    assert manifest_of(folder).digest == before
    (folder / "requirements.txt").write_text("attrs==23.1.0\n")
    assert manifest_of(folder).digest != before


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"requirements": "../requirements.txt"}, "is not a plain path"),
        ({"requirements": "missing.txt"}, "does not exist"),
        ({"requirements": ["-r other.txt"]}, "is an option"),
        ({"python": "3.12"}, "environment.python: expected version specifiers"),
        ({"pythons": "3.12"}, "pythons"),
        ({}, "environment"),
    ],
)
def test_an_environment_outside_of_the_contract_is_refused(
    tmp_path: Path, environment: dict[str, object], message: str
) -> None:
    """The manifest is at fault, and the message names the key."""
    with pytest.raises(ManifestInvalid, match=message) as caught:
        manifest(tmp_path, environment=environment)
    assert "environment" in caught.value.message


def test_a_request_is_named_by_what_it_asks_for_and_by_the_host() -> None:
    """Another host interpreter may need other wheels, so it has another name."""
    request = Request(requirements=("attrs==22.2.0",))
    assert request.digest("cpython-311") == Request(requirements=("attrs==22.2.0",)).digest(
        "cpython-311"
    )
    others = {request.digest("cpython-312"), Request(python=">=3.11").digest("cpython-311")}
    assert request.digest("cpython-311") not in others
