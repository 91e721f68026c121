"""Errands: which layers have steps for them, and what becomes of one that is taken further."""

from __future__ import annotations

from typing import Any

from nxkernel._canonical import raw_digest
from nxkernel.audit.log import AuditLog
from nxkernel.dispatch import company
from nxkernel.dispatch.errand import Errand, Whom, own, steps_of
from nxkernel.dispatch.tasks import Tasks
from nxkernel.middleware.audit import Audit
from nxkernel.middleware.breaker import Breaker
from nxkernel.middleware.contracts import Contracts
from nxkernel.middleware.determinism import Determinism
from nxkernel.middleware.policy import PolicyGate, Rule
from nxkernel.types import HookName, HookResult, PluginId
from tests.support.calls import Boot

WHOM = Whom(
    plugin=PluginId("ocr.rapid"),
    edition=1,
    impl="read_tokens",
    hook=HookName("read_tokens"),
    level="confined",
    single=True,
)


class Mine(Breaker):
    """One that somebody has changed, who knows nothing of errands."""

    def around(self, call: Any) -> Any:
        return (yield call)


def an_errand(bell: object, begin: Any) -> Errand:
    return Errand(WHOM, b"\x80", raw_digest(b"\x80"), None, None, bell, begin)


def booted(*layers: Any) -> tuple[Any, ...]:
    for layer in layers:
        layer.boot(Boot().facts())
    return layers


def test_a_stack_of_ours_has_steps() -> None:
    """One for each layer, in their order; each says how the general way goes on."""
    layers = booted(PolicyGate(), Breaker(), Contracts(), Determinism())
    steps = steps_of(layers, WHOM)
    assert steps is not None
    assert len(steps) == 4
    assert steps_of((), WHOM) == ()


def test_a_layer_that_knows_nothing_of_errands_has_all_calls_go_in_general() -> None:
    """A class below ours too, and an object that has something of its own in a method's place."""
    (breaker,) = booted(Breaker())
    assert steps_of(booted(Mine()), WHOM) is None
    assert steps_of((object(),), WHOM) is None
    breaker.through = lambda call: None
    assert own(breaker, "usual") is None
    assert steps_of((breaker,), WHOM) is None


def test_calls_that_are_denied_are_none_of_the_usual_ones() -> None:
    """Who denies them says so in general, each time."""
    gate = PolicyGate([Rule("deny", "host", "read_tokens", id="no")])
    assert steps_of(booted(gate), WHOM) is None


def test_a_sink_that_knows_nothing_of_errands_is_asked_in_general() -> None:
    """An audit is as usual as what it writes to."""

    class Sink:
        def intend(self, call: Any) -> None: ...

    class Log(AuditLog):
        def intend(self, call: Any) -> None: ...

    assert Audit(Sink()).usual(WHOM) is None  # type: ignore[arg-type]
    assert own(Log.__new__(Log), "usual") is None


def test_an_errand_that_is_taken_further_is_made_tasks_of_once() -> None:
    """Whoever comes into the thread while it is waited for finds it among the thread's calls."""
    bell, begun = object(), list[Errand]()

    def rest() -> Any:
        yield from ()
        return HookResult(hook=HookName("read_tokens"), value="in general")

    def begin(errand: Errand) -> Tasks:
        begun.append(errand)
        return Tasks.resumed(rest())

    errand = an_errand(bell, begin)
    assert not company.occupied(bell)
    errand.come()
    assert company.occupied(bell)
    assert not company.occupied(object())
    assert not errand.over
    errand.go_on()
    errand.go_on()
    assert begun == [errand]
    assert errand.over
    errand.leave()
    errand.leave()
    assert not company.occupied(bell)
    assert errand.unwrap() == errand.result().value == "in general"


def test_the_digest_of_the_arguments_is_that_of_a_call() -> None:
    """And so is the key that stands for none."""
    errand = an_errand(None, lambda _: Tasks(iter(())))  # type: ignore[arg-type]
    assert errand.input_digest == "sha256:" + errand.raw.hex()
    assert errand.logical_key == (errand.raw, 0)
    errand.key = ()
    assert errand.logical_key == ()
