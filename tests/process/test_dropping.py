"""Invalid elements of real workers' results are dropped, and their neighbours stay.

The same whichever way a hook is called: what is dropped, what stays, and what is said of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nxkernel as nx
from nxkernel.audit.records import CallRecord
from nxkernel.schemas import leading
from tests.process.conftest import Opens
from tests.support.calls import FakeClock
from tests.support.keywords import CASES, DEFS
from tests.support.zoo import Hooks, allow, copies, events, folder, recorded

TOKENS = {
    "type": "array",
    "items": {"$ref": "urn:nxkernel:sst:token:1"},
    "x-nx-each": "token",
    "maxItems": 10,
}
HOOKS = ("act", "echo", "first", "ask_b", "wrapped")
LOST = {"code": "out_of_range", "kind": "token", "path": "/1"}


def word(number: int, **changes: Any) -> dict[str, Any]:
    """Return a token, valid but for *changes*."""
    box = [10 * number, 0, 10 * number + 9, 9]
    token = {"token_id": f"t{number}", "text": "w", "bbox": box, "confidence_bp": 9000}
    return token | changes


GOOD, BAD, LAST = word(0), word(1, confidence_bp=10_001), word(2)
MIXED = [GOOD, BAD, LAST]
MESSAGE = "confidence_bp: expected at most 10000"


def sorting(
    data: Path,
    *animals: str,
    folders: Sequence[Path] = (),
    contracts: Any = None,
    rules: Sequence[nx.Rule] = (),
    breaker: nx.Breaker | None = None,
    clock: Any = None,
    **options: Any,
) -> nx.Kernel:
    """Return a kernel whose every hook returns tokens that stand for themselves."""
    run = nx.Run.create(data, seed=7, clock=clock)
    tokens = {hook: {"output": TOKENS} for hook in HOOKS}
    stack = nx.standard_stack(run, rules=rules, contracts=contracts or tokens)
    return nx.Kernel(
        "zoo",
        specs=[Hooks],
        run=run,
        plugins=nx.discover(*map(folder, animals), *folders),
        middleware=[breaker or m if isinstance(m, nx.Breaker) else m for m in stack],
        **options,
    )


def opened(open_zoo: Opens, *animals: str, **options: Any) -> nx.Kernel:
    """Enter a kernel over *animals*."""
    return open_zoo(sorting, *animals, **options).kernel


def told(outcome: nx.Outcome) -> list[tuple[str, str, str, str, str]]:
    """Return what the diagnostics of *outcome* say."""
    found = outcome.diagnostics
    return [(d.code, d.path, d.kind, d.provider, d.message) for d in found]


def last_row(kernel: nx.Kernel, plugin: str) -> CallRecord:
    """Return the newest row of *plugin*."""
    return [row for row in recorded(kernel.run) if row.plugin == plugin][-1]


def test_neighbours_of_an_invalid_element_stay(open_zoo: Opens) -> None:
    """The value lacks it, the diagnostic names it, and the result says that it is not all."""
    kernel = opened(open_zoo, "finds")
    result = kernel.call("echo", value=MIXED)
    assert result.value == [[GOOD, LAST]]
    assert told(result[0]) == [("out_of_range", "/1", "token", "finds", MESSAGE)]
    assert result.diagnostics == result[0].diagnostics
    assert (result[0].lost, result.degraded, result.error) == (1 / 3, True, None)
    assert kernel.hook.echo(value=MIXED) == [[GOOD, LAST]]


def test_what_is_in_order_says_nothing(open_zoo: Opens) -> None:
    """A result with nothing to drop is the one that the worker sent."""
    result = opened(open_zoo, "finds").call("echo", value=[GOOD, LAST])
    assert result.value == [[GOOD, LAST]]
    assert (result.diagnostics, result.degraded, result[0].delivered_digest) == ((), False, None)


def test_the_record_has_what_crossed_and_what_was_delivered(open_zoo: Opens) -> None:
    """The row of the call has both digests, and code, kind and path of what was dropped."""
    kernel = opened(open_zoo, "finds")
    outcome = kernel.call("echo", value=MIXED)[0]
    whole = kernel.call("echo", value=[GOOD, LAST])[0]
    row = next(row for row in recorded(kernel.run) if row.call_id == outcome.call_id)
    assert outcome.delivered_digest == whole.output_digest != outcome.output_digest
    assert row.status == "ok"
    assert row.output_digest == outcome.output_digest
    assert row.details == {"delivered": whole.output_digest, "dropped": 1, "elements": [LOST]}


def test_each_provider_of_a_fan_out_loses_its_own(open_zoo: Opens, tmp_path: Path) -> None:
    """Diagnostics stand with the provider's outcome, in the order of the providers."""
    kernel = opened(open_zoo, folders=copies(tmp_path / "copies", "finds", ("b", "a")))
    result = kernel.call("echo", value=MIXED)
    assert result.value == [[GOOD, LAST], [GOOD, LAST]]
    assert [each.provider for each in result.diagnostics] == ["a", "b"]


def test_a_first_result_is_what_is_left(open_zoo: Opens, tmp_path: Path) -> None:
    """The first provider's answer counts though it lost something; nobody else is asked."""
    kernel = opened(open_zoo, folders=copies(tmp_path / "copies", "finds", ("b", "a")))
    result = kernel.call("first", value=MIXED)
    assert (result.value, result.degraded, len(result)) == ([GOOD, LAST], True, 1)
    assert [each.provider for each in result.diagnostics] == ["a"]


def test_a_plugin_that_asks_gets_what_is_left(open_zoo: Opens) -> None:
    """A brokered call is held to the same contract, and its caller's answer is degraded."""
    kernel = opened(
        open_zoo,
        "asks.a",
        "finds",
        rules=allow("asks.a", "ask_b"),
        grants={"asks.a": nx.Grant(calls=("ask_b",))},
    )
    result = kernel.call("ask_a", value=["ask_b", *MIXED])
    assert result.value == [["a", GOOD, LAST]]
    assert result.degraded
    assert result.diagnostics == ()
    details = last_row(kernel, "finds").details
    assert details is not None
    assert details["elements"] == [LOST]


def test_a_wrapper_adds_nothing_invalid(open_zoo: Opens) -> None:
    """What a wrapper makes of the results is held to the contract too, and is its own fault."""
    kernel = opened(open_zoo, "finds", "adds")
    result = kernel.call("wrapped", value={"found": MIXED, "added": [BAD, GOOD]})
    assert result.value == [[GOOD, LAST], [GOOD]]
    assert [(d.provider, d.path) for d in result.diagnostics] == [("finds", "/1"), ("adds", "/1/0")]
    broken = kernel.call("wrapped", value={"found": MIXED, "added": "none"})
    assert broken.error is not None
    assert broken.error.code == "contract.output"
    assert broken.error.message == (
        "result of 'adds' for hook 'wrapped' is outside the hook's contract: [1]: expected array, "
        "got string"
    )


def test_an_asynchronous_call_is_no_different(open_zoo: Opens) -> None:
    """`acall` gives the very same outcome."""
    kernel = opened(open_zoo, "finds")

    async def ask() -> nx.HookResult:
        return await kernel.acall("echo", value=MIXED)

    result = asyncio.run(ask())
    assert result.value == [[GOOD, LAST]]
    assert told(result[0]) == told(kernel.call("echo", value=MIXED)[0])


def test_a_builtin_is_no_different(open_zoo: Opens) -> None:
    """The application's own code is held to its own contract."""
    mark = nx.HookimplMarker("zoo")

    class Own:
        @mark
        def echo(self, value: Any) -> Any:
            return value

    result = opened(open_zoo, builtins={"own": Own()}).call("echo", value=MIXED)
    assert result.value == [[GOOD, LAST]]
    assert [each.provider for each in result.diagnostics] == ["own"]


def test_a_fault_of_the_whole_refuses_the_whole(open_zoo: Opens) -> None:
    """What is wrong with no element in particular is a violation as ever."""
    many = [word(number) for number in range(11)]
    outcome = opened(open_zoo, "finds").call("echo", value=many)[0]
    assert outcome.error is not None
    assert (outcome.error.code, outcome.fault) == ("contract.output", "plugin")
    assert outcome.error.message.endswith("expected at most 10 items")
    assert outcome.diagnostics == ()


def test_artifacts_are_held_to_the_frame_that_was_given(open_zoo: Opens) -> None:
    """What a result may refer to is what stands in it and what the provider was given."""
    argument = {
        "type": "object",
        "properties": {
            "frame": {"$ref": "urn:nxkernel:sst:frame:1"},
            "found": TOKENS,
        },
    }
    contracts = {
        "wrapped": {
            "input": {"type": "object", "properties": {"value": argument}},
            "output": TOKENS,
        }
    }
    kernel = opened(open_zoo, "finds", contracts=contracts)
    frame = {"frame_id": "f", "width": 25, "height": 25}
    result = kernel.call("wrapped", value={"frame": frame, "found": [GOOD, LAST, GOOD]})
    assert result.value == [[GOOD]]
    assert [(d.code, d.path, d.message) for d in result.diagnostics] == [
        ("outside", "/1", "bbox: the box leaves the frame of 25 x 25"),
        ("repeated_id", "/2", "token_id: another token of the list has this id"),
    ]


def test_the_breaker_counts_what_was_lost(open_zoo: Opens) -> None:
    """A result that lost half costs half a failure; all of it lost is a whole one."""
    breaker = nx.Breaker(failures=3)
    kernel = opened(open_zoo, "finds", breaker=breaker, clock=FakeClock())
    kernel.call("echo", value=[GOOD, BAD])
    assert kernel.health()["finds"].breakers[0].budget == 2.5
    kernel.call("echo", value=[BAD, {**BAD, "token_id": "t9"}])
    assert kernel.health()["finds"].breakers[0].budget == 1.5
    kernel.call("echo", value=[BAD])
    outcome = kernel.call("echo", value=[GOOD])[0]
    assert outcome.error is not None
    assert outcome.error.code == "breaker.open"
    (event,) = events(kernel.run, "breaker.open")
    assert event.data["code"] == "contract.output"


def test_each_keyword_of_the_profile_drops_its_artifact(open_zoo: Opens) -> None:
    """Whatever a schema says of an element, a real worker's invalid one goes and two stay."""
    lists = {
        case.keyword: {"type": "array", "items": case.schema, "x-nx-each": "thing"}
        for case in CASES
    }
    output = {"type": "object", "properties": lists, "$defs": dict(DEFS)}
    kernel = opened(open_zoo, "finds", contracts={"echo": {"output": output}})
    value = {case.keyword: [case.good, case.value, case.good] for case in CASES}
    outcome = kernel.call("echo", value=value)[0]
    assert outcome.value == {case.keyword: [case.good, case.good] for case in CASES}
    first = {case.keyword: leading(sorted(case.issues)) for case in CASES}
    assert [(d.path, d.code, d.message) for d in outcome.diagnostics] == [
        (f"/{keyword}/1", first[keyword].code, str(first[keyword])) for keyword in sorted(first)
    ]


def test_health_and_explain_tell_of_it(open_zoo: Opens) -> None:
    """One sees which plugin loses elements, and from which results they may be dropped."""
    kernel = opened(open_zoo, "finds")
    kernel.call("echo", value=MIXED)
    kernel.call("echo", value=MIXED)
    assert kernel.health()["finds"].dropped == kernel.plugins["finds"].dropped == 2
    assert "2 invalid elements dropped" in str(kernel.health())
    assert kernel.explain("echo").alone == (("token", "the result"),)
    assert "dropped alone if invalid: each token of the result" in str(kernel.explain("echo"))


def test_the_same_result_loses_the_same(open_zoo: Opens) -> None:
    """Order and words of diagnostics depend on the value alone."""
    kernel = opened(open_zoo, "finds")
    wrong = [word(9), word(3, text=""), {"token_id": "t4"}, word(9), word(5, bbox=[9, 0, 8, 1])]
    first = kernel.call("echo", value=wrong)[0]
    assert [(d.path, d.code) for d in first.diagnostics] == [
        ("/1", "wrong_size"),
        ("/2", "missing"),
        ("/3", "repeated_id"),
        ("/4", "inverted"),
    ]
    again = kernel.call("echo", value=wrong)[0]
    assert told(again) == told(first)
    assert again.delivered_digest == first.delivered_digest
