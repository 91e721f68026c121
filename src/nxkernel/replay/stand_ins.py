"""Stand-ins: objects that answer in a plugin's place, from a record."""

from __future__ import annotations

import builtins
import functools
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from nxkernel import _locks
from nxkernel._blob import NONE
from nxkernel._canonical import decode, digest, encode
from nxkernel._pickling import Rooted
from nxkernel.errors import KernelConfigError, ReplayError, error_for
from nxkernel.hookspecs import HookimplMarker
from nxkernel.recording.records import Ended, RecordedCall, RecordedError
from nxkernel.replay.comparing import shown
from nxkernel.replay.exemptions import CLOSED, exemption
from nxkernel.replay.session import Session
from nxkernel.types import PluginId

__all__ = ["StandIn"]


class StandIn(Rooted):
    """Implements the hooks that *plugin* was asked for in a recorded run, and answers as it did.

    It is one of ``Kernel(builtins={plugin: stand_in})``, under the plugin's own id or another. It
    knows no more than what was recorded: anything else is ``replay.unknown_input``. Where equal
    arguments had several answers, because of their keys or of what the plugin remembered, they are
    given in their order, and the last one again from then on. An error is raised again; the
    outcome has its code and text as its message. Of a stream that was closed there is no more than
    what was taken.

    Args:
        run: a run directory, or the file of a recording.
        project: the pluggy project name of the markers.

    Raises:
        StorageError: ``recording.missing``.
        IntegrityError: ``recording.damaged``.
        ReplayError: ``replay.missing_plugin``, when the run has no call of *plugin*.
        KernelConfigError: when it is a wrapper; those cannot be stood in for.
    """

    _instead = "make it there, from the recorded run"

    def __init__(self, run: Path | str, plugin: str, *, project: str) -> None:
        self._plugin = PluginId(plugin)
        self._lock = _locks.lock()
        #: What is left of the answers, by hookimpl and digest of the arguments.
        self._answers: dict[tuple[str, str], list[Callable[[], Any]]] = {}
        mark = HookimplMarker(project)
        with Session.open(run) as session:
            calls = [each for each in session.calls if each.plugin == plugin and _answered(each)]
            if not calls:
                raise _nobody(session, plugin)
            for call in calls:
                self._learn(session, call)
            names = {each.begun.impl: (each.hook, _names(session, each)) for each in calls}
        for impl, (hook, arguments) in names.items():
            setattr(self, impl, mark(specname=hook)(self._hookimpl(impl, arguments)))

    def _learn(self, session: Session, call: RecordedCall) -> None:
        begun, ended = call.begun, call.ended
        if begun.phase != "call" or hasattr(self, begun.impl):
            kind = "wrapper" if begun.phase != "call" else "method of the stand-in itself"
            raise KernelConfigError(
                f"hookimpl {begun.impl!r} of {self._plugin!r} is a {kind}; no stand-in can be it"
            )
        if ended is not None:
            answers = self._answers.setdefault((begun.impl, begun.input), [])
            give = _items(session, call) if begun.stream else _answer(session, ended)
            answers.append(give)

    def _hookimpl(self, impl: str, arguments: Sequence[str]) -> types.FunctionType:
        """Return a function with these arguments: pluggy reads their names from its code."""
        code = _template.__code__.replace(
            co_argcount=len(arguments),
            co_nlocals=len(arguments),
            co_varnames=tuple(arguments),
            co_name=impl,
            co_qualname=impl,
        )
        answer = functools.partial(self._answer, impl)
        return types.FunctionType(code, {"__builtins__": builtins, "answer": answer}, impl)

    def _answer(self, impl: str, given: Mapping[str, Any]) -> Any:
        payload = encode(dict(given))
        with self._lock:
            answers = self._answers.get((impl, digest(payload)))
            if answers is None:
                raise ReplayError(
                    f"the stand-in for {self._plugin!r} has no record of {impl} with "
                    f"{shown(dict(given))}",
                    code="replay.unknown_input",
                    plugin=self._plugin,
                )
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer()


def _template() -> Any:
    return answer(locals())  # type: ignore[name-defined]  # noqa: F821


def _answered(call: RecordedCall) -> bool:
    """Whether the call has an end that was the plugin's, or the builtin's, own doing."""
    begun = call.begun
    return call.ended is not None and (begun.level == "host" or not exemption(call))


def _names(session: Session, call: RecordedCall) -> list[str]:
    return sorted(session.value(call.begun.input, call.begun.blobs))


def _answer(session: Session, ended: Ended) -> Callable[[], Any]:
    """Return what gives the recorded answer; it is read now, and made anew each time."""
    error = ended.error
    if error is not None:
        return functools.partial(_fail, error)
    payload = session.payload(ended.value)
    blobs = session.blobs(ended.blobs) or NONE
    return lambda: decode(payload, blobs)


def _items(session: Session, call: RecordedCall) -> Callable[[], Iterator[Any]]:
    """Return what gives the items of a recorded stream, and then its error, if it had one."""
    found = [(session.payload(i.value), session.blobs(i.blobs) or NONE) for i in call.items]
    error = call.ended.error if call.ended else None

    def give() -> Iterator[Any]:
        for payload, blobs in found:
            yield decode(payload, blobs)
        if error is not None and error.code == CLOSED:
            raise ReplayError(
                f"the stand-in for {call.plugin!r} has no more items on record: the consumer "
                f"closed this stream of {call.hook} after {len(found)}",
                code="replay.unknown_input",
                plugin=call.plugin,
            )
        if error is not None:
            _fail(error)

    return give


def _fail(error: RecordedError) -> NoReturn:
    # A builtin's outcome has the words of what it raised, and no code of its own.
    raise error_for(error.code, f"[{error.code}] {error.message}")


def _nobody(session: Session, plugin: str) -> ReplayError:
    known = ", ".join(sorted({str(each.plugin) for each in session.calls})) or "none"
    return ReplayError(
        f"run {session.head.run_id} has no call of plugin {plugin!r}; it has calls of: {known}",
        code="replay.missing_plugin",
        plugin=plugin,
    )
