"""``nx.Recording``: the innermost middleware, which keeps what crosses in each call."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol

from nxkernel import _forks
from nxkernel._blob import NONE, Blobs
from nxkernel._canonical import blobs_of, digest, encode
from nxkernel._clock import Clock
from nxkernel._pickling import Rooted
from nxkernel.dispatch.stack import Asked, BootFacts, Layer, PluginFacts
from nxkernel.errors import KernelConfigError, StorageError
from nxkernel.recording.fingerprint import libraries, processor
from nxkernel.recording.frames import frame
from nxkernel.recording.pack import NAME, PackWriter, raw_name
from nxkernel.recording.records import (
    Answer,
    Begun,
    Close,
    Ended,
    Head,
    Item,
    PluginRecord,
    Question,
    RecordedError,
    narrow,
)
from nxkernel.types import Call, CallError, CallId, Outcome, PluginId

__all__ = ["Recorded", "Recording"]

#: First phases of wrappers whose second one may still come; those of dead workers never do.
_SUSPENDED = 4096


class Recorded(Protocol):
    """The run that is recorded: an ``nx.Run``."""

    @property
    def data_dir(self) -> Path:
        """Where ``runs/<id>`` is."""

    @property
    def started_ns(self) -> int:
        """What ``context.now()`` told."""


class Recording(Rooted):
    """Keeps what crosses in each call of *run*, so that it can be replayed.

    It stands last in the stack, where the call has its seed and the answer is what the plugin
    gave. A call that cannot be recorded is not made, or its result is withheld:
    ``recording.failed``, fault ``host``.

    The file, ``recording.pack`` in the run's folder, holds arguments and answers as they crossed.
    It holds no settings, only their digest with secrets masked.

    Raises:
        KernelConfigError: at boot, when another middleware stands behind it.
        StorageError: at boot, ``recording.failed``.
    """

    _instead = "a middleware belongs to its kernel; make another one for the kernel there"

    name = "recording"
    _clock: Clock

    def __init__(self, run: Recorded) -> None:
        self._run = run
        self._forget()
        _forks.register(self)

    def _forget(self) -> None:
        self._writer: PackWriter | None = None
        self._plugins: dict[PluginId, PluginFacts] = {}
        #: What the calls under way have asked for so far.
        self._asked: dict[CallId, list[Question]] = {}
        self._suspended: OrderedDict[tuple[PluginId, Any], CallId] = OrderedDict()
        self._calls = 0

    def abandon(self) -> None:
        """In a forked child: the file is the parent's, the next boot begins another one."""
        if self._writer is not None:
            self._writer.close()
        self._forget()

    # -- boot and close --------------------------------------------------------------------

    def boot(self, facts: BootFacts) -> None:
        """Begin the file with the run's head and a record of each plugin."""
        stack = facts.header.get("stack", [self.name])
        if stack[-1] != self.name:
            raise KernelConfigError(
                f"Recording stands before {stack[-1]!r}: list it last, it records what crosses"
            )
        if self._writer is None:
            self._clock = facts.clock
            self._writer = PackWriter(self._run.data_dir / "runs" / facts.run_id / NAME)
            self._writer.append(frame("h", self._head(facts).packed()))
        for plugin in sorted(facts.plugins):
            if self._plugins.get(plugin) != facts.plugins[plugin]:
                self.plugin_added(facts.plugins[plugin])

    def _head(self, facts: BootFacts) -> Head:
        return Head(
            run_id=facts.run_id,
            seed=narrow(facts.seed),
            started_ns=self._run.started_ns,
            environment=dict(facts.header),
            processor=processor(),
            libraries=libraries(),
        )

    def plugin_added(self, facts: PluginFacts) -> None:
        """Record an edition of a plugin that is about to get calls."""
        self._plugins[facts.id] = facts
        self._file.append(frame("p", _plugin(facts).packed()))

    def close(self) -> None:
        """Write that the recording is whole."""
        if self._writer is not None:
            self._writer.append(frame("Z", Close(calls=self._calls).packed()))
            self._writer.close()
            self._forget()

    @property
    def _file(self) -> PackWriter:
        if self._writer is None:
            raise StorageError("the recording has not begun", code="recording.failed")
        return self._writer

    # -- calls -----------------------------------------------------------------------------

    def around(self, call: Call) -> Layer:
        """Record the call, make it, record how it ended."""
        try:
            self._begin(call)
        except StorageError as error:
            return _refused(call, error, "the call was not made")
        asked = self._asked[call.call_id] = []
        try:
            outcome = yield call
        finally:
            del self._asked[call.call_id]
        try:
            self._end(call, outcome, asked)
        except StorageError as error:
            return _refused(call, error, "the call was made and its result is withheld")
        return outcome

    def item(self, call: Call, outcome: Outcome) -> Outcome:
        """Record an item of a stream, before anybody but its plugin has seen it."""
        name, data, blobs = _value(outcome)
        item = Item(call_id=call.call_id, value=name, blobs=tuple(blobs))
        try:
            self._file.append(frame("i", item.packed()), values={raw_name(name): data}, blobs=blobs)
        except StorageError as error:
            return _refused(call, error, "the item is withheld")
        return outcome

    def asked(self, asked: Asked) -> None:
        """Keep what a plugin was told when it called back, for the end of its own call."""
        questions = self._asked.get(asked.call.call_id)
        if questions is None:
            return
        name = digest(asked.payload)
        values, blobs = {raw_name(name): asked.payload}, {**asked.blobs, **asked.answer_blobs}
        answer = Answer(
            blobs=tuple(asked.answer_blobs),
            error=_error(asked.error),
            origin=asked.origin,
            degraded=asked.degraded,
            value="" if asked.error else digest(asked.answer),
        )
        if answer.value:
            values[raw_name(answer.value)] = asked.answer
        self._file.append(values=values, blobs=blobs)
        questions.append(
            Question(hook=asked.hook, input=name, blobs=tuple(asked.blobs), answer=answer)
        )

    def retrying(self, lost: Call, _outcome: Outcome, _again: Call) -> None:
        """Forget what a lost attempt had asked for: the next one asks again."""
        questions = self._asked.get(lost.call_id)
        if questions is not None:
            questions.clear()

    def _begin(self, call: Call) -> None:
        self._calls += 1
        self._file.append(
            frame("c", self._begun(call).packed()),
            values={raw_name(call.input_digest): call.payload},
            blobs=call.blobs,
        )

    def _begun(self, call: Call) -> Begun:
        setup = self._suspended.pop((call.plugin, call.token), None) if call.token else None
        return Begun(
            call_id=call.call_id,
            plugin=call.plugin,
            edition=call.edition,
            impl=call.impl,
            hook=call.hook,
            phase=call.phase,
            key=tuple(map(narrow, call.key)),
            seed=call.seed or b"",
            parent=call.parent,
            caller=call.caller,
            depth=call.depth,
            level=call.level,
            historic=call.historic,
            stream=call.stream,
            retries=call.retries,
            timeout_s=max(0.0, call.deadline - self._clock.monotonic()),
            input=call.input_digest,
            blobs=tuple(call.blobs),
            setup=setup,
            inner_error=_error(call.inner_error),
            inner_fault=call.inner_fault,
            inner_origin=call.inner_origin,
        )

    def _end(self, call: Call, outcome: Outcome, asked: list[Question]) -> None:
        if "token" in outcome.annotations:
            self._suspended[call.plugin, outcome.annotations["token"]] = call.call_id
            if len(self._suspended) > _SUSPENDED:
                self._suspended.popitem(last=False)
        name, data, blobs = _value(outcome)
        ended = Ended(
            call_id=call.call_id,
            value=name,
            blobs=tuple(blobs),
            error=_error(outcome.error),
            fault=outcome.fault,
            lost=outcome.error is not None and "lost_by" in outcome.error.details,
            attempts=outcome.attempts,
            questions=tuple(asked),
        )
        values = {raw_name(name): data} if name else {}
        self._file.append(frame("e", ended.packed()), values=values, blobs=blobs)


def _value(outcome: Outcome) -> tuple[str, bytes, Blobs]:
    """Return digest, canonical bytes and blobs of the value, or nothing for an error."""
    if outcome.error is not None:
        return "", b"", NONE
    # Its digest is computed, not taken from the outcome: that of a stream is about its items.
    data = encode(outcome.value)
    return digest(data), data, blobs_of(outcome.value, data)


def _error(error: CallError | None) -> RecordedError | None:
    return None if error is None else RecordedError(code=error.code, message=error.message)


def _plugin(facts: PluginFacts) -> PluginRecord:
    return PluginRecord(
        id=facts.id,
        edition=facts.edition,
        version=facts.version,
        code_digest=facts.code_digest,
        settings_digest=facts.settings.digest,
        level=facts.level,
        requires=tuple(facts.requires),
    )


def _refused(call: Call, error: StorageError, consequence: str) -> Outcome:
    return Outcome.failed(call, error.code, f"{error.message}; {consequence}", "host")
