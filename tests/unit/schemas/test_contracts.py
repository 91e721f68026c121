"""The schemas that ship with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from nxkernel.errors import SchemaInvalid
from nxkernel.schemas import SchemaRegistry, load_contract, own

NAMES = ["lockfile.schema.json", "plugin_manifest.schema.json"]
#: What contracts of ours judge: nothing, and something of the wrong kind.
GIVEN = [{}, {"schema_version": "1"}, [], {"schema_version": 1, "id": "A B", "plugins": {}}]


@pytest.mark.parametrize("name", NAMES)
def test_contracts_are_found_and_inside_our_own_profile(name: str) -> None:
    """What we publish is a schema that we would accept from others, so no boot checks it again."""
    checked = SchemaRegistry().compile(load_contract(name), name=name)
    assert own(name) is own(name)
    assert (own(name).schema, own(name).digest) == (checked.schema, checked.digest)
    assert [own(name).validate(given) for given in GIVEN] == [
        checked.validate(given) for given in GIVEN
    ]


def test_each_caller_gets_a_contract_of_its_own() -> None:
    """Changing what was loaded changes nothing for the next caller."""
    load_contract(NAMES[0]).clear()
    assert load_contract(NAMES[0])["title"] == "Lockfile"


@pytest.mark.parametrize("name", ["", "..", ".", "nope.json", "../pyproject.toml", "a\0b", "\\x"])
def test_anything_else_is_refused(name: str) -> None:
    """Only a file name of a contract is looked for."""
    with pytest.raises(SchemaInvalid, match="none of the contracts"):
        load_contract(name)


def test_an_installed_package_carries_its_contracts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a wheel they are in the package, and that copy goes before a folder beside it."""
    package = tmp_path / "site" / "nxkernel"
    (package / "contracts").mkdir(parents=True)
    (package / "contracts" / "one.json").write_text('{"title": "packaged"}')
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "one.json").write_text('{"title": "checkout"}')
    (tmp_path / "contracts" / "two.json").write_text('{"title": "checkout"}')
    monkeypatch.setattr("nxkernel.schemas.contracts.files", lambda _: package)
    assert load_contract("one.json")["title"] == "packaged"
    assert load_contract("two.json")["title"] == "checkout"
