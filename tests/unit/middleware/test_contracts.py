"""What goes to a plugin, and what comes back, satisfies its schemas or is stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from nxkernel.errors import KernelConfigError, ManifestInvalid, SettingsInvalid
from nxkernel.middleware.contracts import Contracts, as_json
from nxkernel.types import Outcome
from tests.support.calls import Boot, a_call, a_plugin, a_spec, answered, drive, failed

INPUT = {
    "type": "object",
    "properties": {"page": {"type": "integer", "minimum": 1}},
    "required": ["page"],
}
OUTPUT = {"type": "array", "items": {"type": "string"}}
SMALL = {"type": "object", "properties": {"page": {"type": "integer", "maximum": 9}}}
SHORT = {"type": "array", "maxItems": 1}
HOOKS = {"read_tokens": {"input": INPUT, "output": OUTPUT}}
NARROWED = a_plugin("ocr.rapid", contracts={"read_tokens": {"input": SMALL, "output": SHORT}})


def booted(hooks: Any = None, *plugins: Any) -> Contracts:
    contracts = Contracts(hooks)
    contracts.boot(Boot(plugins=list(plugins)).facts())
    return contracts


def check(contracts: Contracts, arguments: Any, value: Any = None, **changes: Any) -> Outcome:
    call = a_call(arguments, **changes)
    return drive(contracts, call, answered(call, value))


def test_what_satisfies_the_contracts_passes() -> None:
    """A call within both contracts comes back as it was."""
    outcome = check(booted(HOOKS, NARROWED), {"page": 3}, ["x"])
    assert outcome == answered(a_call({"page": 3}), ["x"])


def test_without_contracts_everything_passes() -> None:
    """A hook that nobody described is not checked."""
    assert check(booted(), {"page": "x"}, {"any": "thing"}).ok


def test_arguments_outside_the_hooks_contract_are_the_callers_fault() -> None:
    """The refusal names the argument and what was expected, and the plugin is not asked."""
    outcome = check(booted(HOOKS), {"page": 0}, ["x"])
    assert outcome.error is not None
    assert outcome.error.code == "contract.input"
    assert outcome.fault == "caller"
    assert outcome.error.message == (
        "arguments of hook 'read_tokens' are outside the hook's contract: page: expected at least 1"
    )
    assert outcome.error.details == {
        "contract": "hook",
        "issues": [
            {
                "code": "out_of_range",
                "instance_path": "/page",
                "keyword": "minimum",
                "schema_path": "/properties/page/minimum",
                "message": "expected at least 1",
            }
        ],
    }


def test_arguments_outside_the_plugins_contract_are_not_for_it() -> None:
    """A plugin that accepts less than the hook is passed over, and neither side is blamed."""
    outcome = check(booted(HOOKS, NARROWED), {"page": 10}, ["x"])
    assert outcome.error is not None
    assert outcome.error.code == "provider.not_applicable"
    assert outcome.fault == "host"
    assert "the contract of 'ocr.rapid': page: expected at most 9" in outcome.error.message
    assert check(booted(HOOKS, NARROWED), {"page": 10}, ["x"], plugin="ocr.other").ok


def test_the_hooks_contract_comes_first() -> None:
    """Arguments that violate both contracts are the caller's fault."""
    hooks = {"read_tokens": {"input": {"properties": {"page": {"type": "integer"}}}}}
    outcome = check(booted(hooks, NARROWED), {"page": "ten"})
    assert outcome.error is not None
    assert outcome.error.code == "contract.input"


@pytest.mark.parametrize(
    ("value", "whose", "path"),
    [([1], "the hook's contract", "/0"), (["a", "b"], "the plugin's own contract", "")],
)
def test_a_result_outside_a_contract_is_removed(value: Any, whose: str, path: str) -> None:
    """The outcome keeps its digest and timing, loses the value, and blames the plugin."""
    call = a_call({"page": 1})
    given = answered(call, value, output_digest="sha256:ab", output_bytes=7)
    outcome = drive(booted(HOOKS, NARROWED), call, given)
    assert outcome.error is not None
    assert outcome.error.code == "contract.output"
    assert outcome.fault == "plugin"
    assert outcome.value is None
    assert outcome.error.message.startswith(
        f"result of 'ocr.rapid' for hook 'read_tokens' is outside {whose}: "
    )
    assert outcome.error.details["issues"][0]["instance_path"] == path
    assert attrs.evolve(outcome, value=value, error=None, fault=None) == given


def test_a_message_counts_what_it_does_not_show() -> None:
    """Several issues are all in the details, and the message says how many."""
    outcome = check(booted(HOOKS), {"page": 1}, [1, 2, 3])
    assert outcome.error is not None
    assert outcome.error.message.endswith("[0]: expected string, got integer (and 2 more)")
    assert len(outcome.error.details["issues"]) == 3


def test_no_answer_is_not_checked() -> None:
    """None is pluggy's "no answer" and satisfies every output contract."""
    assert check(booted(HOOKS, NARROWED), {"page": 1}, None).ok


def test_a_failure_stays_what_it_was() -> None:
    """An outcome without a value is not checked."""
    call = a_call({"page": 1})
    given = failed(call)
    assert drive(booted(HOOKS), call, given) == given


def test_a_wrapper_is_checked_on_its_way_in_only() -> None:
    """Setup checks the arguments; what a wrapper returns is the hook's value, not a provider's."""
    contracts = booted(HOOKS)
    setup = check(contracts, {"page": 0}, phase="setup")
    assert setup.error is not None
    assert setup.error.code == "contract.input"
    assert check(contracts, {"page": 1}, "token", phase="setup").ok
    assert check(contracts, {"result": 5}, 5, phase="teardown").ok


def test_a_verdict_is_about_its_own_arguments() -> None:
    """Good arguments before or after do not vouch for bad ones, nor one hook for another."""
    hooks = {"read_tokens": {"input": INPUT}, "read_lines": {"input": SMALL}}
    specs = [a_spec("read_tokens"), a_spec("read_lines")]
    contracts = Contracts(hooks)
    contracts.boot(Boot(specs=specs).facts())
    assert check(contracts, {"page": 10}).ok
    assert not check(contracts, {"page": 10}, hook="read_lines").ok
    assert not check(contracts, {"page": 0}).ok
    assert check(contracts, {"page": 10}).ok
    assert not check(contracts, {"page": 0}).ok


def test_bytes_are_described_and_never_shown() -> None:
    """A contract sees how many bytes there are, in arguments and in results."""
    described = {
        "type": "object",
        "properties": {"$bytes": {"type": "integer", "maximum": 3}},
        "required": ["$bytes"],
    }
    hooks = {"read_tokens": {"input": {"properties": {"raw": described}}, "output": described}}
    contracts = booted(hooks)
    assert check(contracts, {"raw": b"abc"}, b"abc").ok
    outcome = check(contracts, {"raw": b"abc"}, b"abcd")
    assert outcome.error is not None
    assert outcome.error.details["issues"][0]["instance_path"] == "/$bytes"
    assert not check(contracts, {"raw": b"abcd"}).ok


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (b"abc", {"$bytes": 3}),
        ({"a": [b"", (b"x",)]}, {"a": [{"$bytes": 0}, [{"$bytes": 1}]]}),
        ({"$bytes": 3}, {"$$bytes": 3}),
        ({"$$bytes": 3, "bytes": 1, "$byte": 2}, {"$$$bytes": 3, "bytes": 1, "$byte": 2}),
    ],
    ids=["bytes", "nested", "no dict passes for bytes", "escaped again"],
)
def test_as_json(value: Any, seen: Any) -> None:
    """bytes become a description that no dict can imitate; the rest stays."""
    assert as_json(value) == seen


def test_settings_are_checked_at_boot() -> None:
    """Settings that their schema forbids disable the plugin, and the message names the key."""
    schema = {"type": "object", "properties": {"dpi": {"type": "integer"}}}
    booted(None, a_plugin("ocr.rapid", settings={"dpi": 300}, settings_schema=schema))
    with pytest.raises(SettingsInvalid, match="dpi: expected integer, got string") as caught:
        booted(None, a_plugin("ocr.rapid", settings={"dpi": "x"}, settings_schema=schema))
    assert caught.value.code == "settings.invalid"
    assert caught.value.plugin == "ocr.rapid"
    assert caught.value.details["issues"][0]["instance_path"] == "/dpi"


def test_the_first_plugin_by_id_is_reported() -> None:
    """Which of several mistakes is named does not depend on the order of plugins."""
    schema = {"type": "object", "required": ["dpi"]}
    plugins = [a_plugin(name, settings_schema=schema) for name in ("b", "a", "c")]
    with pytest.raises(SettingsInvalid) as caught:
        booted(None, *plugins)
    assert caught.value.plugin == "a"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"contracts": {"read_tokens": {"output": {"type": "text"}}}}, "contracts.read_tokens."),
        ({"settings_schema": {"type": "text"}}, "settings.schema#"),
    ],
)
def test_a_plugins_bad_schema_disables_that_plugin(change: Any, place: str) -> None:
    """A malformed schema in a manifest is that plugin's mistake, found at boot."""
    with pytest.raises(ManifestInvalid, match=place) as caught:
        booted(None, a_plugin("ocr.rapid", **change))
    assert caught.value.code == "manifest.invalid"
    assert caught.value.plugin == "ocr.rapid"


@pytest.mark.parametrize(
    ("hooks", "reason"),
    [
        ({"read_tokens": {"output": {"type": "text"}}}, r"\['read_tokens'\]\['output'\]#/type"),
        ({"read_token": {"output": {}}}, "no hook 'read_token'; the hooks are read_tokens"),
        ({"read_tokens": {"result": {}}}, "expected 'input' or 'output', got 'result'"),
        ({"read_tokens": [OUTPUT]}, "expected 'input' or 'output', got 'list'"),
    ],
)
def test_a_bad_contract_of_the_application_stops_the_boot(hooks: Any, reason: str) -> None:
    """The application's own mistakes are named with their place."""
    with pytest.raises(KernelConfigError, match=reason):
        booted(hooks)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("kind", [Path, str])
def test_contracts_from_a_folder(tmp_path: Path, kind: type) -> None:
    """Files named for hook and side are contracts; other files are not read."""
    write(tmp_path, "read_tokens.input.schema.json", json.dumps(INPUT))
    write(tmp_path, "read_tokens.output.schema.json", json.dumps(OUTPUT))
    write(tmp_path, "settings.schema.json", "no JSON at all")
    contracts = booted(kind(tmp_path))
    assert check(contracts, {"page": 1}, ["x"]).ok
    assert not check(contracts, {"page": 0}).ok
    assert not check(contracts, {"page": 1}, [1]).ok


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("read_tokens.input.schema.json", "{", "read_tokens.input.schema.json: not JSON: Expec"),
        ("read_tokens.input.schema.json", '{"type": "x"}', "read_tokens.input.schema.json#/type"),
        ("other.input.schema.json", "{}", "other.input.schema.json: no hook 'other'"),
    ],
)
def test_a_bad_file_stops_the_boot(tmp_path: Path, name: str, text: str, reason: str) -> None:
    """A file that cannot be a contract is named, without the folder's path."""
    write(tmp_path, name, text)
    with pytest.raises(KernelConfigError, match=reason) as caught:
        booted(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_folder_stops_the_boot(tmp_path: Path) -> None:
    """A folder that is not there is no folder without contracts."""
    with pytest.raises(KernelConfigError, match="no such folder"):
        booted(tmp_path / "absent")


def test_a_second_boot_starts_over() -> None:
    """A plugin that was disabled in between leaves no contract behind."""
    contracts = Contracts(HOOKS)
    contracts.boot(Boot(plugins=[NARROWED]).facts())
    assert not check(contracts, {"page": 10}).ok
    contracts.boot(Boot().facts())
    assert check(contracts, {"page": 10}, ["a", "b"]).ok
