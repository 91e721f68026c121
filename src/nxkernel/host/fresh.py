"""Carries one call to a plugin with fresh state: fork a process for it, talk, see it gone.

The template is the worker of the plugin's own slot, where everything is as for any other: its
start, its death, and the historic calls, which run in it because they are made for what they leave
behind. At that slot's gate a call waits no longer than its process takes to be forked. Then the two
have a slot of their own, and a call that the plugin makes to itself has another one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs

from nxkernel._clock import Clock
from nxkernel._wire import VERSION, FromWorker, Hello, Refused
from nxkernel.dispatch.effects import Effects
from nxkernel.errors import NxError, SandboxUnavailable
from nxkernel.host.cells import Birth, Cell
from nxkernel.host.conversation import Brokers, Conversation
from nxkernel.host.custody import Custody
from nxkernel.host.flows import Find, Flow
from nxkernel.host.frame import Frame
from nxkernel.host.keeper import Keeper
from nxkernel.host.listening import receive
from nxkernel.host.losing import bury, discard_stale
from nxkernel.host.replies import MAX_MESSAGE
from nxkernel.host.session import session
from nxkernel.host.starting import Starter
from nxkernel.host.unanswered import (
    Loss,
    cancelled,
    lost_between,
    lost_with,
    refused,
    unmade,
    words_for,
)
from nxkernel.host.workers import Worker
from nxkernel.types import Call, Outcome

__all__ = ["FreshCalls"]

#: Takes the place of a call's id where the template itself was lost.
_TEMPLATE = "template"
_BORN = "while its process was forked for the call"


@attrs.frozen
class FreshCalls:
    """Makes the calls of plugins whose calls have a process of their own."""

    _kernel: Brokers
    _clock: Clock
    _starter: Starter

    def attempt(self, keeper: Keeper, call: Call, frame: Frame, came: float) -> Effects[Outcome]:
        """Make *call* once; *frame* is its own, *came* is when it came."""
        if call.token is not None:
            cell = keeper.cells.get(call.token[0])
            if not isinstance(cell, Cell):
                return lost_between(call, keeper.loser(call.token[0]))
        else:
            born = yield from self._born(keeper, call, came)
            if not isinstance(born, Cell):
                return born
            cell = born
        try:
            outcome = yield from session(
                self._clock, cell, frame, lambda: self._inside(cell, call, frame, came)
            )
        except BaseException:
            cell.drop()
            raise
        if not frame.seq and call.token is None:
            cell.drop()  # Nobody asked it anything. A wrapper in it is ended by who forsakes it.
        return unmade(call, frame) if outcome is None else outcome

    def stream(
        self, keeper: Keeper, call: Call, came: float, flow: Callable[[Custody, Find], Flow]
    ) -> Effects[Outcome]:
        """Make *call*, which streams, in a process that lives as long as the stream."""
        cell = yield from self._born(keeper, call, came)
        if not isinstance(cell, Cell):
            return cell
        made = flow(cell, partial(self._found, cell))
        try:
            outcome = yield from made.run()
        except BaseException:
            cell.drop()
            raise
        if made.gone:
            cell.let_go()  # Its iterator is being closed.
        else:
            cell.drop()
        return outcome

    # -- in the cell -----------------------------------------------------------------------

    def _inside(self, cell: Cell, call: Call, frame: Frame, came: float) -> Effects[Outcome]:
        worker = yield from self._found(cell, call, frame, came)
        if isinstance(worker, Outcome):
            return worker
        conversation = Conversation(
            clock=self._clock,
            kernel=self._kernel,
            keeper=cell,
            worker=worker,
            call=call,
            frame=frame,
        )
        outcome = yield from conversation.hold(came)
        if call.phase != "setup" or outcome.error is not None:
            yield from cell.dismiss(worker, frame)
        return outcome

    def _found(
        self, cell: Cell, call: Call, frame: Frame, _came: float
    ) -> Effects[Worker | Outcome]:
        if not (yield from discard_stale(self._clock, cell, frame)):
            return cancelled(call)
        worker = cell.slot.worker
        if frame.lost_by is not None:
            return lost_with(call, frame.lost_by)
        if worker is not None:
            return worker
        by = cell.loser(cell.generation)
        return lost_between(call, by) if call.token is not None else _ended(call, by)

    # -- at the template -------------------------------------------------------------------

    def _born(self, keeper: Keeper, call: Call, came: float) -> Effects[Cell | Outcome]:
        """Return the cell of a new process for *call*, or the outcome for want of one.

        A template that had ended unseen must not cost the call: there is another one for it, once.
        """
        for last in (False, True):
            frame = Frame(
                call_id=call.call_id, deadline=call.deadline, nested=call.depth > 0 or call.awaited
            )
            body = partial(self._forked, keeper, call, frame, came)
            born = yield from session(self._clock, keeper, frame, body)
            if last or not (isinstance(born, Outcome) and frame.lost_by == _TEMPLATE):
                break
        return unmade(call, frame) if born is None else born

    def _forked(
        self, keeper: Keeper, call: Call, frame: Frame, came: float
    ) -> Effects[Cell | Outcome]:
        template = yield from self._template(keeper, call, frame, came)
        if isinstance(template, Outcome):
            return template
        frame.deadline = self._clock.monotonic() + keeper.start_timeout_s
        problem = yield from self._starter.alone(keeper, template, frame)
        if problem is not None:
            return refused(call, problem)
        birth = Birth(keeper, template)
        try:
            birth.begin()
            word = yield from receive(self._clock, birth, frame)
            if frame.lost_by is not None:
                return lost_with(call, frame.lost_by)
            if isinstance(word, Hello) and word.version == VERSION:
                return birth.adopt(word)
            return (yield from self._stillborn(keeper, template, call, frame, word))
        except NxError as error:
            return refused(call, error)
        finally:
            birth.end()

    def _template(
        self, keeper: Keeper, call: Call, frame: Frame, came: float
    ) -> Effects[Worker | Outcome]:
        """Return the plugin's template, started if need be, or the outcome for want of one."""
        if not (yield from discard_stale(self._clock, keeper, frame)):
            return cancelled(call)
        if frame.lost_by is not None:
            return lost_with(call, frame.lost_by)
        worker = keeper.slot.worker
        if worker is not None:
            return worker
        frame.deadline = call.deadline + (self._clock.monotonic() - came)
        problem = yield from self._starter.start(keeper, frame)
        if problem is not None:
            return refused(call, problem)
        return cancelled(call) if frame.worker is None else frame.worker

    def _stillborn(
        self,
        keeper: Keeper,
        template: Worker,
        call: Call,
        frame: Frame,
        word: FromWorker | Loss,
    ) -> Effects[Outcome]:
        """The outcome of a call whose process said no hello; *word* is what came instead."""
        if isinstance(word, Refused):
            return refused(call, _refusal(keeper, word))
        loss = word if isinstance(word, Loss) else Loss("violation", "Hello was expected")
        if loss.why == "cancelled":
            return cancelled(call)
        template.channel.pump()
        if loss.why == "deadline" or template.channel.closed or template.process.has_ended():
            yield from bury(self._clock, keeper, template, frame, counted=True)
            frame.lost_by = _TEMPLATE if loss.why == "ended" else frame.lost_by
        code, text = words_for(loss, _BORN)
        return Outcome.failed(call, code, f"plugin {call.plugin!r} {text}", "plugin")


def _refusal(keeper: Keeper, word: Refused) -> NxError:
    if word.code == "sandbox.unavailable":
        return SandboxUnavailable(
            f"the process of a call could not confine itself: {word.message[:MAX_MESSAGE]}"
        )
    return SandboxUnavailable(
        f"plugin {keeper.plugin!r}: the system refused a call its process: "
        f"{word.message[:MAX_MESSAGE]}; make fewer calls at a time, or raise the limit of processes"
    )


def _ended(call: Call, by: str | None) -> Outcome:
    if by is not None:
        return lost_with(call, by)
    return Outcome.failed(
        call, "plugin.crashed", f"plugin {call.plugin!r} ended before the call was made", "plugin"
    )
