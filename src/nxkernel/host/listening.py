"""Hears one worker: its next message, or why there will be none."""

from __future__ import annotations

from typing import Protocol

from nxkernel._clock import Clock
from nxkernel._wire import Denied, Drawn, FromWorker
from nxkernel.dispatch.effects import Effects, Io, Signal
from nxkernel.errors import ProtocolViolation
from nxkernel.host.channel import Channel
from nxkernel.host.frame import Frame
from nxkernel.host.unanswered import Loss
from nxkernel.host.workers import Worker

__all__ = ["Speaker", "after", "hear", "receive"]


class Speaker(Protocol):
    """Whoever is at the other end of a channel."""

    @property
    def channel(self) -> Channel:
        """It."""

    def hear(self) -> FromWorker | None:
        """Return its next whole message that is for whoever listens now, or None."""


def receive(clock: Clock, worker: Speaker, frame: Frame) -> Effects[FromWorker | Loss]:
    """Wait for the next message to *frame*, which is on top of its worker's stack."""
    channel = worker.channel
    while True:
        heard = _heard(worker)
        if heard is not None:
            return heard
        # Checked here as well: a worker that drips bytes is always "ready".
        if clock.monotonic() >= frame.limit:
            return Loss("deadline")
        write = channel.command if channel.backlog else None
        signal = yield Io(channel.result, write, frame.limit, holds=frame)
        if signal is Signal.CANCELLED:
            return Loss("cancelled")
        if signal is Signal.READY:
            channel.pump()


def after(worker: Speaker, signal: Signal) -> FromWorker | Loss | None:
    """What a wait for *worker* has brought that ended with *signal*: None if nothing yet.

    Before it all was written, nothing was left in the channel, and the worker had no strays.
    """
    if signal is Signal.READY:
        try:
            message = worker.channel.prompt()
        except ProtocolViolation as error:
            return Loss("violation", error.message)
        if message is not None:
            return message
    elif signal is Signal.CANCELLED:
        return Loss("cancelled")
    return _heard(worker)


def hear(
    clock: Clock, worker: Worker, frame: Frame, message: FromWorker | Loss | None = None
) -> Effects[FromWorker | Loss]:
    """Wait for the next message that is more than an account of what happened; keep that.

    *message* is the next one, where it was taken already.
    """
    if message is None:
        message = yield from receive(clock, worker, frame)
    if isinstance(message, Denied) and frame.may_tell(message):
        frame.denied = message
        message = yield from receive(clock, worker, frame)
    if isinstance(message, Drawn) and frame.may_tell(message):
        frame.drawn = message
        message = yield from receive(clock, worker, frame)
    return message


def _heard(worker: Speaker) -> FromWorker | Loss | None:
    """Return the next message, or why there will be none, or None if it may still come."""
    channel = worker.channel
    try:
        message = worker.hear()
    except ProtocolViolation as error:
        return Loss("violation", error.message)
    if message is None:
        return Loss("ended") if channel.closed else None
    if channel.backlog:
        # Else a worker that asks and never reads would fill the host with replies.
        return Loss("violation", "it speaks before it has read what it was told")
    return message
