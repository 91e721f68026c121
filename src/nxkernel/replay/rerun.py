"""Rerun: makes recorded calls again, in fresh workers, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from nxkernel._canonical import blobs_of, digest, encode
from nxkernel._once import once
from nxkernel._temporary import temporary
from nxkernel.errors import ReplayError
from nxkernel.kernel import Kernel
from nxkernel.kernel.repeating import Made, Repeating
from nxkernel.recording.fingerprint import libraries, processor
from nxkernel.recording.records import Ended, RecordedCall, RecordedError
from nxkernel.replay.answers import Recall
from nxkernel.replay.circumstances import Circumstance, of_plugin, of_run
from nxkernel.replay.comparing import Difference, between, shown
from nxkernel.replay.exemptions import CLOSED, exemption
from nxkernel.replay.session import Session
from nxkernel.replay.verdicts import Verdict
from nxkernel.run import begun_as
from nxkernel.surroundings import Surroundings
from nxkernel.types import Call, CallError, CallId, Outcome, PluginId

__all__ = ["rerun"]

#: Told after each call, with its verdict.
Progress = Callable[[Verdict], None]


def rerun(
    session: Session,
    kernel_factory: Callable[[], Kernel],
    calls: Iterable[RecordedCall] | None = None,
    *,
    surroundings: Surroundings | None = None,
    fresh: bool = False,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> list[Verdict]:
    """Make *calls* of *session* again, in this order; return a verdict for each.

    *kernel_factory* returns the application's kernel, which need not be entered and is not touched:
    its plugins, grants, settings, sandbox, hosting and guard are taken, and put into a kernel of
    its own, with workers that have seen no call yet. Each call has the arguments, the call key and
    the logical id that it had. What a plugin asks is answered from the record, so nested calls are
    calls like others, each made on its own. Nothing is written to the audit.

    Without *calls*, all of them, in the order in which they began: what a plugin keeps from call to
    call is what it was then. The second phase of a wrapper is made together with its first.

    *surroundings* are those of the workers, in the place of the kernel's: other ones show what
    results depend on. *fresh* gives each call a process of its own, whatever its plugin's manifest
    says. *folder* is where plugins keep their files; without it they are removed afterwards.
    *progress* is told after each call.

    Raises:
        ReplayError: ``replay.missing_plugin`` or ``replay.changed_manifest``.
        PluginDisabled: when a plugin of *calls* does not run here.
        IntegrityError: ``recording.damaged``.
        NxError: as a boot does.
    """
    chosen = list(session.calls if calls is None else calls)
    kernel = kernel_factory()
    recall = Recall(session)
    with temporary("replay") if folder is None else nullcontext(folder) as place:
        run = begun_as(kernel.run, place, seed=session.seed, started_ns=session.head.started_ns)
        with Repeating(kernel, run, recall, surroundings, fresh=fresh) as repeating:
            rehearsal = _Rehearsal(session, repeating, recall)
            rehearsal.check(chosen)
            verdicts = []
            for each in chosen:
                verdicts.append(rehearsal.verdict(each))
                if progress is not None:
                    progress(verdicts[-1])
            return verdicts


@attrs.define(eq=False, slots=False)
class _Rehearsal:
    """The calls of one session, made on one kernel."""

    session: Session
    repeating: Repeating
    recall: Recall
    #: First phases that were made: what resumes them, None where they failed.
    _setups: dict[CallId, Any] = attrs.Factory(dict)
    #: What has changed around an edition of a plugin.
    _changes: dict[tuple[PluginId, int], tuple[Circumstance, ...]] = attrs.Factory(dict)

    def check(self, calls: Iterable[RecordedCall]) -> None:
        """Raise unless everybody who is about to be asked is there."""
        asked = {(each.plugin, each.begun.impl, each.hook) for each in calls if not exemption(each)}
        for plugin, impl, hook in sorted(asked):
            if plugin not in self.repeating.plugins:
                raise self.repeating.why_not(plugin) or _missing(plugin, self.repeating)
            if not any(i.impl == impl and i.hook == hook for i in self.repeating.impls(plugin)):
                raise ReplayError(
                    f"plugin {plugin!r} has no hookimpl {impl!r} of {hook!r} any more; it had when "
                    "the run was recorded",
                    code="replay.changed_manifest",
                    plugin=plugin,
                    hook=hook,
                )

    def verdict(self, call: RecordedCall) -> Verdict:
        """Make *call* again."""
        ended, why = call.ended, exemption(call)
        if why or ended is None:
            return Verdict(call=call, state="left_out", why=why)
        setup = call.begun.setup
        if call.begun.phase == "teardown" and self._token(setup) is None:
            why = f"its first phase, call {setup}, could not be made as it was"
            return Verdict(call=call, state="left_out", why=why)
        made, strayed = self._made(call)
        difference = strayed or self._of_items(call, made)
        if difference is None and not _was_closed(call):
            difference = self._difference(ended, made.outcome)
        return Verdict(
            call=call,
            state="different" if difference else "same",
            difference=difference,
            circumstances=self._circumstances(call),
            digest=_digest(call, made),
        )

    def _token(self, setup: CallId | None) -> Any:
        """Return what resumes the first phase *setup*, which is made now if it was not yet."""
        if setup is None:
            return None
        if setup not in self._setups:
            self._made(self.session.call(setup))
        return self._setups[setup]

    def _made(self, call: RecordedCall) -> tuple[Made, Difference | None]:
        again = self._call(call)
        self.recall.begin(call)
        try:
            made = self.repeating.make(again, _most(call))
        finally:
            strayed = self.recall.end(call)
        if call.begun.phase == "setup":
            self._setups[call.call_id] = made.outcome.annotations.get("token")
        return made, strayed

    def _call(self, call: RecordedCall) -> Call:
        begun = call.begun
        value = self.session.value(begun.input, begun.blobs)
        payload = self.session.payload(begun.input)
        inner = begun.inner_error
        teardown = begun.phase == "teardown"
        return Call(
            run_id=self.session.head.run_id,
            call_id=begun.call_id,
            plugin=begun.plugin,
            edition=self.repeating.plugins[begun.plugin].edition,
            impl=begun.impl,
            hook=begun.hook,
            phase=begun.phase,  # type: ignore[arg-type]
            arguments=MappingProxyType({"result": value} if teardown else value),
            payload=payload,
            blobs=blobs_of(value, payload),
            input_digest=begun.input,
            deadline=self.repeating.clock.monotonic() + self._seconds(call),
            key=call.key,
            seed=begun.seed or None,
            retries=begun.retries,
            stream=begun.stream,
            level=self.repeating.level,
            token=self._setups.get(begun.setup) if begun.setup else None,
            inner_error=CallError(code=inner.code, message=inner.message) if inner else None,
            inner_fault=begun.inner_fault,  # type: ignore[arg-type]
            inner_origin=PluginId(begun.inner_origin) if begun.inner_origin else None,
        )

    def _seconds(self, call: RecordedCall) -> float:
        """Return how long the call may take: what was in time then shall not fail for a busy host.

        One that overran its time has what it had.
        """
        error = call.ended.error if call.ended else None
        least = (
            0.0 if error and error.code == "plugin.timeout" else self.repeating.hosting.timeout_s
        )
        return max(call.begun.timeout_s, least)

    # -- what came of it ---------------------------------------------------------------------

    def _of_items(self, call: RecordedCall, made: Made) -> Difference | None:
        if not call.begun.stream:
            return None
        then = [self.session.value(item.value, item.blobs) for item in call.items]
        return between(then, list(made.items))

    def _difference(self, then: Ended, now: Outcome) -> Difference | None:
        if now.error is not None:
            error = RecordedError(code=now.error.code, message=now.error.message)
            if then.error == error:
                return None
            kind = "outcome" if then.error is None else "error"
            return Difference(kind=kind, then=self._end(then), now=_words(error))  # type: ignore[arg-type]
        if then.error is not None:
            return Difference(kind="outcome", then=_words(then.error), now=shown(now.value))
        name = digest(encode(now.value))
        if name == then.value:
            return None
        # Other bytes are a difference, whatever a look at the values says of them.
        found = between(self.session.value(then.value, then.blobs), now.value)
        return found or Difference(kind="value", path="$", then=then.value, now=name)

    def _end(self, then: Ended) -> str:
        if then.error is not None:
            return _words(then.error)
        return shown(self.session.value(then.value, then.blobs))

    def _circumstances(self, call: RecordedCall) -> tuple[Circumstance, ...]:
        edition = call.plugin, call.begun.edition
        if edition not in self._changes:
            then, now = self.session.plugin_of(call), self.repeating.plugins[call.plugin]
            own = of_plugin(then, now) if then else ()
            self._changes[edition] = (*own, *self._of_run)
        return self._changes[edition]

    @once
    def _of_run(self) -> tuple[Circumstance, ...]:
        """What has changed for all plugins."""
        then = self.session.head
        now = attrs.evolve(
            then,
            environment=dict(self.repeating.header),
            processor=processor(),
            libraries=libraries(),
        )
        return of_run(then, now)


def _was_closed(call: RecordedCall) -> bool:
    """Whether the host had enough of its stream: the consumer, or what an item has to pass."""
    error = call.ended.error if call.ended else None
    return bool(call.items) and error is not None and error.code in (CLOSED, "contract.output")


def _most(call: RecordedCall) -> int:
    """Return how many items of its stream are taken: one more than there were shows that."""
    return len(call.items) + (not _was_closed(call))


def _digest(call: RecordedCall, made: Made) -> str:
    if made.outcome.error is not None and not _was_closed(call):
        return ""
    return digest(encode(list(made.items) if call.begun.stream else made.outcome.value))


def _missing(plugin: PluginId, repeating: Repeating) -> ReplayError:
    known = ", ".join(sorted(repeating.plugins)) or "none"
    return ReplayError(
        f"plugin {plugin!r} was recorded and is not there any more; there are: {known}",
        code="replay.missing_plugin",
        plugin=plugin,
    )


def _words(error: RecordedError) -> str:
    return f"[{error.code}] {shown(error.message)[1:-1]}"
