"""The official JSON-Schema-Test-Suite, drafts 2020-12 and 7, through the reference and the judge.

The suite lies inside the source distribution of jsonschema, which is fetched from the package
index and pinned by its digest. Each case is put to the two libraries as they are, and then to what
this package makes of them: a schema that the profile refuses is refused for a reason of ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import jsonschema_rs
import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema_specifications import REGISTRY
from referencing import Resource
from referencing.jsonschema import DRAFT7, DRAFT202012

from nxkernel._shape import Shape
from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import CompiledSchema, SchemaRegistry
from nxkernel.schemas.instance import shape_of

PIN = Path(__file__).parents[1] / "assets" / "json_schema_suite" / "requirements.txt"
DRAFTS = ("draft2020-12", "draft7")
#: Where the suite's remote documents would be served.
REMOTES = "http://localhost:1234/"
#: A remote document of the suite that only says something in later drafts.
LATER = "nested-absolute-ref-to-string.json"
#: Cases of each draft, and how many of them the reference and the judge have a word in.
CASES = {"draft2020-12": (1257, 1103, 1066), "draft7": (913, 814, 786)}
#: What the profile refuses on purpose, with the number of the suite's schemas that need it.
OUTSIDE = {
    "draft2020-12": {
        "a reference out of the document": 17,
        "an anchor or a dynamic reference": 23,
        "an address of its own below the root": 17,
        "a fraction to be a multiple of": 4,
        "a pattern that may begin anywhere and repeats without end": 5,
        "another dialect": 2,
    },
    "draft7": {
        "a reference out of the document": 12,
        "an address of its own below the root": 16,
        "a fraction to be a multiple of": 4,
        "a pattern that may begin anywhere and repeats without end": 5,
        "an assertion that draft 7 passes over": 6,
    },
}
WORDS = {
    "only references inside the document": "a reference out of the document",
    "is not accepted; write": "an anchor or a dynamic reference",
    "only the whole document may have $id": "an address of its own below the root",
    "must be an integer": "a fraction to be a multiple of",
    "may begin anywhere": "a pattern that may begin anywhere and repeats without end",
    "the accepted dialects are": "another dialect",
    "checks nothing unless items is a list": "an assertion that draft 7 passes over",
    "draft 7 does not check what stands beside $ref": "an assertion that draft 7 passes over",
}
#: Where a library as it is differs from the suite, and why that is no concern of ours.
KNOWN: dict[tuple[str, str], dict[str, int]] = {
    ("jsonschema", "draft2020-12"): {
        # The profile refuses every dialect but two.
        "vocabulary.json: schema that uses custom metaschema with with no validation vocabulary": 1,
    },
}


@attrs.frozen
class Case:
    """One instance of the suite under one schema."""

    name: str
    group: str
    schema: Any
    data: Any
    valid: bool


@attrs.frozen
class Suite:
    """One draft of the suite."""

    draft: str
    cases: list[Case]
    #: Documents that its schemas refer to, by their address.
    remotes: dict[str, Any]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    command += ["--no-deps", "--no-binary", "jsonschema", "--dest", str(folder), "-r", str(PIN)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"the package index does not give the suite: {done.stderr}"
    (found,) = folder.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module", params=DRAFTS)
def suite(archive: Path, request: pytest.FixtureRequest) -> Suite:
    with tarfile.open(archive) as files:
        return read(files, request.param)


def read(files: tarfile.TarFile, draft: str) -> Suite:
    suite = Suite(draft, [], {})
    for name in sorted(files.getnames()):
        folder, _, file = name.partition("/json/")[2].rpartition("/")
        if not file.endswith(".json"):
            continue
        if folder == f"tests/{draft}":
            suite.cases.extend(of_file(file, load(files, name)))
        elif folder.startswith("remotes"):
            address = f"{folder.removeprefix('remotes')}/{file}".lstrip("/")
            if address == LATER and draft == "draft7":
                continue
            if not address.startswith("draft") or address.startswith(f"{draft}/"):
                suite.remotes[REMOTES + address] = load(files, name)
    return suite


def load(files: tarfile.TarFile, name: str) -> Any:
    content = files.extractfile(name)
    assert content is not None
    return json.load(content)


def of_file(file: str, groups: Any) -> Iterator[Case]:
    for group in groups:
        title = f"{file}: {group['description']}"
        for case in group["tests"]:
            name = f"{title}: {case['description']}"
            yield Case(name, title, group["schema"], case["data"], case["valid"])


# -- the libraries as they are ---------------------------------------------------------------------


def as_it_is(library: str, suite: Suite, schema: Any) -> Any:
    """Compile *schema* by the library alone, with the suite's remote documents and no network."""
    modern = suite.draft == "draft2020-12"
    if library == "jsonschema":
        registry: Any = REGISTRY.with_resources(
            (address, Resource.from_contents(document, DRAFT202012 if modern else DRAFT7))
            for address, document in suite.remotes.items()
        )
        cls: Any = Draft202012Validator if modern else Draft7Validator
        return cls(schema, registry=registry)
    draft = jsonschema_rs.Draft202012 if modern else jsonschema_rs.Draft7
    known = jsonschema_rs.Registry(suite.remotes.items(), draft=draft)
    fast = jsonschema_rs.Draft202012Validator if modern else jsonschema_rs.Draft7Validator
    return fast(schema, registry=known, offline=True)


def differences(library: str, suite: Suite) -> Iterator[str]:
    """Yield the group of each case that the library sees otherwise than the suite."""
    compiled: dict[str, Any] = {}
    for case in suite.cases:
        try:
            known = compiled.setdefault(case.group, None) or as_it_is(library, suite, case.schema)
            compiled[case.group] = known
            verdict = known.is_valid(case.data)
        except Exception as error:
            verdict = type(error).__name__
        if verdict is not case.valid:
            yield case.group


@pytest.mark.parametrize("library", ["jsonschema", "jsonschema_rs"])
def test_the_libraries_say_what_the_suite_says(suite: Suite, library: str) -> None:
    """Every case, but for an exact list; who upgrades a library hears of a change here."""
    assert len(suite.cases) == CASES[suite.draft][0]
    assert Counter(differences(library, suite)) == KNOWN.get((library, suite.draft), {})


# -- what this package makes of them ---------------------------------------------------------------


@attrs.define
class Accepted:
    """The cases under the schemas that the profile accepts, and why it refuses others."""

    cases: list[tuple[Case, CompiledSchema]] = attrs.Factory(list)
    refused: Counter[str] = attrs.Factory(Counter)


@pytest.fixture(scope="module")
def accepted(suite: Suite) -> Accepted:
    found, registry = Accepted(), SchemaRegistry()
    compiled: dict[str, CompiledSchema | None] = {}
    for case in suite.cases:
        if case.group not in compiled:
            try:
                compiled[case.group] = registry.compile(of_its_draft(suite, case.schema))
            except SchemaInvalid as error:
                compiled[case.group] = None
                reason = next(why for words, why in WORDS.items() if words in error.message)
                found.refused[reason] += 1
        known = compiled[case.group]
        if known is not None:
            found.cases.append((case, known))
    return found


def of_its_draft(suite: Suite, schema: Any) -> Any:
    """The suite's folder says which draft a schema is of; to us the schema has to say it."""
    if suite.draft == "draft7" and isinstance(schema, dict):
        return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    return schema


def test_what_the_profile_refuses_is_known(suite: Suite, accepted: Accepted) -> None:
    """Every schema of the suite that is not accepted is outside for a reason of ours."""
    assert accepted.refused == OUTSIDE[suite.draft]


def test_the_reference_says_what_the_suite_says(suite: Suite, accepted: Accepted) -> None:
    """Not one case differs."""
    assert len(accepted.cases) == CASES[suite.draft][1]
    wrong = [c.name for c, known in accepted.cases if (not known._issues(c.data)) != c.valid]
    assert wrong == []


def test_the_quick_judge_says_what_the_suite_says(suite: Suite, accepted: Accepted) -> None:
    """Nor here, where it judges at all."""
    judged = [(case, known._holds) for case, known in accepted.cases if known._holds]
    assert len(judged) == CASES[suite.draft][2]
    wrong = [c.name for c, holds in judged if holds(seen(c.data)) != c.valid]
    assert wrong == []


def seen(data: Any) -> Shape:
    shape = shape_of(data)
    assert shape is not None
    return shape
