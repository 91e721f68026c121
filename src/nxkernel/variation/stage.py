"""The stage: plugins' examples as trials, each trial in a kernel of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from nxkernel.audit.reader import AuditReader
from nxkernel.kernel import Kernel
from nxkernel.middleware.audit import Audit
from nxkernel.middleware.contracts import Contracts
from nxkernel.middleware.determinism import Determinism
from nxkernel.plugins.discovery import Candidate
from nxkernel.run import Run
from nxkernel.settings import Hosting, Sandbox
from nxkernel.surroundings import Surroundings
from nxkernel.types import ImplFacts, Outcome
from nxkernel.variation.application import Application, modest
from nxkernel.variation.conditions import USUAL, Conditions
from nxkernel.variation.examples import Example, Examples
from nxkernel.variation.findings import Draw
from nxkernel.variation.places import Places
from nxkernel.variation.trials import Answer, Answers, Subject

__all__ = ["Part", "Stage"]

#: The start of every trial's run: `context.now()` is an input like any other.
_STARTED_NS: Final = 1_700_000_000 * 10**9
#: Seconds for a call, however busy the machine.
_TIMEOUT_S: Final = 60.0
#: In ordinary runs addresses are at random in mode ``warn``; here they are a variation.
_USUAL: Final = Surroundings(addresses="fixed")


@attrs.frozen(kw_only=True)
class Part:
    """One plugin of a stage."""

    candidate: Candidate
    examples: Examples
    impls: tuple[ImplFacts, ...]

    @property
    def asks(self) -> bool:
        """Whether its examples answer what it asks."""
        return any(example.answers for example in self.examples.calls)

    def subject(self, example: Example) -> Subject:
        """Return *example* as a call of a search."""
        plugin = self.candidate.id
        return Subject(
            id=f"{plugin} {example.name}", plugin=plugin, hook=example.hook, label=example.name
        )


class Stage:
    """Makes trials of the examples of *parts*."""

    def __init__(
        self, places: Places, parts: Sequence[Part], project: str, sandbox: Sandbox
    ) -> None:
        self._places = places
        self._parts = parts
        self._project = project
        self._sandbox = sandbox
        self._application = Application.of(
            project,
            [impl for part in parts for impl in part.impls],
            [example for part in parts for example in part.examples.calls],
        )
        self._examples = {
            part.subject(example): example for part in parts for example in part.examples.calls
        }
        self._known = {
            part.candidate.id: modest(
                part.candidate, self._application.answers, part.examples.folder
            )
            for part in parts
        }
        #: By plugin: what the guard saw in the usual conditions.
        self.draws: dict[str, dict[Draw, None]] = {}
        #: By plugin: examples that failed in them.
        self.failed: dict[str, dict[str, str]] = {}

    @property
    def subjects(self) -> list[Subject]:
        """All examples, as calls of a search."""
        return list(self._examples)

    def run(self, calls: Sequence[Subject], conditions: Conditions) -> Answers:
        """Make *calls* in a kernel of their own, below the same path as every time."""
        with self._places.of(conditions) as place:
            run = attrs.evolve(Run.create(place, seed=0), started_ns=_STARTED_NS)
            with self._kernel(run, conditions) as kernel:
                answers = self._made(kernel, calls, conditions)
            if conditions == USUAL:
                self._note(run, answers)
            return answers

    def let_time_pass(self) -> None:
        """See `Trials.let_time_pass`."""
        self._places.let_time_pass()

    def _made(self, kernel: Kernel, calls: Sequence[Subject], conditions: Conditions) -> Answers:
        answers: dict[str, Answer] = {}
        warm: set[str] = set()
        for call in conditions.arranged(calls, lambda each: each.id):
            if conditions.fresh and call.plugin in warm:
                # Not reloaded: that would read the manifest anew, with all that it requests.
                kernel.remove(call.plugin)
                kernel.add(self._known[call.plugin][0])
            warm.add(call.plugin)
            answers[call.id] = self._ask(kernel, call)
        return answers

    def _ask(self, kernel: Kernel, call: Subject) -> Answer:
        example = self._examples[call]
        self._application.answering(example)
        caller = kernel.options(key=example.key, timeout=_TIMEOUT_S, only={call.plugin})
        (outcome,) = caller.call(example.hook, **example.arguments)
        return _answer(outcome)

    def _kernel(self, run: Run, conditions: Conditions) -> Kernel:
        return Kernel(
            self._project,
            specs=[self._application.specs],
            run=run,
            plugins=[candidate for candidate, _ in self._known.values()],
            middleware=[
                Audit(run.audit_log),
                Contracts(),
                Determinism(guard="warn", clocks="warn", environment="warn"),
            ],
            sandbox=self._sandbox,
            hosting=Hosting(surroundings=conditions.around(_USUAL)),
            grants={plugin: grant for plugin, (_, grant) in self._known.items()},
            settings={p.candidate.id: dict(p.examples.settings) for p in self._parts},
            builtins=self._application.builtins,
            required=list(self._known),
        )

    def _note(self, run: Run, answers: Answers) -> None:
        """Keep what the guard saw, and which examples failed, in the usual conditions."""
        for call in self._examples:
            if call.id in answers and answers[call.id].error:
                self.failed.setdefault(call.plugin, {})[call.label] = answers[call.id].error
        with AuditReader(run.audit_log.path) as reader:
            for event in reader.events(run.id, "determinism.drawn"):
                seen = self.draws.setdefault(event.plugin, {})
                for found in event.data["found"]:
                    seen[Draw(function=found["function"], site=found["site"])] = None


def _answer(outcome: Outcome) -> Answer:
    if outcome.error is not None:
        error = f"[{outcome.error.code}] {outcome.error.message}"
        return Answer(key=error, error=error)
    return Answer(key=str(outcome.output_digest), value=outcome.value)
