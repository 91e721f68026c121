"""The middleware that holds arguments and results to their JSON Schemas.

A hook has up to two contracts: the application's own, and the one by which a plugin's manifest
narrows it. The application's is a schema that it gives, or else what the hookspec's annotations
say. Both apply, and a plugin's must be shown to be the narrower one: what is checked on its behalf
is then what its manifest says, and nothing of it is silently overruled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from nxkernel._arguments import plain_of
from nxkernel._canonical import shown
from nxkernel._pickling import Rooted
from nxkernel._shape import Shape
from nxkernel.dispatch.entrances import Passage
from nxkernel.dispatch.errand import Errand, Steps, Whom
from nxkernel.dispatch.stack import BootFacts, Layer, PluginFacts
from nxkernel.errors import KernelConfigError, ManifestInvalid, SchemaInvalid
from nxkernel.findings import KINDS, Group, Plan
from nxkernel.findings.sieve import Contract
from nxkernel.hookspecs import ANSWER, HookSpec
from nxkernel.middleware._contract_sources import SIDES, Schemas, Side, derived, given_by
from nxkernel.middleware._plain_json import as_json, issues_of
from nxkernel.middleware._results import Results, details, summary
from nxkernel.schemas import CompiledSchema, SchemaIssue, shared
from nxkernel.schemas.narrowing import gap
from nxkernel.schemas.profile import plain
from nxkernel.schemas.published import bundled, named
from nxkernel.types import Call, Fault, Outcome, PluginId

__all__ = ["Contracts", "as_json", "derived"]


_UNSEALED = (
    f"describes an answer, which leaves only by a hook that says so: @hookspec(returns={ANSWER!r})"
)


@attrs.frozen
class _InForce:
    """What holds for the calls of one hook of one edition of a plugin."""

    input: Contract | None
    output: Contract | None
    narrower_input: Contract | None
    narrower_output: Contract | None
    #: Those of a provider's result, the hook's first.
    outputs: tuple[Contract, ...] = attrs.field(init=False)

    @outputs.default
    def _outputs(self) -> tuple[Contract, ...]:
        return tuple(each for each in (self.output, self.narrower_output) if each is not None)

    #: What says quickly that a result is within them all, or None where more than that is asked.
    quick: tuple[Callable[[Shape], bool], ...] | None = attrs.field(init=False)

    @quick.default
    def _quick(self) -> tuple[Callable[[Shape], bool], ...] | None:
        marked = any(each.plan.artifacts for each in self.outputs)
        return None if marked else tuple(each.compiled.fits for each in self.outputs)

    def holds(self, shape: Shape | None, value: Any) -> bool:
        """Whether the result *value* is in order for certain; *shape* is what was seen of it.

        False says nothing. What :meth:`Results.of_provider` finds of most results, in few steps.
        """
        if self.quick is None or shape is None or shape.value is not value:
            return False
        if shape.marked or not shape.json:
            return False
        for fits in self.quick:
            if not fits(shape):
                break
        else:
            return True
        return False


class Contracts(Rooted):
    """Checks what goes to a plugin and what comes back.

    Args:
        hooks: the application's contracts, ``{hook: {"input": schema, "output": schema}}``, or a
            folder of files ``<hook>.input.schema.json`` and ``<hook>.output.schema.json``. An input
            schema describes the object of all arguments, an output schema one provider's result.
            Where neither is given, the annotations of the hookspec say it.

    Arguments that violate the application's contract are ``contract.input``, the caller's fault;
    arguments outside the plugin's narrower one are ``provider.not_applicable``, nobody's fault but
    the host's, which asked. A result that violates either is ``contract.output``, the plugin's
    fault, and is removed. None is pluggy's "no answer" and is not checked.

    Lists that the hook's contract marks with ``x-nx-each`` lose what is invalid in them and nothing
    else: the outcome has its value, and a diagnostic for each element that was dropped. What is
    marked as an artifact is held to the rules of its kind as well; it may refer to what it stands
    beside and to the call's arguments.

    A wrapper's arguments are checked at its setup. What it makes of a first result is held to the
    hook's contract, and so is each result that it makes of a fan-out's.

    bytes never enter a validator: see :func:`as_json`.
    """

    _instead = "a middleware belongs to its kernel; make another one for the kernel there"

    name = "contracts"

    def __init__(self, hooks: Schemas | Path | str | None = None) -> None:
        self._given: Schemas | Path = Path(hooks) if isinstance(hooks, str) else hooks or {}
        self._registry = shared()
        self._results = Results(self._registry)
        self._specs: Mapping[str, HookSpec] = {}
        self._hooks: dict[tuple[str, Side], Contract] = {}
        #: By plugin, edition, hook and side.
        self._plugins: dict[tuple[PluginId, int, str, Side], Contract] = {}
        #: What is in force for a call, by plugin, edition and hook: looked up once for each.
        self._in_force: dict[tuple[PluginId, int, str], _InForce] = {}
        #: The latest arguments that were found in order: a fan-out asks once for each provider.
        self._latest: tuple[str, str] | None = None

    def boot(self, facts: BootFacts) -> None:
        """Compile every schema.

        Raises:
            KernelConfigError: for a contract of the application that is malformed or names no hook.
            ManifestInvalid: for a plugin's contract that is malformed, or that cannot be shown to
                be narrower than the hook's.
        """
        self._specs = facts.specs
        self._hooks = {
            key: self._own(facts, f"hookspec {key[0]!r}", *key, schema)
            for key, schema in derived(facts.specs).items()
        }
        self._hooks |= {
            key: self._own(facts, place, *key, raw) for place, key, raw in given_by(self._given)
        }
        self._plugins, self._in_force = {}, {}
        self._latest = None
        for plugin in sorted(facts.plugins):
            self._boot_plugin(facts.plugins[plugin])

    def published(self, specs: Mapping[str, HookSpec]) -> dict[str, dict[str, Any]]:
        """Return the contract of each hook by its sides, as :meth:`boot` puts it in force.

        Raises:
            KernelConfigError: for a folder that cannot be read.
        """
        schemas = {**derived(specs), **{key: raw for _, key, raw in given_by(self._given)}}
        sides = sorted(schemas)
        whole = {key: bundled(plain(schemas[key])) for key in sides}
        return {
            hook: {side: whole[name, side] for name, side in sides if name == hook}
            for hook in sorted(specs)
        }

    def plugin_added(self, facts: PluginFacts) -> None:
        """Compile the schemas of a plugin's new edition.

        Raises:
            ManifestInvalid: for a contract that is malformed.
        """
        self._boot_plugin(facts)
        self._in_force = {}

    def plugin_removed(self, facts: PluginFacts) -> None:
        """Forget the schemas of an edition that gets no calls any more."""
        gone = (facts.id, facts.edition)
        self._plugins = {key: each for key, each in self._plugins.items() if key[:2] != gone}
        self._in_force = {}

    def around(self, call: Call) -> Layer:
        """Check the arguments, send the call on, check the result."""
        force = self._of(call)
        if call.phase != "teardown" and (refusal := self._check_input(call, force)):
            return refusal
        return self._returned((call, force), (yield call))

    def through(self, call: Call) -> Passage | Outcome:
        """Do what ``around`` does."""
        force = self._in_force.get((call.plugin, call.edition, call.hook)) or self._of(call)
        if (force.input or force.narrower_input) and call.phase != "teardown":
            refusal = self._check_input(call, force)
            if refusal is not None:
                return refusal
        return call, self._returned, (call, force)

    def usual(self, whom: Whom) -> Steps:
        """Return the same for usual calls."""
        force = self._of(whom)
        inputs = [each.compiled.fits for each in (force.input, force.narrower_input) if each]
        first, others = inputs[0] if inputs else None, inputs[1] if len(inputs) > 1 else None

        def admit(errand: Errand) -> bool:
            seen = errand.shown or shown(errand.payload)
            if seen is None or seen.marked or not (first is None or first(seen)):
                return False
            return others is None or others(seen)

        def accept(errand: Errand) -> bool:
            return force.holds(errand.shape, errand.shape.value)

        def passage(_: Errand, call: Call) -> Passage:
            return call, self._returned, (call, force)

        return Steps(admit=admit if inputs else None, accept=accept, passage=passage)

    def _returned(self, sent: tuple[Call, _InForce], outcome: Outcome) -> Outcome:
        call, force = sent
        value, phase = outcome.value, call.phase
        if outcome.error is not None or value is None or phase == "setup":
            return outcome
        if phase == "call" and force.holds(outcome.shape, value):
            return outcome
        return self._check_output(call, outcome, force)

    def item(self, call: Call, outcome: Outcome) -> Outcome:
        """Check an item of a stream: the output contract is that of each one."""
        if outcome.value is None:
            return outcome
        return self._check_output(call, outcome, self._of(call))

    def allowances(self, hook: str) -> list[tuple[str, str]]:
        """Return from which lists of a result of *hook* elements may be dropped: place and kind.

        A place is a JSON Pointer in which ``*`` stands for any element.
        """
        own = self._hooks.get((hook, "output"))
        return own.plan.allowances() if own else []

    def close(self) -> None:
        """Nothing to do: a verdict leaves nothing behind."""

    # -- boot ------------------------------------------------------------------------------------

    def _own(self, facts: BootFacts, place: str, hook: str, side: Side, schema: Any) -> Contract:
        if hook not in facts.specs:
            known = ", ".join(sorted(facts.specs))
            raise KernelConfigError(f"{place}: no hook {hook!r}; the hooks are {known}")
        try:
            found = _contract("hook", self._registry.compile(schema, name=place), place)
        except SchemaInvalid as error:
            raise KernelConfigError(error.message, hook=hook, details=error.details) from None
        self._check_returns(facts.specs[hook], place, side, found)
        return found

    def _check_returns(self, spec: HookSpec, place: str, side: Side, found: Contract) -> None:
        """See that an output contract says no more than its hookspec, and no answer in passing."""
        returns = spec.options.returns
        if side == "output" and returns is not None:
            wide = self._registry.compile(named(returns)).schema
            if open_ := gap(found.compiled.schema, wide):
                raise KernelConfigError(
                    f"{place}: cannot be shown to be narrower than {returns}, which the hookspec "
                    f"returns: {open_}",
                    hook=spec.name,
                )
        if side == "output" and not spec.options.answers and "answer" in found.plan.kinds:
            raise KernelConfigError(f"{place}: {_UNSEALED}", hook=spec.name)

    def _boot_plugin(self, facts: PluginFacts) -> None:
        for hook in sorted(facts.contracts):
            for side in SIDES:
                if side in facts.contracts[hook]:
                    compiled = self._narrowed(facts, hook, side)
                    self._plugins[facts.id, facts.edition, hook, side] = compiled

    def _narrowed(self, facts: PluginFacts, hook: str, side: Side) -> Contract:
        place = f"contracts.{hook}.{side}"
        found = self._of_plugin(facts, place, facts.contracts[hook][side], hook)
        own = self._hooks.get((hook, side))
        if own is not None and (open_ := gap(found.compiled.schema, own.compiled.schema)):
            raise ManifestInvalid(
                f"the manifest of {facts.id!r}: {place} cannot be shown to be narrower than the "
                f"hook's own contract: {open_}; repeat what the hook's says there, and tighten it",
                plugin=facts.id,
                hook=hook,
                details={"contract": place, "json_path": open_.where},
            )
        if side == "output" and "answer" in found.plan.kinds and not self._answers(hook):
            raise ManifestInvalid(
                f"the manifest of {facts.id!r}: {place}: {_UNSEALED}", plugin=facts.id, hook=hook
            )
        return found

    def _answers(self, hook: str) -> bool:
        return hook in self._specs and self._specs[hook].options.answers

    def _of_plugin(self, facts: PluginFacts, place: str, schema: Any, hook: str = "") -> Contract:
        try:
            return _contract("plugin", self._registry.compile(schema, name=place), place)
        except SchemaInvalid as error:
            message = f"the manifest of {facts.id!r}: {error.message}"
            raise ManifestInvalid(
                message, plugin=facts.id, hook=hook, details=error.details
            ) from None

    # -- calls -----------------------------------------------------------------------------------

    def _of(self, call: Call | Whom) -> _InForce:
        key = (call.plugin, call.edition, call.hook)
        known = self._in_force  # as it is now: another thread may begin a new one
        found = known.get(key)
        if found is None:
            own = (self._hooks.get((call.hook, side)) for side in SIDES)
            narrower = (self._plugins.get((*key, side)) for side in SIDES)
            found = known[key] = _InForce(*own, *narrower)
        return found

    def _check_input(self, call: Call, force: _InForce) -> Outcome | None:
        own, narrower = force.input, force.narrower_input
        if own and (issues := self._arguments(call, own)):
            return _refuse(call, "contract.input", "caller", "hook", issues)
        if narrower and (issues := _issues(narrower, call)):
            return _refuse(call, "provider.not_applicable", "host", "plugin", issues)
        return None

    def _arguments(self, call: Call, contract: Contract) -> list[SchemaIssue]:
        key = (call.hook, call.input_digest)
        if key == self._latest:
            return []
        issues = issues_of(contract.compiled, plain_of(call.arguments), call.payload)
        if not issues:
            self._latest = key
        return issues

    def _check_output(self, call: Call, outcome: Outcome, force: _InForce) -> Outcome:
        if call.phase == "teardown":
            return self._of_wrapper(call, outcome, force.output)
        if not force.outputs:
            return outcome
        return self._results.of_provider(
            call, outcome, force.outputs, lambda: self._in_sight(call, force)
        )

    def _of_wrapper(self, call: Call, outcome: Outcome, own: Contract | None) -> Outcome:
        if own is None or outcome.output_digest == call.input_digest:
            return outcome  # What it was given it has passed on.
        if self._specs[call.hook].firstresult:
            return self._results.of_provider(call, outcome, [own], tuple)
        return self._results.of_wrapper(call, outcome, own)

    def _in_sight(self, call: Call, force: _InForce) -> list[Group]:
        """The artifacts among the arguments of *call*, which hold: its input was checked."""
        own = force.input
        return own.plan.groups(plain_of(call.arguments), given=True) if own else []


def _contract(whose: str, compiled: CompiledSchema, place: str = "") -> Contract:
    plan = Plan(compiled.schema)
    if unknown := sorted(plan.kinds - KINDS):
        known = ", ".join(sorted(KINDS))
        raise SchemaInvalid(
            f"{place}: x-nx-artifact: no kind {unknown[0]!r}; the kinds are {known}"
        )
    return Contract(whose, compiled, plan)


def _issues(contract: Contract, call: Call) -> list[SchemaIssue]:
    """What is wrong with the arguments of *call*, which have been encoded already."""
    return issues_of(contract.compiled, plain_of(call.arguments), call.payload)


def _refuse(
    call: Call, code: str, fault: Fault, contract: str, issues: list[SchemaIssue]
) -> Outcome:
    whose = "the hook's contract" if contract == "hook" else f"the contract of {call.plugin!r}"
    message = f"arguments of hook {call.hook!r} are outside {whose}: {summary(issues)}"
    return Outcome.failed(call, code, message, fault, details=details(contract, issues))
