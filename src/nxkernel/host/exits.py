"""How a worker ended, and by whose hand, as far as that can be known. Nothing here is guessed."""

from __future__ import annotations

import signal
from typing import Any

from nxkernel.host.memory_kills import MemoryKills
from nxkernel.host.workers import Worker

__all__ = ["exit_facts"]

#: Signals that say by themselves what happened. Windows has none of them.
_TELLING = {
    getattr(signal, name, None): cause
    for name, cause in (("SIGXCPU", "limit"), ("SIGXFSZ", "limit"), ("SIGSYS", "forbidden_call"))
}


def exit_facts(worker: Worker, kills: MemoryKills) -> dict[str, Any]:
    """Return status or signal of a worker that is over, and ``cause`` where it is known.

    ``host``: the host ended it. ``limit``: it exceeded one. ``out_of_memory``: the kernel of the
    operating system ended it to get memory back. ``forbidden_call``: its filter did.
    """
    ended = worker.exit
    if ended is None:
        return {"exit_status": None, "signal": None}
    facts: dict[str, Any] = {"exit_status": ended.status, "signal": ended.signal}
    if worker.cause is None:
        # Once: the memory killer's count explains one end each.
        worker.cause = _cause(worker, ended.signal, kills)
    return {**facts, "cause": worker.cause} if worker.cause else facts


def _cause(worker: Worker, number: int | None, kills: MemoryKills) -> str:
    if worker.breach is not None:
        return "limit"
    if number is None:
        return ""
    if number != getattr(signal, "SIGKILL", None):
        return _TELLING.get(number, "")
    if worker.ended_by_host:
        return "host"
    return "out_of_memory" if kills.claim() else ""
