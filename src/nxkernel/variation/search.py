"""The search: calls as usual, calls varied, and from a difference to the least that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from nxkernel.replay.comparing import between
from nxkernel.variation.conditions import ALONE, Conditions, Variation
from nxkernel.variation.findings import Finding, Report
from nxkernel.variation.shrinking import smallest
from nxkernel.variation.trials import Answer, Answers, Exhausted, Memory, Subject, Trials

__all__ = ["MOST", "search"]

#: Trials of one search.
MOST = 400
#: From so many broken calls on, it takes fewer trials to vary one thing at a time.
_MANY = 4
#: Told what is done next, in words.
Progress = Callable[[str], None]


def search(
    trials: Trials,
    calls: Sequence[Subject],
    rounds: Sequence[Sequence[Variation]],
    *,
    most: int = MOST,
    progress: Progress | None = None,
    alone: bool = True,
) -> Report:
    """Make *calls* as usual, once more, and under each of *rounds*; shrink whatever differs.

    *calls* come in their usual order. A call that differs though nothing was varied is not looked
    at further: what it does under a variation says nothing. Of every other one each source is
    found, the least variation that breaks it first, then the least that breaks it without that one.
    Plugins are taken to be strangers to each other: what one is told does not follow from another.
    *alone*: whether each call can have a process of its own.

    Raises:
        NxError: when the calls cannot be made.
    """
    seeking = _Search(Memory(trials, most), tuple(calls), progress or (lambda _: None), alone)
    findings: list[Finding] = []
    cut_short = False
    try:
        for finding in seeking.findings(rounds):
            findings.append(finding)
    except Exhausted:
        cut_short = True
    findings = _settled(findings)
    place = {call.id: number for number, call in enumerate(calls)}
    return Report(
        calls=tuple(calls),
        findings=tuple(sorted(findings, key=lambda each: place[each.call.id])),
        trials=seeking.memory.made,
        varied=tuple(dict.fromkeys(each.name for some in rounds for each in some)),
        cut_short=cut_short,
    )


@attrs.define(eq=False)
class _Search:
    memory: Memory
    calls: tuple[Subject, ...]
    progress: Progress
    alone: bool
    #: How often the calls were made as usual.
    _usual: list[Answers] = attrs.Factory(list)
    #: The calls that are made again in this round, and whether many of them broke.
    _scope: tuple[Subject, ...] = ()
    _many: bool = False
    #: Calls that were reported to differ by themselves.
    _reported: set[str] = attrs.Factory(set)
    #: By call: variations that break it.
    _sources_of: dict[str, set[Variation]] = attrs.Factory(dict)
    #: Answers of a second trial.
    _confirmed: dict[Conditions, Answers] = attrs.Factory(dict)

    def findings(self, rounds: Sequence[Sequence[Variation]]) -> Iterator[Finding]:
        yield from self._once_more("as usual")
        self.memory.let_time_pass()
        yield from self._once_more("once more")
        for number, variations in enumerate(rounds, 1):
            self.progress(f"varied, {number} of {len(rounds)}")
            broken = self._broken(variations)
            if broken or number == len(rounds):
                # Perhaps they differ by themselves, now and then; who does not shows it at last.
                yield from self._once_more("once more")
            broken = [call for call in broken if not self.unsteady(call)]
            # Plugins do not meet: those in which nothing broke need not be asked again.
            concerned = {call.plugin for call in broken}
            self._scope = tuple(call for call in self.calls if call.plugin in concerned)
            self._many = len(broken) >= _MANY
            for call in broken:
                yield from self._sources(call, self._unseen(call, variations))

    def _once_more(self, how: str) -> Iterator[Finding]:
        self.progress(how)
        now = self.memory.again(self.calls)
        self._usual.append(now)
        return iter([self._by_itself(call) for call in self.calls if self._is_new(call)])

    def _is_new(self, call: Subject) -> bool:
        return call.id not in self._reported and self.unsteady(call)

    def unsteady(self, call: Subject) -> bool:
        """Whether *call* was seen to differ with nothing varied."""
        seen = {answers[call.id].key for answers in self._usual}
        return len(seen) > 1 or call.id in self._reported

    def _by_itself(self, call: Subject) -> Finding:
        self._reported.add(call.id)
        first = self._usual[0][call.id]
        other = next(a[call.id] for a in self._usual if a[call.id].key != first.key)
        return _finding(call, (), first, other)

    # -- what is varied -----------------------------------------------------------------------

    def _broken(self, variations: Sequence[Variation]) -> list[Subject]:
        varied = self.memory.run(self.calls, Conditions.of(variations))
        return [call for call in self.calls if self._differs(call, varied)]

    def _differs(self, call: Subject, varied: Answers) -> bool:
        return varied[call.id].key != self._usual[0][call.id].key

    def _unseen(self, call: Subject, variations: Sequence[Variation]) -> list[Variation]:
        """Return those of *variations* that are not known to break *call* by another value."""
        known = self._sources_of.get(call.id, set())
        if any(each.noisy for each in known):
            return []
        state = any(each.of_state for each in known)
        names = {each.name for each in known}
        return [
            each for each in variations if each.name not in names and not (state and each.of_state)
        ]

    def _sources(self, call: Subject, left: list[Variation]) -> Iterator[Finding]:
        """Yield each source of *call*'s difference under the variations that are *left*."""

        def breaks(some: Sequence[Variation]) -> bool:
            if not some:
                return False
            return self._differs(call, self.memory.run(self._scope, Conditions.of(some)))

        while left and not self.unsteady(call) and breaks(left):
            self.progress(f"{call.label}: which variation")
            noise = [each for each in left if each.noisy]
            # It comes out otherwise each time: whatever else is varied would seem to do it.
            least = noise if breaks(noise) else self._least(left, breaks)
            self._sources_of.setdefault(call.id, set()).update(least)
            yield from self._found(call, tuple(least))
            left = [] if noise == least else [each for each in left if each not in least]

    def _least(
        self, left: Sequence[Variation], breaks: Callable[[Sequence[Variation]], bool]
    ) -> list[Variation]:
        """Return the least of *left* that breaks a call.

        Where many calls broke, each variation is tried by itself: that serves all of them.
        """
        single = next((each for each in left if breaks([each])), None) if self._many else None
        return [single] if single is not None else smallest(left, breaks)

    def _found(self, call: Subject, least: tuple[Variation, ...]) -> Iterator[Finding]:
        conditions = Conditions.of(least)
        varied = self.memory.run(self._scope, conditions)[call.id]
        if not self._holds(call, conditions):
            self._reported.add(call.id)
            yield _finding(call, (), self._usual[0][call.id], varied)
            return
        found = _finding(call, least, self._usual[0][call.id], varied)
        self.progress(f"{call.label}: which other call")
        try:
            found = attrs.evolve(found, needs=self._needs(call, conditions))
        except Exhausted:
            found = attrs.evolve(found, whole=False)
        yield found

    def _holds(self, call: Subject, conditions: Conditions) -> bool:
        """Whether *conditions* break *call* a second time: once may be by chance."""
        if conditions not in self._confirmed:
            self._confirmed[conditions] = self.memory.again(self._scope, conditions)
        return self._differs(call, self._confirmed[conditions])

    def _differs_alone(self, call: Subject, conditions: Conditions) -> bool:
        """Whether *call* differs with no other call before it: one trial tells of all calls."""
        if not self.alone:
            return self._differs(call, self.memory.run([call], conditions))
        usual = self.memory.run(self._scope, Conditions.of([ALONE]))
        varied = self.memory.run(self._scope, conditions.with_(ALONE))
        return usual[call.id].key != varied[call.id].key

    def _needs(self, call: Subject, conditions: Conditions) -> tuple[Subject, ...]:
        """Return the other calls that have to be made for *call* to differ."""
        if not conditions.of_state and self._differs_alone(call, conditions):
            return ()
        others = [e for e in self._scope if e.plugin == call.plugin and e.id != call.id]

        def breaks(some: Sequence[Subject]) -> bool:
            if not some:
                return False
            chosen = {call.id, *(each.id for each in some)}
            calls = [each for each in self.calls if each.id in chosen]
            usual, varied = self.memory.run(calls), self.memory.run(calls, conditions)
            return usual[call.id].key != varied[call.id].key

        return tuple(smallest(others, breaks))


def _settled(findings: Sequence[Finding]) -> list[Finding]:
    """What was found of a call, before it was seen to differ by itself, says nothing."""
    unsteady = {each.call.id for each in findings if each.by_itself}
    return [each for each in findings if each.by_itself or each.call.id not in unsteady]


def _finding(
    call: Subject, variations: tuple[Variation, ...], usual: Answer, varied: Answer
) -> Finding:
    told = varied.difference or usual.difference
    if told is not None:
        seen = (told.then, told.now) if varied.difference else (told.now, told.then)
        return Finding(
            call=call, variations=variations, path=told.path, usual=seen[0], varied=seen[1]
        )
    if usual.error or varied.error:
        return Finding(
            call=call,
            variations=variations,
            path="",
            usual=usual.error or "a value",
            varied=varied.error or "a value",
        )
    found = between(usual.value, varied.value)
    return Finding(
        call=call,
        variations=variations,
        path=found.path if found else "$",
        usual=found.then if found else usual.key,
        varied=found.now if found else varied.key,
    )
