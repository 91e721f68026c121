"""Who may call what: default deny between plugins, deny wins, and a reason that helps."""

from __future__ import annotations

from typing import Any

import pytest

from nxkernel.errors import KernelConfigError
from nxkernel.middleware.policy import PolicyGate, Rule
from nxkernel.settings import Grant
from nxkernel.types import Outcome
from tests.support.calls import Boot, a_call, a_plugin, a_spec, drive

ALLOW = Rule("allow", "answer.*", "read_tokens", id="answers-may-read")
SPECS = [a_spec("read_tokens"), a_spec("prompt_bundle_snapshot", "prompt.bundle")]


def boot(requires: tuple[str, ...] = (), calls: tuple[str, ...] = ()) -> Boot:
    """One caller, with what it requests and what it was granted."""
    caller = a_plugin("answer.plain", requires=requires, grant=Grant(calls=calls))
    return Boot(plugins=[caller, a_plugin("ocr.rapid")], specs=SPECS)


def brokered(hook: str = "read_tokens", caller: str = "answer.plain") -> Any:
    return a_call(caller=caller, parent="3", depth=1, hook=hook)


def decide(gate: PolicyGate, given: Boot, call: Any = None) -> Outcome:
    gate.boot(given.facts())
    return drive(gate, call or brokered())


@pytest.mark.parametrize("requested", [False, True], ids=["not-requested", "requested"])
@pytest.mark.parametrize("granted", [False, True], ids=["not-granted", "granted"])
@pytest.mark.parametrize("rule", [(), (ALLOW,)], ids=["no-rule", "rule"])
def test_a_brokered_call_needs_a_request_and_a_grant(
    requested: bool, granted: bool, rule: tuple[Rule, ...]
) -> None:
    """The manifest must request the hook, and the application must grant it in some way."""
    given = boot(("read_tokens",) if requested else (), ("read_tokens",) if granted else ())
    outcome = decide(PolicyGate(rule), given)
    assert outcome.ok == (requested and (granted or bool(rule)))


def test_a_capability_stands_for_its_hooks() -> None:
    """Request, grant and rule may name the capability instead of the hook."""
    call = brokered("prompt_bundle_snapshot")
    assert decide(PolicyGate(), boot(("prompt.bundle",), ("prompt.bundle",)), call).ok
    rule = Rule("allow", "*", "prompt.bundle", id="prompts")
    assert decide(PolicyGate([rule]), boot(("prompt.bundle",)), call).ok
    assert not decide(PolicyGate(), boot(("prompt.bundle",), ("read_tokens",)), call).ok


def test_deny_wins() -> None:
    """One deny rule outweighs request, grant and every allow rule."""
    deny = Rule("deny", "answer.*", "read_*", id="no-reading", reason="not in this release")
    gate = PolicyGate([ALLOW, deny])
    outcome = decide(gate, boot(("read_tokens",), ("read_tokens",)))
    assert outcome.error is not None
    assert outcome.error.code == "policy.denied"
    assert outcome.fault == "caller"
    assert outcome.error.details == {
        "effect": "deny",
        "rule": "no-reading",
        "reason": "not in this release",
        "caller": "answer.plain",
    }


def test_what_is_not_requested_says_what_to_add_where() -> None:
    """The refusal names the manifest and its key."""
    outcome = decide(PolicyGate([ALLOW]), boot())
    assert outcome.error is not None
    assert outcome.error.message == (
        "'answer.plain' may not call 'read_tokens': its manifest does not request it; add"
        " \"read_tokens\" to `requires` in the manifest (plugin.toml) of 'answer.plain'"
    )
    assert outcome.error.details["rule"] == "default-deny"


def test_what_is_not_granted_says_what_to_add_where() -> None:
    """The rule that the refusal proposes is the one that lifts it."""
    given = boot(("read_tokens",))
    outcome = decide(PolicyGate(), given)
    assert outcome.error is not None
    proposed = 'nx.Rule("allow", "answer.plain", "read_tokens", id="answer.plain-read_tokens")'
    assert proposed in outcome.error.message
    assert "nxkernel plugins lock" in outcome.error.message
    rule = Rule("allow", "answer.plain", "read_tokens", id="answer.plain-read_tokens")
    assert decide(PolicyGate([rule]), given).ok


def test_an_unknown_caller_is_denied() -> None:
    """A caller without a manifest has requested nothing, whatever the rules allow."""
    everything = Rule("allow", "*", "*", id="all")
    outcome = decide(PolicyGate([everything]), boot(), brokered(caller="ghost"))
    assert outcome.error is not None
    assert outcome.error.code == "policy.denied"


def test_the_application_may_call_unless_denied() -> None:
    """The application needs no grant, and a rule about the caller host holds it."""
    assert decide(PolicyGate(), boot(), a_call()).ok
    deny = Rule("deny", "host", "read_tokens", id="stop")
    outcome = decide(PolicyGate([deny]), boot(), a_call())
    assert outcome.error is not None
    assert outcome.error.details["caller"] == "host"
    other = Rule("deny", "answer.*", "*", id="stop")
    assert decide(PolicyGate([other]), boot(), a_call()).ok


def test_a_denial_is_an_event_and_an_approval_is_none() -> None:
    """Every denial is reported with its decision, its caller and its call."""
    given = boot(("read_tokens",))
    gate = PolicyGate()
    decide(gate, given)
    drive(gate, brokered())
    assert [event.kind for event in given.events] == ["policy.decision"] * 2
    assert given.events[0].plugin == "ocr.rapid"
    assert given.events[0].data == {
        "effect": "deny",
        "rule": "default-deny",
        "reason": "the application did not grant it",
        "caller": "answer.plain",
        "hook": "read_tokens",
        "call_id": "7",
    }
    assert drive(gate, a_call()).ok
    assert len(given.events) == 2


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_a_wrapper_is_decided_alike_in_both_phases(phase: str) -> None:
    """A wrapper that was set up can be torn down, because the decision is the same."""
    call = a_call(caller="answer.plain", phase=phase)
    assert decide(PolicyGate(), boot(("read_tokens",), ("read_tokens",)), call).ok
    assert not decide(PolicyGate(), boot(), call).ok


def test_a_boot_forgets_earlier_decisions() -> None:
    """A gate that serves a second kernel decides by that kernel's manifests."""
    gate = PolicyGate()
    assert decide(gate, boot(("read_tokens",), ("read_tokens",))).ok
    assert not decide(gate, boot()).ok


@pytest.mark.parametrize(
    ("caller", "hook", "expected"),
    [
        ("answer.plain", "read_tokens", True),
        ("answer.*", "read_*", True),
        ("*", "*", True),
        ("answer.plai?", "read_token[s]", True),
        ("Answer.plain", "read_tokens", False),
        ("answer", "read_tokens", False),
        ("answer.plain", "read", False),
        ("answer.plain", "*.bundle", True),
    ],
)
def test_patterns(caller: str, hook: str, expected: bool) -> None:
    """Rules match whole names, case-sensitive, by the hook or its capability."""
    rule = Rule("deny", caller, hook, id="x")
    assert rule.matches("answer.plain", {"read_tokens", "prompt.bundle"}) is expected


def test_rule_ids_are_unique() -> None:
    """Two rules of one id could not be told apart in a decision."""
    with pytest.raises(KernelConfigError, match="'answers-may-read' is used twice"):
        PolicyGate([ALLOW, ALLOW])


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("permit", "a", "b", "id"), "effect='permit'"),
        (("allow", "", "b", "id"), "caller=''"),
        (("allow", "a", None, "id"), "hook=None"),
        (("allow", "a", "b", ""), "id=''"),
    ],
)
def test_a_malformed_rule_is_refused(arguments: Any, field: str) -> None:
    """A rule that could never match, or has no meaning, is a mistake at once."""
    with pytest.raises(KernelConfigError, match=field):
        Rule(*arguments)


def test_decide_explains_without_a_call() -> None:
    """A decision can be asked for before anything is called."""
    gate = PolicyGate()
    given = boot(("read_tokens",), ("read_tokens",))
    gate.boot(given.facts())
    assert gate.decide("answer.plain", "read_tokens").rule == "grant"  # type: ignore[arg-type]
    assert gate.decide(None, "read_tokens").rule == "application"
    assert given.events == []


class TestEditions:
    """After a reload two editions of a plugin may call for a while, each under its own manifest."""

    def call(self, edition: int | None) -> Any:
        return a_call(caller="answer.plain", caller_edition=edition, depth=1, hook="read_tokens")

    @pytest.mark.parametrize("older", [False, True], ids=["gains", "loses"])
    def test_each_is_held_to_what_it_requested_and_was_granted(self, older: bool) -> None:
        """Neither is given what the other one has, nor denied what it has itself."""
        allowed = ("read_tokens",)
        gate = PolicyGate()
        given = boot(allowed, allowed) if older else boot()
        gate.boot(given.facts())
        assert drive(gate, self.call(1)).ok == older
        new = () if older else allowed
        second = a_plugin("answer.plain", requires=new, grant=Grant(calls=new), edition=2)
        gate.plugin_added(second)
        gate.plugin_switched(second)
        assert drive(gate, self.call(1)).ok == older
        assert drive(gate, self.call(2)).ok != older

    def test_one_that_is_gone_may_nothing(self) -> None:
        """Its last call has ended; a number that comes back is another manifest's."""
        allowed = ("read_tokens",)
        gate = PolicyGate()
        gate.boot(boot(allowed, allowed).facts())
        assert drive(gate, self.call(1)).ok
        gate.plugin_removed(a_plugin("answer.plain"))
        assert not drive(gate, self.call(1)).ok
        gate.plugin_added(a_plugin("answer.plain"))
        assert not drive(gate, self.call(1)).ok
