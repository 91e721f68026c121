"""The middleware that decides who may call what: rules in code, default deny between plugins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

import attrs

from nxkernel._pickling import Rooted
from nxkernel.dispatch.entrances import Passage
from nxkernel.dispatch.errand import Steps, Whom
from nxkernel.dispatch.stack import BootFacts, Event, Layer, PluginFacts
from nxkernel.errors import KernelConfigError
from nxkernel.hookspecs import HookSpec
from nxkernel.types import EMPTY, Call, Decision, Outcome, PluginId

__all__ = ["APPLICATION", "PolicyGate", "Rule"]

#: How rules call the application itself.
APPLICATION = "host"


def _effect(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value not in ("allow", "deny"):
        raise KernelConfigError(f"Rule({attribute.name}={value!r}): expected 'allow' or 'deny'")


def _text(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise KernelConfigError(f"Rule({attribute.name}={value!r}): expected a text")


@attrs.frozen
class Rule:
    """Allows or denies calls.

    ``*``, ``?`` and ``[...]`` in *caller* and *hook* match as in file names, case-sensitive.

    Raises:
        KernelConfigError: for another effect than allow and deny, or an empty field.
    """

    effect: Literal["allow", "deny"] = attrs.field(validator=_effect)
    #: Ids of the calling plugins, or ``host`` for the application.
    caller: str = attrs.field(validator=_text)
    #: Hooks, or capabilities for all their hooks.
    hook: str = attrs.field(validator=_text)
    #: What decisions call this rule.
    id: str = attrs.field(validator=_text)
    #: Why, for whoever is denied.
    reason: str = ""

    def matches(self, caller: str, names: Iterable[str]) -> bool:
        """Return whether the rule is about *caller* and a hook that goes by one of *names*."""
        return fnmatchcase(caller, self.caller) and any(fnmatchcase(n, self.hook) for n in names)


@attrs.frozen
class _Verdict:
    decision: Decision
    #: Why not and what to do; empty when allowed.
    message: str = ""


class PolicyGate(Rooted):
    """Lets a plugin call what its manifest requests and the application grants; nothing else.

    A call from plugin to plugin passes when the caller's manifest requests the hook or its
    capability, the application grants it (in the lockfile, by ``grants=``, or by an allow rule
    here) and no deny rule matches. The application's own calls pass unless a deny rule matches the
    caller ``host``. Deny wins over allow; among rules of one effect the first one is named.

    Raises:
        KernelConfigError: for two rules of one id.
    """

    _instead = "a middleware belongs to its kernel; make another one for the kernel there"

    name = "policy"

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = tuple(rules)
        if twice := sorted(i for i, n in Counter(r.id for r in self._rules).items() if n > 1):
            raise KernelConfigError(f"PolicyGate(rules): the id {twice[0]!r} is used twice")
        self._specs: Mapping[str, HookSpec] = EMPTY
        self._plugins: Mapping[PluginId, PluginFacts] = {}
        #: Each edition that may still make calls: those of a former one end under its own manifest.
        self._editions: dict[tuple[PluginId, int], PluginFacts] = {}
        self._known: dict[tuple[PluginId | None, int | None, str], _Verdict] = {}

    def boot(self, facts: BootFacts) -> None:
        """Take what the manifests request and the application grants."""
        self._specs, self._plugins, self._emit = facts.specs, facts.plugins, facts.emit
        self._editions = {(each.id, each.edition): each for each in facts.plugins.values()}
        self._known.clear()

    def plugin_added(self, facts: PluginFacts) -> None:
        """Take what the edition requests and was granted: that counts for its own calls."""
        self._editions[facts.id, facts.edition] = facts
        self._known.clear()

    def plugin_switched(self, facts: PluginFacts) -> None:
        """Forget what was decided of plugins without their edition."""
        self._known.clear()

    def plugin_removed(self, facts: PluginFacts) -> None:
        """Forget the edition, which makes no calls any more."""
        self._editions.pop((facts.id, facts.edition), None)
        self._known.clear()

    def around(self, call: Call) -> Layer:
        """Send the call on, or refuse it with ``policy.denied``."""
        verdict = self._verdict(call.caller, call.hook, call.caller_edition)
        if verdict.decision.effect == "deny":
            return self._denied(call, verdict)
        return (yield call)

    def through(self, call: Call) -> Passage | None:
        """Do what ``around`` does, for a call that was decided about before and may pass."""
        verdict = self._known.get((call.caller, call.caller_edition, call.hook))
        return None if verdict is None or verdict.message else (call, None, None)

    def usual(self, whom: Whom) -> Steps | None:
        """Return the same for usual calls; None where they are denied."""
        if self._verdict(None, whom.hook, None).decision.effect == "deny":
            return None
        return Steps(passage=lambda _, call: (call, None, None))

    def close(self) -> None:
        """Nothing to do: decisions leave nothing behind."""

    def decide(self, caller: PluginId | None, hook: str) -> Decision:
        """Return the decision about a call of *hook* by *caller*; None is the application.

        Of a plugin's editions, the one counts that new calls go to.
        """
        return self._verdict(caller, hook, None).decision

    def _verdict(self, caller: PluginId | None, hook: str, edition: int | None) -> _Verdict:
        # The rules, and what an edition requests and was granted, do not change: one decision each.
        key = (caller, edition, hook)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._decide(caller, hook, edition)
        return found

    def _decide(self, caller: PluginId | None, hook: str, edition: int | None) -> _Verdict:
        who = caller or APPLICATION
        names = self._names(hook)
        if rule := self._first("deny", who, names):
            return _by_rule(rule, who, hook)
        if caller is None:
            return _allow("application", "the application calls its own hooks")
        facts = self._facts(caller, edition)
        if facts is None or not names & {*facts.requires}:
            return _not_requested(who, hook)
        if names & {*facts.grant.calls}:
            return _allow("grant", "requested by the manifest and granted")
        if rule := self._first("allow", who, names):
            return _by_rule(rule, who, hook)
        return _not_granted(who, hook)

    def _facts(self, caller: PluginId, edition: int | None) -> PluginFacts | None:
        return (
            self._plugins.get(caller) if edition is None else self._editions.get((caller, edition))
        )

    def _names(self, hook: str) -> set[str]:
        """What *hook* goes by in manifests, grants and rules."""
        spec = self._specs.get(hook)
        return {hook, spec.capability} if spec and spec.capability else {hook}

    def _first(self, effect: str, caller: str, names: set[str]) -> Rule | None:
        fitting = (r for r in self._rules if r.effect == effect and r.matches(caller, names))
        return next(fitting, None)

    def _denied(self, call: Call, verdict: _Verdict) -> Outcome:
        details = {**attrs.asdict(verdict.decision), "caller": call.caller or APPLICATION}
        data = {**details, "hook": call.hook, "call_id": call.call_id}
        self._emit(Event(kind="policy.decision", plugin=call.plugin, data=data))
        return Outcome.failed(call, "policy.denied", verdict.message, "caller", details=details)


def _allow(rule: str, reason: str) -> _Verdict:
    return _Verdict(Decision(effect="allow", rule=rule, reason=reason))


def _deny(rule: str, reason: str, caller: str, hook: str, next_step: str) -> _Verdict:
    message = f"{caller!r} may not call {hook!r}: {reason}; {next_step}"
    return _Verdict(Decision(effect="deny", rule=rule, reason=reason), message)


def _by_rule(rule: Rule, caller: str, hook: str) -> _Verdict:
    if rule.effect == "allow":
        return _allow(rule.id, rule.reason or "allowed by a rule")
    reason = rule.reason or "denied by a rule"
    return _deny(rule.id, reason, caller, hook, f"it is rule {rule.id!r} of the PolicyGate")


def _not_requested(caller: str, hook: str) -> _Verdict:
    step = f'add "{hook}" to `requires` in the manifest (plugin.toml) of {caller!r}'
    return _deny("default-deny", "its manifest does not request it", caller, hook, step)


def _not_granted(caller: str, hook: str) -> _Verdict:
    rule = f'nx.Rule("allow", "{caller}", "{hook}", id="{caller}-{hook}")'
    step = (
        f"add {rule} to the rules of the application's PolicyGate, or record the grant in"
        " nxkernel.lock with `nxkernel plugins lock DIR`"
    )
    return _deny("default-deny", "the application did not grant it", caller, hook, step)
