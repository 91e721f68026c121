"""Errands: usual calls, carried through the stack in one value by a few plain functions.

A call in general is a frozen envelope that each layer may pass on in a copy, generators for whoever
waits, and an outcome with all that can become of it. Nearly every call needs none of that: the
application asks one provider, nothing is out of the ordinary, and the answer comes at once. An
*errand* is such a call. It has what one call has of its own; what all calls of one provider have in
common is worked out once, in the *steps* that each layer gives for them.

Whatever is out of the ordinary ends the errand and not the call: before anything has happened the
call is made in the general way, and later a general call is made of the errand as it stands, and
goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, Final, Protocol

import attrs

from nxkernel._altered import altered, filled
from nxkernel._shape import Shape
from nxkernel.dispatch.company import Begin, Standby
from nxkernel.dispatch.costs import Sample
from nxkernel.dispatch.effects import Effects
from nxkernel.dispatch.entrances import Passage
from nxkernel.types import (
    Call,
    CallId,
    Digest,
    HookName,
    HookResult,
    Level,
    Outcome,
    PluginId,
    Timing,
    Usage,
)

__all__ = ["WHOLE", "Errand", "Steps", "Whom", "own", "steps_of"]


@attrs.frozen(kw_only=True)
class Whom:
    """Who is asked: one hookimpl of one edition of a plugin, by the application itself."""

    plugin: PluginId
    edition: int
    impl: str
    hook: HookName
    level: Level
    #: Whether its value is the hook's, or one of a list.
    single: bool

    @property
    def of(self) -> tuple[PluginId, str]:
        """What tells it from the hook's other providers."""
        return self.plugin, self.impl


class Errand(Standby):
    """One usual call under way. Whoever comes to know something of it sets the field."""

    #: How far it has come. Said before each step that cannot be taken back: who is interrupted
    #: knows by it the most that can have happened.
    DRAFTED: Final = 0
    BEGUN: Final = 1
    SENT: Final = 2
    ANSWERED: Final = 3

    __slots__ = (
        "asked_s",
        "began_s",
        "call_id",
        "came_s",
        "deadline",
        "entered_s",
        "era",
        "frame",
        "input_digest",
        "instance",
        "intent",
        "key",
        "options",
        "output",
        "output_digest",
        "payload",
        "plugin_us",
        "raw",
        "sample",
        "seed",
        "shape",
        "shown",
        "source",
        "spent_ns",
        "stage",
        "transport_us",
        "used",
        "whom",
    )

    # As the application asks it.
    whom: Whom
    #: Canonical bytes of the arguments, and the 32 bytes of their digest.
    payload: bytes
    raw: bytes
    input_digest: Digest
    #: What was seen of the arguments, if that was quick.
    shown: Shape | None
    #: What the caller says of it, which the kernel knows more of; and the key that he gave, if any.
    options: Any
    key: tuple[Any, ...] | None
    call_id: CallId
    #: Seconds of the kernel's clock: when it was asked, when it came to the layers that take time
    #: to admit it, when it came to its worker, when it was sent, and until when it may take.
    asked_s: float
    entered_s: float
    came_s: float
    began_s: float
    deadline: float
    #: What its layers take, if it is a call to measure.
    sample: Sample | None
    #: Its place on its worker, which whoever carries it knows more of.
    frame: Any
    # As the stack makes it.
    seed: bytes | None
    #: In which era of its breaker it was admitted.
    era: int
    #: What its end on record needs of its beginning there.
    intent: Any
    #: Nanoseconds inside each layer so far, the outermost first.
    spent_ns: list[int]
    # As it is answered.
    shape: Shape
    output: bytes
    output_digest: Digest
    #: Which worker of the plugin has answered, from 1.
    instance: int
    transport_us: int
    plugin_us: int
    used: Usage | None
    #: What asks for its outcome, if it has turned out to be no usual call.
    source: Effects[Outcome] | None

    def __init__(
        self,
        whom: Whom,
        payload: bytes,
        raw: bytes,
        shown: Shape | None,
        options: Any,
        bell: object,
        begin: Begin,
    ) -> None:
        """*raw*: the 32 bytes of the digest of *payload*. *bell*, *begin*: see :class:`Standby`."""
        # What Standby.__init__ does, in place: each call makes one of these.
        self.bell, self._begin, self.taken = bell, begin, None
        self._context = copy_context()
        self.whom = whom
        self.payload = payload
        self.raw = raw
        self.input_digest = Digest("sha256:" + raw.hex())
        self.shown = shown
        self.options = options
        self.stage = 0
        self.key = self.frame = self.seed = self.sample = self.source = None

    @property
    def logical_key(self) -> tuple[Any, ...]:
        """The key that its seed derives from: the caller's, or what the arguments are."""
        return (self.raw, 0) if self.key is None else self.key

    @property
    def value(self) -> Any:
        """The plugin's value."""
        return self.shape.value

    def outcome(self) -> Outcome:
        """Return the outcome of a call that was answered, before any layer has seen it."""
        timing = filled(
            Timing,
            {
                # Its worker was idle: an errand that has to wait for one is none.
                "queue_us": 0,
                "transport_us": self.transport_us,
                "plugin_us": self.plugin_us,
                "used": self.used,
                "instance": self.instance,
            },
        )
        whom, shape = self.whom, self.shape
        fields = {
            **_VALUE,
            "plugin": whom.plugin,
            "impl": whom.impl,
            "hook": whom.hook,
            "call_id": self.call_id,
            "value": shape.value,
            "shape": shape,
            "output_digest": self.output_digest,
            "output_bytes": len(self.output),
            "timing": timing,
        }
        return filled(Outcome, fields)

    def seeded(self) -> Outcome:
        """Return the outcome as the layers leave it, which have accepted it."""
        outcome = self.outcome()
        if self.seed is None:
            return outcome
        return altered(outcome, annotations={"seed": self.seed.hex()})

    def unwrap(self) -> Any:
        """Return the hook's value.

        Raises:
            HookFailed: when it has become a general call, and that has none.
        """
        if self.taken is not None:
            return self.taken.result.unwrap()
        value = self.shape.value
        if self.whom.single:
            return value
        return [] if value is None else [value]

    def result(self) -> HookResult:
        """Return the hook's result, when the call is over."""
        if self.taken is not None:
            made: HookResult = self.taken.result
            return made
        whole = {"hook": self.whom.hook, "value": self.unwrap(), "outcomes": (self.seeded(),)}
        return filled(HookResult, {**WHOLE, **whole})


#: All fields of an outcome that has a value.
_VALUE = vars(Outcome(plugin=PluginId(""), impl="", hook=HookName(""), call_id=CallId("")))
#: All fields of a result with which nothing is wrong.
WHOLE = vars(HookResult(hook=HookName("")))


@attrs.frozen(kw_only=True)
class Steps:
    """What one layer does with the errands of one provider, in the order in which it is asked.

    All layers admit an errand before any of them begins it, and all accept it before any ends it.
    """

    #: Whether it may go on, by all that is known before anything has happened. False: something is
    #: out of the ordinary, and the general way says what. It changes nothing but the errand.
    admit: Callable[[Errand], bool] | None = None
    #: Whether ``admit`` takes too little time to be measured, as a look at a field does.
    brief: bool = False
    #: The last step before it is sent.
    begin: Callable[[Errand], None] | None = None
    #: Whether the answer is in order; as ``admit``.
    accept: Callable[[Errand], bool] | None = None
    #: The last step before the application has its value. It may withhold that: then it returns
    #: what makes the outcome.
    end: Callable[[Errand], Callable[[Call], Outcome] | None] | None = None
    #: How the general way goes on with it, once it was begun: as what ``through`` returns.
    passage: Callable[[Errand, Call], Passage]


class _Usual(Protocol):
    """A layer that can say beforehand what it does with usual calls."""

    def usual(self, whom: Whom) -> Steps | None:
        """Return the steps for the errands of *whom*, or None where nothing of them is usual."""


def steps_of(layers: Sequence[object], whom: Whom) -> tuple[Steps, ...] | None:
    """Return the steps of all *layers*, outermost first, or None if one of them gives none."""
    found = []
    for layer in layers:
        usual = own(layer, "usual")
        steps = None if usual is None else usual(whom)
        if steps is None:
            return None
        found.append(steps)
    return tuple(found)


def own(thing: object, name: str) -> Any:
    """Return the method *name* that the class of *thing* has itself, or None.

    None also where the object has something of its own in the place of any method. What a class
    says of its usual calls holds for what it does in general, and not for what somebody has made
    of that in a class below it.
    """
    methods = vars(type(thing))
    if name not in methods or not methods.keys().isdisjoint(getattr(thing, "__dict__", ())):
        return None
    return getattr(thing, name)
