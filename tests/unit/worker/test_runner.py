"""The runner's loop over a wire in memory: what a call is answered, and what comes after that."""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nxkernel as nx
from nxkernel._blob import Blob
from nxkernel._canonical import blobs_of, encode
from nxkernel._hookimpls import find_hookimpls
from nxkernel._wire import (
    Failure,
    Fence,
    FromWorker,
    Guard,
    Inline,
    Invoke,
    Ready,
    Result,
    Setup,
    Stop,
    pack,
    unpack_from_worker,
)
from nxkernel.worker.chance import Chance
from nxkernel.worker.denials import Fence as Walls
from nxkernel.worker.denials import Lookout
from nxkernel.worker.pipe import Pipe
from nxkernel.worker.runner import Runner

impl = nx.HookimplMarker("demo")
KEY = bytes(range(32))


class Level(IntEnum):
    """Its members are numbers, and do not cross as such."""

    LOW = 1


@attrs.frozen
class Point:
    """What crosses by its annotation alone."""

    x: int


class Plugin:
    """Returns one after the other what it is told to, and then None."""

    def __init__(self, *returned: Any) -> None:
        self._returned = iter(returned)
        self.context: Any = None
        self.seen: list[Any] = []

    @property
    def returned(self) -> Any:
        """What comes next."""
        return next(self._returned, None)

    @impl
    def bare(self, value):
        self.seen.append(value)
        return self.returned

    @impl
    def noted(self, value: int) -> int:
        self.seen.append(value)
        return self.returned

    @impl
    def built(self, value: Point) -> Point:
        self.seen.append(value)
        return self.returned

    @impl
    async def later(self, value):
        return self.returned

    @impl
    def fails(self, value):
        raise ValueError(str(value))

    @impl
    def few(self):
        return self.returned

    @impl
    def many(self, value, other=3):
        self.seen.append((value, other))
        return self.returned


def setup(**changes: Any) -> Setup:
    """What a worker is told at its start."""
    usual: dict[str, Any] = {
        "plugin": "demo",
        "project": "demo",
        "entrypoint": "plugin:Plugin",
        "code_dir": "/nowhere",
        "settings": encode({}),
        "run_dir": "/nowhere",
        "write_roots": [],
        "import_seed": bytes(32),
        "run_started_ns": 0,
        "max_payload": 1 << 20,
        "api_dir": "",
        "fence": Fence([], [], [], False),
        "output_mb": None,
        "guard": Guard("off", "off", "off", False),
    }
    return Setup(**usual | changes)


def invoke(impl_name: str, arguments: Any, seq: int = 1, **more: Any) -> Invoke:
    """A call."""
    payload = encode(arguments)
    blobs = [Inline(name, blob.bytes()) for name, blob in blobs_of(arguments, payload).items()]
    more.setdefault("seed", KEY)
    return Invoke(seq=seq, impl=impl_name, phase="call", payload=payload, blobs=blobs, **more)


class Wire:
    """Says what it was given, one message at a time, and keeps what is answered."""

    def __init__(self, *messages: Any) -> None:
        self._left = iter([*messages, Stop()])
        self.said: list[FromWorker] = []
        #: Called when the worker has written, and before it is given what it waits for.
        self.after: Callable[[], None] = bool
        self.before: Callable[[], None] = bool

    def pipe(self) -> Pipe:
        """The worker's end."""
        return Pipe(read=self._read, write=self._write, descriptor=-1)

    def _read(self, _size: int) -> bytes:
        data = pack(next(self._left))
        self.before()
        return data

    def _write(self, data: bytes | memoryview) -> int:
        self.said.append(unpack_from_worker(bytes(data)[4:]))
        self.after()
        return len(data)


def served(
    plugin: Plugin, wire: Wire, *, watched: bool = False, told: Setup | None = None
) -> list[Any]:
    """Return what a worker of *plugin* answers; *watched*: as one whose calls a debugger sees."""
    told = told or setup()
    lookout = Lookout(Walls(level="process"))
    chance = Chance(told.guard, code_dir=told.code_dir, import_seed=told.import_seed)
    runner = Runner(wire.pipe(), told, {}, lookout, chance)
    plugin.context = runner.context
    if watched:
        runner.watched = lambda _call: nullcontext()
    runner.serve(find_hookimpls("demo", plugin))
    assert isinstance(wire.said[0], Ready)
    return wire.said[1:]


def alike(answers: list[Any]) -> list[Any]:
    """*answers* without what differs from time to time."""
    for answer in answers:
        assert answer.plugin_us >= 0
        assert answer.used is not None
        answer.plugin_us, answer.used = 0, None
    return answers


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Leave the handler of interrupts as it was; a worker puts its own there."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)


PLAIN: list[Any] = [
    None, True, 1, -(2**63), 2**63 - 1, 0.5, "text", "", b"bytes", [], {}, {"a": [1, {"b": None}]},
    "x" * 1019, "x" * 1021, "x" * 1022, "x" * 5000, b"x" * 5000, list(range(2000)),
]  # fmt: skip
OTHERS: list[Any] = [
    (1, 2), [(1,)], {1, 2}, Level.LOW, [Level.LOW], Point(1), [Point(1)], Decimal("1.5"),
    datetime(2026, 1, 1, tzinfo=UTC), 2**63, 2**64, -(2**63) - 1, float("nan"), [float("inf")],
    {1: 2}, "\udc80", bytearray(b"a"), object(), 1j, Blob(b"blob", "a/b"), [Blob(b"x" * 70_000)],
]  # fmt: skip


@pytest.mark.parametrize("hook", ["bare", "noted", "built", "later", "few", "many"])
@pytest.mark.parametrize("limit", [1 << 20, 2000, 1023, 100])
def test_the_short_way_answers_what_the_long_one_does(hook: str, limit: int) -> None:
    """Whatever is returned: values, refusals with their words, and limits of any size."""
    given_to = {"x": 1} if hook == "built" else 1
    arguments = {} if hook == "few" else {"value": given_to}
    returned = [*PLAIN, *OTHERS]
    answers = []
    for watched in (False, True):
        plugin = Plugin(*returned)
        wire = Wire(*(invoke(hook, arguments, seq=seq) for seq, _ in enumerate(returned, 1)))
        found = alike(served(plugin, wire, watched=watched, told=setup(max_payload=limit)))
        assert len(found) == len(returned)
        answers.append((found, plugin.seen))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "message",
    [
        invoke("bare", {"value": Blob(b"blob", "a/b")}),
        invoke("bare", {}),
        invoke("bare", {"value": 1, "more": 2}),
        invoke("few", {"value": 1}),
        invoke("many", {"value": 1}),
        invoke("many", {"value": 1, "other": 2}),
        invoke("noted", {"value": "no number"}),
        invoke("built", {"value": {"x": "no number"}}),
        invoke("built", {"value": {"x": 2}}),
        invoke("fails", {"value": "so"}),
        invoke("none", {}),
        invoke("bare", {"value": 1}, seed=b""),
        invoke("bare", {"value": 1}, traceparent="00-1-2-00"),
    ],
    ids=[f"{n}" for n in range(13)],
)
def test_the_short_way_takes_what_the_long_one_does(message: Invoke) -> None:
    """Whatever is passed: more arguments, fewer, blobs, of another type, for nobody."""
    answers = []
    for watched in (False, True):
        plugin = Plugin(7)
        found = alike(served(plugin, Wire(message), watched=watched))
        answers.append((found, plugin.seen))
    assert answers[0] == answers[1]


@given(st.lists(st.sampled_from(["bare", "later", "fails", "few", "none"]), max_size=8))
def test_each_call_is_answered_once_and_by_its_number(hooks: list[str]) -> None:
    """In the order in which they came, whatever the one before has come to."""
    calls = [invoke(hook, {"value": 1}, seq=seq) for seq, hook in enumerate(hooks, 1)]
    found = served(Plugin(), Wire(*calls))
    kinds = {"bare": Result, "later": Result, "few": Result}
    assert [answer.seq for answer in found] == list(range(1, len(hooks) + 1))
    assert [type(answer) for answer in found] == [kinds.get(hook, Failure) for hook in hooks]


# -- interrupts ------------------------------------------------------------------------------


def strike() -> None:
    signal.raise_signal(signal.SIGINT)


def test_an_interrupt_beside_a_call_strikes_nothing() -> None:
    """Neither while the worker waits, nor when its answer is written: all calls are answered."""
    wire = Wire(*(invoke("bare", {"value": seq}, seq=seq) for seq in range(1, 4)))
    wire.before = wire.after = strike
    assert [answer.payload for answer in served(Plugin(4, 5, 6), wire)] == [
        encode(4),
        encode(5),
        encode(6),
    ]


def test_an_interrupt_after_an_answer_strikes_nothing_at_any_step() -> None:
    """What is left to do for a call belongs to no call any more."""
    wire, steps = Wire(*(invoke("bare", {"value": 1}, seq=seq) for seq in (1, 2))), set()

    def step(frame: Any, event: str, _argument: object) -> Any:
        frame.f_trace_opcodes = "nxkernel" in frame.f_code.co_filename
        if event == "opcode" and len(wire.said) == 2 and not wire_is_in(frame):
            steps.add(frame.f_code.co_name)
            strike()
        return step

    sys._getframe().f_trace_opcodes = True  # Python 3.12 tells none unless a frame asked before.
    sys.settrace(step)
    try:
        found = served(Plugin(4, 5), wire)
    finally:
        sys.settrace(None)
    assert [answer.payload for answer in found] == [encode(4), encode(5)]
    assert {"send", "_answer", "answer", "receive"} <= steps


def wire_is_in(frame: Any) -> bool:
    """Whether the next call has come: then it is that which is struck."""
    while frame is not None:
        if frame.f_code.co_name == "_invoke" and frame.f_locals["message"].seq == 2:
            return True
        frame = frame.f_back
    return False


def test_an_interrupt_in_a_call_ends_that_call() -> None:
    """The next one is answered: nothing of the first is left on the stack."""

    class Struck(Plugin):
        @impl
        def bare(self, value):
            if value == 1:
                strike()
            return value

    wire = Wire(*(invoke("bare", {"value": seq}, seq=seq) for seq in (1, 2)))
    first, second = served(Struck(), wire)
    assert first.message.startswith("KeyboardInterrupt")
    assert second.payload == encode(2)


# -- what a call draws from ------------------------------------------------------------------


def test_between_two_calls_everything_draws_as_at_import() -> None:
    """A call's own key is in force until it is answered, and no longer."""
    keys: list[bytes] = []

    class Draws(Plugin):
        @impl
        def bare(self, value):
            keys.append(self.context._kernel.streams().key)
            return self.context.rng.random()

    plugin = Draws()
    wire = Wire(
        invoke("bare", {"value": 1}, seq=1),
        invoke("bare", {"value": 1}, seq=2, seed=bytes(32)),
        invoke("bare", {"value": 1}, seq=3),
    )
    wire.before = lambda: keys.append(plugin.context._kernel.streams().key)
    found = served(plugin, wire)
    assert keys == [bytes(32), KEY, bytes(32), bytes(32), bytes(32), KEY, bytes(32)]
    assert found[0].payload == found[2].payload != found[1].payload


def test_what_is_seeded_in_a_call_is_seeded_for_that_call_alone() -> None:
    """And what was seeded between calls is so again after each, whether a call begins with it."""
    told = setup(guard=Guard("warn", "off", "off", False))
    chance = Chance(told.guard, code_dir=told.code_dir, import_seed=told.import_seed)
    begun: list[set[str]] = []

    class Seeds(Plugin):
        @impl
        def bare(self, value):
            begun.append(set(chance.watch.seeded))
            chance.watch.seeded.add(value)

    between: list[set[str]] = []
    wire = Wire(*(invoke("bare", {"value": name}, seq=1) for name in ("random", "numpy", "torch")))

    def before() -> None:
        between.append(set(chance.watch.seeded))
        if len(between) == 3:  # somebody seeds between two calls
            chance.watch.seeded.add("numpy")

    wire.before = before
    runner = Runner(wire.pipe(), told, {}, Lookout(Walls(level="process")), chance)
    runner.serve(find_hookimpls("demo", Seeds()))
    assert begun == [set(), set(), set()]
    assert between == [set(), set(), set(), {"numpy"}]
    assert chance.watch.seeded == {"numpy"}


def test_the_global_generators_are_seeded_for_each_call_where_that_is_wanted() -> None:
    """By the call's key: the same call draws the same numbers."""

    class Draws(Plugin):
        @impl
        def bare(self, value):
            return random.random()

    told = setup(guard=Guard("off", "off", "off", True))
    state = random.getstate()
    try:
        wire = Wire(*(invoke("bare", {"value": 1}, seq=seq) for seq in (1, 2)))
        first, second = served(Draws(), wire, told=told)
    finally:
        random.setstate(state)
    assert first.payload == second.payload


# -- accounts --------------------------------------------------------------------------------


def test_each_answer_has_the_account_of_its_own_call() -> None:
    """Time, processor time and rows: those of the call before are not in it."""

    class Counts(Plugin):
        @impl
        def bare(self, value):
            if value:
                self.context.count(rows_read=value)
                end = threading.Event()
                end.wait(0.02)

    wire = Wire(*(invoke("bare", {"value": n}, seq=seq) for seq, n in enumerate((2, 0, 3), 1)))
    found = served(Counts(), wire)
    assert [answer.used.rows for answer in found] == [(2, 0), None, (3, 0)]
    assert min(found[0].plugin_us, found[2].plugin_us) >= 20_000
