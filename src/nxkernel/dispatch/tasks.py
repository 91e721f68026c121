"""Steps the generators of one call, whoever does the waiting.

A branch that raises ends the whole call with that exception: failures of plugins are outcomes, so
an exception here is a bug or an interrupt, and hiding it would help nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator
from contextlib import ExitStack
from typing import Any

import attrs

from nxkernel.dispatch.effects import LEAVING, Effect, Fork, Gate, Io, Offer, Signal

__all__ = ["Tasks"]


@attrs.define(eq=False)
class _Task:
    generator: Generator[Effect, Any, Any]
    parent: _Task | None = None
    index: int = 0
    #: Whether it has run at all.
    started: bool = False
    #: Results of the branches of a Fork, and how many are still out.
    results: list[Any] = attrs.Factory(list)
    missing: int = 0


class Tasks:
    """The generators of one call and what each waits for.

    Invariant: every live task is in exactly one of ``_runnable``, ``_io``, ``_gates``, offers
    an item, waits for its branches, or is the root and away. One at a time offers.

    After each call of anything, and where a loop begins again, a handler of a signal may come and
    take all of it further. So what is taken out of one of these is looked for last, in a step that
    does neither.
    """

    def __init__(self, root: Generator[Effect, Any, Any]) -> None:
        self._root = _Task(root)
        self._runnable: deque[tuple[_Task, Any]] = deque([(self._root, None)])
        self._io: dict[_Task, Io] = {}
        self._gates: dict[_Task, Gate] = {}
        self._offering: tuple[_Task, Offer] | None = None
        #: Every task that has not returned, the oldest first.
        self._live: dict[_Task, None] = {self._root: None}
        self.done = False
        self.result: Any = None
        self.cancelled = False
        #: What one of them raised while somebody else took them further.
        self._raised: BaseException | None = None
        #: Whether somebody else runs the root at this moment: see :meth:`adopted`.
        self._is_away = False
        #: Whether all that it forks counts as begun: see :meth:`resumed`.
        self._is_under_way = False

    @classmethod
    def adopted(cls, root: Generator[Effect, Any, Any]) -> Tasks:
        """Return the tasks of a call that somebody drives by hand.

        What it waits for is told by :meth:`come_back`, and until then nothing can be done for it.
        """
        tasks = cls(root)
        tasks._root.started = True
        tasks._runnable.clear()
        tasks._is_away = True
        return tasks

    @classmethod
    def resumed(cls, root: Generator[Effect, Any, Any]) -> Tasks:
        """Return the tasks of a call that is under way, and that *root* goes on with.

        So are its branches: whoever takes it further may begin to run them.
        """
        tasks = cls(root)
        tasks._root.started = tasks._is_under_way = True
        return tasks

    def come_back(self, effect: Effect, signal: Signal | None = None) -> None:
        """The root waits for *effect*; said once by who has run it, and not heard again.

        *signal*: why that wait is over already.
        """
        if not self._is_away:
            return
        self._is_away = False
        if signal is None:
            self._wait(self._root, effect)
        else:
            self._runnable.append((self._root, signal))

    # -- what the driver needs to know ---------------------------------------------------

    @property
    def settled(self) -> bool:
        """Whether there is something for the caller: the result, or an item of a stream."""
        return self.done or self._offering is not None

    @property
    def offer(self) -> Offer | None:
        """The item that waits to be taken, or None."""
        return self._offering[1] if self._offering is not None else None

    @property
    def waits(self) -> list[Io]:
        """Descriptors that somebody waits for, in the order of the waits."""
        return list(self._io.values())

    @property
    def gated(self) -> bool:
        """Whether somebody waits at a gate."""
        return bool(self._gates)

    @property
    def keys(self) -> set[object]:
        """What the gates are rung by; None is in it if one of them hears every ring."""
        return {gate.key for gate in list(self._gates.values())}

    @property
    def held(self) -> set[object]:
        """What those have in their hands that wait."""
        gates = list(self._gates.values())
        waits: list[Io | Gate] = [*self._io.values(), *gates]
        return {wait.holds for wait in waits} | {gate.key for gate in gates}

    def deadline(self) -> float | None:
        """The earliest deadline of all waits."""
        waits: list[Io | Gate] = [*self._io.values(), *self._gates.values()]
        return min((w.deadline for w in waits if w.deadline is not None), default=None)

    # -- what the driver tells -----------------------------------------------------------

    def ready(self, descriptors: set[int]) -> None:
        """Resume the waits for these descriptors."""
        waits = self._io
        for task, wait in list(waits.items()):
            is_ready = wait.read in descriptors or wait.write in descriptors
            if is_ready and task in waits and waits[task] is wait:
                del waits[task]
                self._runnable.append((task, Signal.READY))

    def expire(self, now: float) -> None:
        """Resume the waits whose deadline has passed."""
        waits: list[tuple[_Task, Io | Gate]] = [*self._io.items(), *self._gates.items()]
        for task, wait in [each for each in waits if _passed(each[1], now)]:
            if task in self._io and self._io[task] is wait:
                del self._io[task]
            elif task in self._gates and self._gates[task] is wait:
                del self._gates[task]
            else:
                continue
            self._runnable.append((task, Signal.DEADLINE))

    def retry(self) -> None:
        """Try every gate again."""
        gates = self._gates
        for task, gate in list(gates.items()):
            if task in gates and gates[task] is gate:
                del gates[task]  # Nobody else is to try it meanwhile, and to go on.
                self._try(task, gate)

    def _try(self, task: _Task, gate: Gate) -> None:
        is_open = False
        try:
            is_open = gate.attempt()
        finally:
            if not is_open:
                self._gates[task] = gate
        if is_open:
            self._runnable.append((task, Signal.READY))

    def give_up(self, held: Collection[object]) -> bool:
        """Resume the waits at gates that are barred while calls go on that have *held*.

        Returns whether there are any.
        """
        gates = list(self._gates.items())
        barred = [task for task, gate in gates if gate.barred and gate.barred(held)]
        for task in barred:
            if task in self._gates:
                del self._gates[task]
                self._runnable.append((task, Signal.BARRED))
        return bool(barred)

    def answer(self, signal: Signal) -> None:
        """The consumer has had the item that was offered: *signal* says what he wants now."""
        if self._offering is not None:
            self._runnable.append((self._offering[0], signal))
            self._offering = None

    def cancel(self) -> None:
        """End every wait, now and from now on."""
        self.cancelled = True
        for task in [*self._io, *self._gates]:
            self._runnable.append((task, Signal.CANCELLED))
        self._io.clear()
        self._gates.clear()
        self.answer(Signal.CANCELLED)

    def step(self) -> None:
        """Run until everybody waits, an item is offered or the root has returned."""
        while not self.settled and self._raised is None:
            if not self._runnable:
                break
            self._run(*self._runnable.popleft())
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error

    # -- what another driver does, in the same thread, while one of them runs ------------

    @property
    def over(self) -> bool:
        """Whether nothing of it goes on any more, or soon will."""
        return self.done or self.cancelled

    @property
    def resumable(self) -> bool:
        """Whether one that has waited can run."""
        return self._raised is None and any(task.started for task, _ in self._runnable)

    def go_on(self) -> None:
        """Run what has waited, until all of that waits again or has returned.

        Those that were not begun hold nothing and nobody waits for them, so they stay: each may
        run code of the application's on top of what runs already. What one raises is kept for the
        next :meth:`step`: it is not the affair of whoever calls this.
        """
        put_off = []
        try:
            while not self.settled:
                if not self._runnable:
                    break
                task, value = self._runnable.popleft()
                if task.started:
                    self._run(task, value)
                else:
                    put_off.append((task, value))
        except BaseException as error:
            # Also an interrupt, which goes on from here as well: it has ended this call too.
            self._raised = error
            if not isinstance(error, Exception):
                raise
        finally:
            self._runnable.extendleft(reversed(put_off))

    def _run(self, task: _Task, value: Any) -> None:
        task.started = True
        try:
            effect = _leave(task, value) if self.cancelled else task.generator.send(value)
        except StopIteration as stop:
            self._finish(task, stop.value)
        else:
            self._wait(task, effect)

    def close(self) -> None:
        """Close every generator, the youngest first.

        None is left to the garbage collector: their last steps take locks, and the collector may
        run while this thread holds them.
        """
        with ExitStack() as stack:
            for task in self._live:
                stack.callback(task.generator.close)
        self._live.clear()

    # -- inside --------------------------------------------------------------------------

    def _wait(self, task: _Task, effect: Effect) -> None:
        if type(effect) is Fork:
            self._fork(task, effect)
        elif self.cancelled:
            # An item that comes now is shown to nobody.
            refused = type(effect) is Offer
            self._runnable.append((task, Signal.REFUSED if refused else Signal.CANCELLED))
        elif type(effect) is Offer:
            self._offering = (task, effect)
        elif type(effect) is Io:
            self._io[task] = effect
        elif effect.attempt():  # type: ignore[union-attr]
            self._runnable.append((task, Signal.READY))
        else:
            self._gates[task] = effect  # type: ignore[assignment]

    def _fork(self, task: _Task, fork: Fork) -> None:
        if not fork.branches:
            self._runnable.append((task, []))
            return
        task.results = [None] * len(fork.branches)
        task.missing = len(fork.branches)
        for index, branch in enumerate(fork.branches):
            child = _Task(branch, task, index, self._is_under_way)
            self._live[child] = None
            self._runnable.append((child, None))

    def _finish(self, task: _Task, value: Any) -> None:
        del self._live[task]
        parent = task.parent
        if parent is None:
            self.done, self.result = True, value
            return
        parent.results[task.index] = value
        parent.missing -= 1
        if parent.missing == 0:
            results, parent.results = parent.results, []
            self._runnable.append((parent, results))


def _leave(task: _Task, value: Any) -> Effect:
    """Resume *task*, of a call whose caller went away."""
    LEAVING.now, before = True, LEAVING.now
    try:
        return task.generator.send(value)
    finally:
        LEAVING.now = before


def _passed(wait: Io | Gate, now: float) -> bool:
    return wait.deadline is not None and wait.deadline <= now
