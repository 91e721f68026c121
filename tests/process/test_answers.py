"""By no way does a claim leave the kernel that does not check out.

Real workers, and the stores that citations are looked up in. Each test is one way out.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import nxkernel as nx
from tests.support.answering import UNCITED, Own, Shop, shop
from tests.support.zoo import allow, events, recorded

ROOT = Path(__file__).resolve().parents[2]
MISSING = {"index": 0, "reason": "citation.missing", "message": "the claim cites nothing"}
#: What is left of an answer with one claim, which cited nothing.
NOTHING = {
    "claims": [],
    "state": "no_evidence",
    "rejected": [MISSING],
    "citations": {"checked": 0, "valid": 0},
}
FALSE = {"claims": [UNCITED], "state": "ok"}
Opens = Callable[..., Shop]


@pytest.fixture
def opened(confinement: None, tmp_path: Path) -> Iterator[Opens]:
    """Open kernels with evidence; each is closed at the end of the test."""
    with ExitStack() as stack:

        def opens(*animals: str, **options: Any) -> Shop:
            made = shop(tmp_path / "data", *(animals or ("claims",)), **options)
            stack.callback(made.records.close)
            stack.enter_context(made.kernel)
            return made

        yield opens


def texts(answer: Any) -> list[str]:
    return [claim["text"] for claim in answer["claims"]]


def reasons(answer: Any) -> list[tuple[int, str]]:
    return [(each["index"], each["reason"]) for each in answer["rejected"]]


def test_what_holds_leaves_and_what_does_not_is_named(opened: Opens) -> None:
    """Each claim that was removed has its place and its reason; the state says what is left."""
    made = opened()
    wrong = {"text": "42", "citations": [made.cited(quote="42 failed")]}
    result = made.kernel.call("reply", value={"claims": [wrong, made.true(), UNCITED]})
    answer = result.value
    assert texts(answer) == ["22 failed"]
    assert answer["state"] == "partial"
    assert reasons(answer) == [(0, "quote.mismatch"), (2, "citation.missing")]
    assert answer["citations"] == {"checked": 2, "valid": 1}
    assert result[0].value == answer
    whole = made.kernel.call("reply", value={"claims": [made.true()], "state": "no_evidence"})
    assert (whole.value["state"], whole.value["rejected"]) == ("ok", [])


def test_call_and_hook_and_unwrap(opened: Opens) -> None:
    """The hook's value and the provider's outcome are both what is left."""
    made = opened()
    result = made.kernel.call("reply", value=FALSE)
    assert result.value == result[0].value == result.unwrap() == NOTHING
    assert result[0].unwrap() == NOTHING
    assert made.kernel.hook.reply(value=FALSE) == NOTHING
    assert made.kernel.options(key="k").call("reply", value=FALSE).value == NOTHING


def test_asynchronous_calls(opened: Opens) -> None:
    """`acall` is no way round."""
    made = opened()

    async def ask() -> nx.HookResult:
        return await made.kernel.acall("reply", value=FALSE)

    assert asyncio.run(ask()).value == NOTHING


def test_fan_out(opened: Opens) -> None:
    """Each of several answers is checked by itself."""
    made = opened()
    result = made.kernel.call("replies", value={"claims": [made.true(), UNCITED]})
    (answer,) = result.value
    assert texts(answer) == ["22 failed"]
    assert result[0].value == answer


def test_fallback(opened: Opens) -> None:
    """The application's own words for a bad day need citations too."""
    made = opened()
    result = made.kernel.call("backed", value=None)
    assert result.degraded
    assert result.value == NOTHING


def test_wrappers(opened: Opens) -> None:
    """A wrapper may drop claims and not add any; what it says of the state counts for nothing."""
    made = opened("claims", "vouches")
    result = made.kernel.call("reply", value={"claims": [made.true()]})
    assert texts(result.value) == ["22 failed"]
    assert (result.value["state"], reasons(result.value)) == ("partial", [(1, "citation.missing")])
    several = made.kernel.call("replies", value={"claims": [made.true()]})
    assert [each["state"] for each in several.value] == ["ok", "no_evidence"]
    for outcome in (*result, *several):
        answers = outcome.value if isinstance(outcome.value, list) else [outcome.value]
        assert all(texts(each) in ([], ["22 failed"]) for each in answers if each)


def test_builtins(opened: Opens) -> None:
    """The application's own code is a provider like any other."""
    made = opened(builtins={"own": Own()})
    assert made.kernel.options(only={"own"}).call("reply", value=FALSE).value == NOTHING


def test_in_the_hosts_process(opened: Opens) -> None:
    """A plugin that is debugged without a wall gets no trust for it."""
    hosting = nx.Hosting(inproc_allowlist={"claims": "to look at it"})
    assert opened(hosting=hosting).kernel.call("reply", value=FALSE).value == NOTHING


def test_a_plugin_that_asks(opened: Opens) -> None:
    """A plugin is told nothing that does not hold, and so cannot pass it on."""
    made = opened(
        rules=allow("claims", "reply"),
        grants={"claims": nx.Grant(calls=("reply",))},
    )
    value = {"claims": [UNCITED, made.true()], "state": "ok"}
    relayed = made.kernel.call("relayed", value=value).value
    assert texts(relayed) == ["22 failed"]
    assert reasons(relayed) == [(0, "citation.missing")]


def test_no_middleware_at_all(opened: Opens) -> None:
    """No list of layers leaves it out: it is what the hook means, and no layer."""
    made = opened(bare=True)
    assert made.kernel.call("reply", value=FALSE).value == NOTHING
    for odd in ("yes", ["a", UNCITED], {"claims": "all of them"}, {"answer": 42}, 7):
        answer = made.kernel.call("reply", value=odd).value
        assert (answer["claims"], answer["state"]) == ([], "no_evidence")
    for odd in ("yes", [UNCITED], [[FALSE]]):
        (answers,) = made.kernel.call("replies", value=odd).value
        for answer in answers if isinstance(answers, list) else [answers]:
            assert (answer["claims"], answer["state"]) == ([], "no_evidence")


def test_a_layer_of_the_stack(opened: Opens) -> None:
    """A middleware that answers by itself, a cache for instance, is held to it as well."""

    class Cache:
        name = "cache"

        def boot(self, facts: Any) -> None: ...

        def around(self, call: nx.Call) -> Any:
            return nx.Outcome(
                plugin=call.plugin,
                impl=call.impl,
                hook=call.hook,
                call_id=call.call_id,
                value=FALSE,
            )
            yield call

        def close(self) -> None: ...

    made = opened(middleware=[Cache()])
    assert made.kernel.call("reply", value=None).value == NOTHING


def test_a_claim_of_the_wrong_form(opened: Opens) -> None:
    """What the contract drops is among the rejected, in its place."""
    made = opened()
    value = {"claims": [7, UNCITED, made.true(), {"text": "x"}], "state": "ok"}
    result = made.kernel.call("reply", value=value)
    assert texts(result.value) == ["22 failed"]
    assert reasons(result.value) == [
        (0, "claim.malformed"),
        (1, "citation.missing"),
        (3, "claim.malformed"),
    ]
    assert [each.path for each in result.diagnostics] == ["/claims/0", "/claims/3"]
    assert result.value["state"] == "partial"


def test_no_answer_is_no_answer(opened: Opens) -> None:
    """None stays pluggy's "I do not know"; it claims nothing."""
    assert opened().kernel.call("reply", value=None).value is None


def test_what_was_removed_is_on_record(opened: Opens) -> None:
    """The audit has the reasons and places, and none of the words."""
    made = opened()
    outcome = made.kernel.call("reply", value={"claims": [UNCITED, made.true()]})[0]
    (event,) = events(made.kernel.run, "answer.rejected")
    assert event.plugin == "claims"
    assert event.data == {
        "call": outcome.call_id,
        "claims": 1,
        "hook": "reply",
        "reasons": [{"index": 0, "reason": "citation.missing"}],
        "rejected": 1,
        "state": "partial",
    }
    (row,) = recorded(made.kernel.run, hook="reply")
    assert row.output_digest == outcome.output_digest != outcome.delivered_digest


def test_command_line(confinement: None, tmp_path: Path) -> None:
    """`nxkernel call` prints what is left, and nothing of what was claimed."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "nxkernel_cli", "call", "reply", "--json"),
            *("--app", "tests.support.answering:build_kernel"),
            *("--arg", f"value={json.dumps(FALSE)}"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout)["value"] == NOTHING, done.stderr
    assert "anything" not in done.stdout + done.stderr
