"""What goes to a plugin, and what comes back, satisfies its schemas or is stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nxkernel._blob import Blob
from nxkernel._canonical import encode, surveyed
from nxkernel.errors import KernelConfigError, ManifestInvalid
from nxkernel.middleware.contracts import Contracts, as_json
from nxkernel.schemas.annotated import BLOB
from nxkernel.types import Outcome
from tests.support.calls import Boot, a_call, a_plugin, a_spec, answered, drive, failed
from tests.support.schemas import VALUES

INPUT = {
    "type": "object",
    "properties": {"page": {"type": "integer", "minimum": 1}},
    "required": ["page"],
}
OUTPUT = {"type": "array", "items": {"type": "string"}}
SMALL = {
    "type": "object",
    "properties": {"page": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["page"],
}
SHORT = {"type": "array", "items": {"type": "string"}, "maxItems": 1}
PICTURE = Blob(b"\x89PNG", "image/png")
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


@given(value=VALUES | st.binary(max_size=3) | st.lists(st.text(max_size=3), max_size=3))
def test_what_was_seen_of_a_result_makes_it_neither_better_nor_worse(value: Any) -> None:
    """Told with its shape, which is the quick way, it has the same outcome as without."""
    call, shape = a_call({"page": 3}), surveyed(encode(value))
    for contracts in (booted(HOOKS, NARROWED), booted(HOOKS), booted()):
        seen, unseen = (
            drive(contracts, call, answered(call, shape.value, shape=each))
            for each in (shape, None)
        )
        assert attrs.evolve(seen, shape=None) == unseen


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


def test_what_was_seen_of_another_value_is_not_believed() -> None:
    """A middleware that replaces the value has it looked through anew."""
    call = a_call({"page": 1})
    shape = surveyed(encode(["a"]))
    contracts = booted(HOOKS, NARROWED)
    assert drive(contracts, call, answered(call, shape.value, shape=shape)).error is None
    for other in (("a",), [1], [float("nan")]):
        outcome = drive(contracts, call, answered(call, other, shape=shape))
        assert (outcome.error is None) is (other == ("a",))


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


@pytest.mark.parametrize(
    ("side", "schema", "gap"),
    [
        ("output", {"type": ["array", "null"]}, "the value itself: allows null"),
        ("output", {"type": "array"}, "/*: allows"),
        ("input", {**SMALL, "required": []}, "/page: may be missing"),
        ("input", {**SMALL, "properties": {}}, "/page: allows array"),
    ],
)
def test_a_contract_that_widens_the_hooks_disables_its_plugin(
    side: str, schema: Any, gap: str
) -> None:
    """Narrowing is shown or refused, with the place that is open and what to do."""
    plugin = a_plugin("ocr.rapid", contracts={"read_tokens": {side: schema}})
    with pytest.raises(ManifestInvalid) as raised:
        booted(HOOKS, plugin)
    assert f"contracts.read_tokens.{side} cannot be shown" in raised.value.message
    assert gap in raised.value.message
    assert raised.value.plugin == "ocr.rapid"


@attrs.frozen
class Word:
    text: str
    score: int = 0


def read_tokens(page: int, hint: str = "") -> list[Word]:
    """A hookspec with annotations."""
    raise AssertionError("a hookspec is not called")


def annotated() -> Contracts:
    contracts = Contracts()
    spec = attrs.evolve(a_spec("read_tokens"), args=("page", "hint"), function=read_tokens)
    contracts.boot(attrs.evolve(Boot().facts(), specs={"read_tokens": spec}))
    return contracts


@pytest.mark.parametrize("arguments", [{"page": "x", "hint": ""}, {"page": 1, "hint": None}, {}])
def test_annotations_are_a_contract_for_arguments(arguments: Any) -> None:
    """Plain types count as much as classes do, and what has no default is required."""
    outcome = check(annotated(), arguments, [])
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("contract.input", "caller")


@pytest.mark.parametrize("value", [["x"], [{"score": 1}], [{"text": "a", "score": 0, "more": 1}]])
def test_annotations_are_a_contract_for_results(value: Any) -> None:
    """A class is a map of its fields, and nothing beside them."""
    outcome = check(annotated(), {"page": 1, "hint": ""}, value)
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("contract.output", "plugin")
    assert check(annotated(), {"page": True}, [{"text": "a"}]).ok


def test_a_schema_of_the_application_stands_in_for_the_annotations() -> None:
    """Whoever writes one has said it better."""
    contracts = Contracts({"read_tokens": {"output": {"type": "string"}}})
    spec = attrs.evolve(a_spec("read_tokens"), args=("page",), function=read_tokens)
    contracts.boot(attrs.evolve(Boot().facts(), specs={"read_tokens": spec}))
    assert check(contracts, {"page": 1}, "text").ok


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


def test_a_wrapper_is_checked_on_its_way_in() -> None:
    """Setup checks the arguments; what a wrapper makes of a whole fan-out is its own matter."""
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
        (PICTURE, {"$blob": PICTURE.digest, "media": "image/png", "size": 4}),
        ([{"a": PICTURE}], [{"a": {"$blob": PICTURE.digest, "media": "image/png", "size": 4}}]),
        ({"$bytes": 3}, {"$$bytes": 3}),
        ({"$blob": 3, "$$blob": 4, "$blobs": 5}, {"$$blob": 3, "$$$blob": 4, "$blobs": 5}),
        ({"$$bytes": 3, "bytes": 1, "$byte": 2}, {"$$$bytes": 3, "bytes": 1, "$byte": 2}),
    ],
    ids=[
        "bytes",
        "nested",
        "blob",
        "nested blob",
        "no dict passes for bytes",
        "nor for a blob",
        "escaped again",
    ],
)
def test_as_json(value: Any, seen: Any) -> None:
    """bytes and blobs become a description that no dict can imitate; the rest stays."""
    assert as_json(value) == seen


@pytest.mark.parametrize("key", ["$blob", "$bytes"])
def test_no_dict_passes_for_binary_data(key: str) -> None:
    """Neither built by the application nor decoded from a plugin's answer."""
    described = {"type": "object", "required": [key]}
    hooks = {"read_tokens": {"input": {"properties": {"raw": described}}, "output": described}}
    forged = {key: "sha256:00", "media": "image/png", "size": 1}
    assert not check(booted(hooks), {"raw": forged}).ok
    call, shape = a_call({"raw": PICTURE if key == "$blob" else b""}), surveyed(encode(forged))
    outcome = drive(booted(hooks), call, answered(call, shape.value, shape=shape))
    assert outcome.error is not None
    assert outcome.error.code == "contract.output"


def look(image: Blob) -> list[Blob]:
    """A hookspec of blobs."""
    raise AssertionError("a hookspec is not called")


def test_a_plugin_may_narrow_what_a_blob_may_be() -> None:
    """The annotation is the hook's contract; a manifest constrains size and media type of it."""
    boot = Boot(specs=[attrs.evolve(a_spec("look"), args=("image",), function=look)])
    whole = Contracts().published(boot.facts().specs)["look"]
    assert whole["output"] == {"type": "array", "items": BLOB}
    image = {
        **BLOB,
        "properties": {
            **BLOB["properties"],
            "media": {"enum": ["image/jpeg", "image/png"]},
            "size": {"type": "integer", "minimum": 1, "maximum": 1 << 20},
        },
    }
    narrower = {**whole["input"], "properties": {"image": image}}
    boot.plugins.append(a_plugin("ocr.rapid", contracts={"look": {"input": narrower}}))
    contracts = Contracts()
    contracts.boot(boot.facts())
    text = Blob(b"x", "text/plain")
    for image, code in (
        (PICTURE, ""),
        (text, "provider.not_applicable"),
        (b"raw", "contract.input"),
    ):
        outcome = check(contracts, {"image": image}, [text], hook="look")
        assert (outcome.error.code if outcome.error else "") == code


def test_the_first_plugin_by_id_is_reported() -> None:
    """Which of several mistakes is named does not depend on the order of plugins."""
    wrong = {"read_tokens": {"output": {"type": "text"}}}
    with pytest.raises(ManifestInvalid) as caught:
        booted(None, *(a_plugin(name, contracts=wrong) for name in ("b", "a", "c")))
    assert caught.value.plugin == "a"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"contracts": {"read_tokens": {"output": {"type": "text"}}}}, "contracts.read_tokens."),
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


def test_each_edition_has_its_own_contracts() -> None:
    """While two are there, a call is judged by those of the one it asks."""
    contracts = booted(HOOKS, NARROWED)
    contracts.plugin_added(a_plugin("ocr.rapid", edition=2))
    assert not check(contracts, {"page": 10}, ["x"], edition=1).ok
    assert check(contracts, {"page": 10}, ["x", "y"], edition=2).ok
    contracts.plugin_removed(NARROWED)
    assert check(contracts, {"page": 10}, ["x"], edition=1).ok


def test_an_edition_with_a_bad_contract_is_refused() -> None:
    """As at boot, and the one that is there stays as it is."""
    contracts = booted(HOOKS, NARROWED)
    with pytest.raises(ManifestInvalid):
        contracts.plugin_added(
            a_plugin("ocr.rapid", edition=2, contracts={"read_tokens": {"input": {"type": 7}}})
        )
    assert not check(contracts, {"page": 10}, ["x"]).ok


def test_an_unknown_kind_of_artifact_stops_the_boot() -> None:
    """A mark with a typing error would check nothing, so that it is refused; in a manifest too."""
    odd = {"read_tokens": {"output": {"type": "object", "x-nx-artifact": "tokne"}}}
    with pytest.raises(KernelConfigError, match="no kind 'tokne'; the kinds are action, answer"):
        booted(odd)
    with pytest.raises(ManifestInvalid, match="no kind 'tokne'"):
        booted(None, a_plugin("ocr.rapid", contracts=odd))


ANSWER = "urn:nxkernel:sst:answer:1"
TOKEN = "urn:nxkernel:sst:token:1"


def returning(name: str) -> Any:
    """Boot facts of one hook that returns what is published as *name*."""
    spec = a_spec("read_tokens")
    return attrs.evolve(spec, options=attrs.evolve(spec.options, returns=name))


def boot(hooks: Any, spec: Any, *plugins: Any) -> Contracts:
    contracts = Contracts(hooks)
    contracts.boot(Boot(specs=[spec], plugins=list(plugins)).facts())
    return contracts


def test_what_a_hookspec_returns_is_its_contract() -> None:
    """The published schema holds without a line in any folder, and is exported whole."""
    spec = returning(TOKEN)
    outcome = check(boot(None, spec), {}, {"token_id": "t"})
    assert outcome.error is not None
    assert outcome.error.message.startswith(
        "result of 'ocr.rapid' for hook 'read_tokens' is outside the hook's contract: missing key"
    )
    exported = Contracts().published({"read_tokens": spec})["read_tokens"]["output"]
    assert exported["$ref"] == f"#/$defs/{TOKEN}"
    assert exported["$defs"][TOKEN]["title"] == "A word and where it stands"


def test_a_contract_may_narrow_what_a_hookspec_returns() -> None:
    """A folder may say more than the published schema, and never something else."""
    short = {"$ref": TOKEN, "properties": {"text": {"maxLength": 3}}}
    assert boot({"read_tokens": {"output": {"allOf": [{"$ref": TOKEN}, short]}}}, returning(TOKEN))
    with pytest.raises(KernelConfigError, match="cannot be shown to be narrower than urn:nxkernel"):
        boot({"read_tokens": {"output": {"type": "object"}}}, returning(TOKEN))


def test_a_hook_that_returns_nothing_published_is_refused() -> None:
    """A name that nobody knows stops the boot."""
    with pytest.raises(KernelConfigError, match="hookspec 'read_tokens'#/"):
        boot(None, returning("urn:nxkernel:sst:tokne:1"))


def test_an_answer_leaves_only_by_a_hook_that_says_so() -> None:
    """A contract cannot have an answer pass for anything else, and neither can a manifest."""
    hooks = {"read_tokens": {"output": {"type": "array", "items": {"$ref": ANSWER}}}}
    with pytest.raises(KernelConfigError, match="describes an answer, which leaves only by a hook"):
        boot(hooks, a_spec("read_tokens"))
    with pytest.raises(ManifestInvalid, match="describes an answer, which leaves only by a hook"):
        boot(None, a_spec("read_tokens"), a_plugin("ocr.rapid", contracts=hooks))
    assert boot({"read_tokens": {"output": ANSWER}}, returning(ANSWER))
