"""Ends workers and buries them: whoever loses one has its exit reported and its pipes closed."""

from __future__ import annotations

from typing import Any

from nxkernel._clock import Clock
from nxkernel._wire import Pong
from nxkernel.dispatch.effects import LEAVING, Effects, Gate
from nxkernel.host.custody import Custody
from nxkernel.host.frame import Frame
from nxkernel.host.listening import receive
from nxkernel.host.slot import CLOSED, RETIRED, Slot
from nxkernel.host.unanswered import Loss, lost_with, words_for
from nxkernel.host.workers import Worker
from nxkernel.types import Call, Outcome

__all__ = ["bury", "discard_stale", "fit", "give_up", "inter", "lose", "lost_along", "post_mortem"]

#: Seconds to wait for the zygote's word on a worker that is gone.
_EXIT_WAIT_S = 5.0


def lose(
    clock: Clock, keeper: Custody, worker: Worker, call: Call, frame: Frame, loss: Loss
) -> Effects[Outcome]:
    """End the worker under *call* and return the outcome that this gives the call."""
    lost_by = frame.lost_by or keeper.loser(worker.generation)
    if loss.why == "cancelled" and lost_by is None:
        keeper.part(worker, frame, clock.monotonic())
        yield from inter(clock, keeper, frame)
    else:
        yield from bury(clock, keeper, worker, frame, counted=lost_by is None)
    if lost_by is not None:
        # Another call took the worker away; its end is not this plugin's doing.
        return lost_along(call, lost_by)
    loss, details = post_mortem(keeper, worker, loss)
    code, text = words_for(loss, "during the call")
    return Outcome.failed(
        call,
        code,
        f"plugin {call.plugin!r} {text}",
        "caller" if loss.why == "cancelled" else "plugin",
        details=details,
    )


def lost_along(call: Call, by: str) -> Outcome:
    """The outcome of *call*, under way on a worker that *by* took down.

    Where one caller went away from both, the lower one ended the worker for him.
    """
    if LEAVING.now and by not in (CLOSED, RETIRED):
        code, text = words_for(Loss("cancelled"), "during the call")
        return Outcome.failed(call, code, f"plugin {call.plugin!r} {text}", "caller")
    return lost_with(call, by)


def post_mortem(keeper: Custody, worker: Worker, loss: Loss) -> tuple[Loss, dict[str, Any]]:
    """Return why *worker* was lost, which may have been a limit of its own, and the details."""
    details = keeper.last_words(worker)
    breach = keeper.breach_of(worker) if loss.why == "ended" else None
    if breach is None:
        return loss, details
    return Loss("limit", breach.text()), {**details, **breach.facts()}


def bury(
    clock: Clock, keeper: Custody, worker: Worker, frame: Frame, *, counted: bool
) -> Effects[None]:
    """End the worker, wait for the zygote's word, report the exit, close what is left of it.

    Also one that "ended": all that is known is that it closed its pipe.
    """
    keeper.lose(worker, frame, counted=counted)
    yield from inter(clock, keeper, frame)


def inter(clock: Clock, keeper: Custody, frame: Frame) -> Effects[None]:
    """Bury the worker that this session has to bury, if any."""
    worker = frame.buries
    if worker is not None:
        until = clock.monotonic() + _EXIT_WAIT_S
        yield Gate(lambda: worker.exit is not None, until, holds=frame)
        keeper.buried(worker)
        frame.buries = None


def give_up(keeper: Custody, frame: Frame) -> None:
    """End the worker after an exception in the host: nobody will read its answer.

    KeyboardInterrupt may strike anywhere; what the worker is in the middle of, nobody knows.
    """
    if frame.worker is not None and not frame.over:
        keeper.lose(frame.worker, frame, counted=False)
    if frame.buries is not None:
        keeper.buried(frame.buries)
        frame.buries = None


def fit(slot: Slot, frame: Frame) -> Worker | None:
    """Return the worker if :func:`discard_stale` would find nothing to do, for all that is seen."""
    worker = slot.worker
    if worker is None or frame.lost_by is not None or worker.asked is not None or worker.forsaken:
        return None
    return None if slot.alone and worker.channel.stirs else worker


def discard_stale(clock: Clock, keeper: Custody, frame: Frame) -> Effects[bool]:
    """Replace a worker that ended or babbled while nobody called it.

    Such a worker must not cost the next call, which did nothing wrong. Nor must a wrapper that
    nothing will resume: it is ended first. Returns False when the caller went away meanwhile.
    """
    worker = keeper.slot.worker
    if worker is None or not keeper.slot.alone:
        return True
    answered = yield from _pong(clock, keeper, worker, frame)
    if answered and worker.forsaken:
        worker.end_forsaken(keeper.until(clock.monotonic()))
        answered = yield from _pong(clock, keeper, worker, frame)
    if answered is None:
        return False  # What is under way goes on; whoever comes next hears of it.
    worker.channel.pump()
    if not (answered and worker.channel.quiet):
        keeper.replace(worker, frame)
        yield from inter(clock, keeper, frame)
    return True


def _pong(clock: Clock, keeper: Custody, worker: Worker, frame: Frame) -> Effects[bool | None]:
    """Hear the answer to a ping that was on its way when *frame* came; whether it came in time.

    Nearly always it is there. A worker that hangs costs the call what is left of the ping's time,
    and none of the call's own. None when the caller went away.
    """
    asked = worker.asked
    if asked is None:
        return True
    frame.deadline = asked.until
    heard = yield from receive(clock, worker, frame)
    if isinstance(heard, Loss) and heard.why == "cancelled":
        return None
    if not (isinstance(heard, Pong) and heard.seq == asked.seq):
        keeper.pings_missed += 1
        return False
    keeper.pinged(worker)
    return True
